//! The file descriptors of a server: each connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many file descriptors a server needs beside those of its connections: for the file
/// descriptor cache of the store, the locks, the logs and the runtime.
const BESIDE_CONNECTIONS: u64 = 1500;

/// Raises the number of files that this process may have open to the largest one that the
/// system allows. Call this before the store is opened, which sizes its cache by it.
///
/// If the system refuses that, the limit stays as it is.
pub fn raise_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!("the limit of open files cannot be raised: {error}");
    }
}

/// Logs a warning if this process may not have so many connections open.
pub fn warn_of_too_many(max_connections: u32) {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return;
    };
    if u64::from(max_connections) + BESIDE_CONNECTIONS > limit {
        let most = limit.saturating_sub(BESIDE_CONNECTIONS);
        tracing::warn!(
            "this process may have {limit} files open, which is too few for --max-connections \
             {max_connections}: raise the limit, as with `ulimit -n`, or choose at most {most} \
             connections"
        );
    }
}
