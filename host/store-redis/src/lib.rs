//! Sessions in Redis or Valkey: a single server, a primary that Sentinels watch, or a Cluster.
//! Any number of processes on any number of machines may use one store.
//!
//! ```no_run
//! use session3_store::{SessionId, SessionState, SessionStore};
//! use session3_store_redis::{Options, RedisStore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::default().create(true).password("from a file");
//! let store = RedisStore::open("rediss://example.org/0?prefix=shop", options).await?;
//!
//! let id: SessionId = "0123456789abcdef0123456789abcdef".parse()?;
//! let state = SessionState { user: None, expires: u64::MAX, data: b"state".to_vec() };
//! store.create_session(&id, &state).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The server is Redis 6.2 or later, or Valkey. Its user needs the commands `INFO`, `EVAL`,
//! `EVALSHA`, those that the scripts and this crate call on keys, and in a Cluster
//! `CLUSTER INFO` and `CLUSTER SLOTS`. A check also needs `SCAN`, and uses `CONFIG GET` and
//! `MEMORY USAGE` if the server allows them.
//!
//! # URLs
//!
//! | URL | server |
//! | --- | --- |
//! | `redis://user:password@host:6379/0` | a single server; the number is its database |
//! | `redis+unix:///run/redis.sock` | the same, through a socket of Unix |
//! | `redis+sentinel://h1,h2:26379/name/0` | the primary that the Sentinels know by this name |
//! | `redis+cluster://h1,h2:6379` | a Cluster, of which some nodes are named |
//!
//! `rediss` in place of `redis` is with TLS; `valkey` and `valkeys` mean the same. User and
//! password may have escapes such as `%40`. Sentinels that need a login get that of the server.
//! Nodes of a Cluster and primaries behind Sentinels are reached under the addresses that they
//! are announced with, so these must be names in their certificates.
//!
//! | parameter | meaning | default |
//! | --- | --- | --- |
//! | `prefix` | the beginning of all keys: letters, digits and `:._-` | `s3` |
//! | `timeout` | how long an operation waits, in seconds | that of [`Options`]: 2 |
//! | `wait` | how many replicas must confirm each change | 0 |
//! | `tls-ca` | a file with the certificates to trust, in PEM | the system's certificates |
//!
//! # Limits
//!
//! - **Durability is the server's.** With `appendonly yes` and `appendfsync always`, nothing
//!   that was acknowledged is lost by a crash. Redis's defaults lose minutes.
//! - **A failover may lose the last changes**, since replication is asynchronous: a save that
//!   was acknowledged may be undone, and a session that was deleted may return. With `wait=1`,
//!   a change is acknowledged only if a replica has it. That makes a loss unlikely, but not
//!   impossible: the replica that becomes the primary may be another one. A change without
//!   confirmations fails with `Unavailable`, although the primary has made it. Loads return a
//!   change before it is confirmed, so that they may return one that a failover undoes.
//! - **Tests on one machine measured no loss** when the primary was killed during some ten
//!   thousand saves and hundreds of deletes, with and without `wait`. Between machines,
//!   replication takes longer, and what is on its way is lost. Writers had no success for 2.2 s
//!   behind Sentinels with `down-after-milliseconds 500`, and for 2.1 to 2.8 s in a Cluster with
//!   `cluster-node-timeout 1000`.
//! - **With `wait`, each change also waits for the replicas**, and so do the changes behind it
//!   on the same connection. A shard without enough replicas accepts no changes.
//! - **A server that deletes keys when its memory is full deletes sessions in silence.** A
//!   store is not opened while `maxmemory-policy` is `allkeys-…`; if it is set later, a warning
//!   is logged. A session that was evicted is absent for `load_session`, and damaged for
//!   `iter_sessions`. Policies of the name `volatile-…` may end leases early.
//! - **Sessions have no time to live in Redis**, since the contract keeps expired sessions
//!   until a sweep. Without sweeps, the memory fills. Sweeps and deletes work while it is full.
//! - **A timed-out operation may have been carried out.** It fails with `Unavailable`.
//! - **A Cluster has several clocks**: those of its primaries. They must be synchronized.
//!
//! # How it works
//!
//! - **Create, save, touch and delete are one script each**, so that comparing and writing are
//!   one atomic step and one round trip. The time is the server's.
//!   Over loopback, with 500 bytes of data and on two shared cores, a create takes 149 µs, a
//!   load 103, a save 121, a touch 118 and a delete 108; the client library's bare `HSET` takes
//!   102 and its `HMGET` 92. With 64 tasks at once, a load and a save together take 21 µs.
//! - **Two connections are shared by all requests**: one for sessions, one for sweeps and
//!   walks. In a Cluster, each primary has two. Nothing waits for a free connection.
//! - **A connection that fails is replaced** by a task of its own. Requests wait for it for the
//!   timeout. If the server was away for longer than that, they fail at once. Once a second, the
//!   task checks that the server answers and is a primary. The log has one line for each change
//!   of state, and the metrics have the gauge `session3_store_up` and the counter
//!   `session3_store_reconnects_total`, for each primary and by the connection for requests.
//! - **A request whose answer was lost is sent again only if that does no harm.** A write has a
//!   nonce, which the session keeps: a save or a create that finds its own nonce has succeeded
//!   before. A second attempt to create never creates, since the session may have been deleted
//!   meanwhile. A touch is not sent again, since it could undo a later touch. A delete is sent
//!   again: if its session was deleted and created again meanwhile, with the same ID, the new
//!   session is deleted, too. Session3 gives no ID to a second session. What remains unknown
//!   fails with `Unavailable`, and never with a conflict.
//!
//! - **No operation needs a task of its own**, except for taking a lease: a request is one
//!   command, so that dropping its future leaves nothing half done. Links to the nodes of a
//!   Cluster and questions to Sentinels are this crate's own. Those of the library `redis` send
//!   requests again after a lost answer, and do not follow failovers.
//!
//! # Keys
//!
//! With the default prefix, and for a session whose ID begins with `ab`:
//!
//! | key | type | content |
//! | --- | --- | --- |
//! | `{s3:ab}:s:ID` | hash | the session |
//! | `{s3:ab}:ids` | sorted set | the IDs, with score 0 |
//! | `{s3:ab}:u` | sorted set | the SHA-256 of a user, then an ID as text; with score 0 |
//! | `{s3:ab}:l:ID` | string | the token of the request that has the lease; ends by itself |
//! | `{s3}:schema` | string | `session3:1` |
//! | `{s3}:sweep:l` | string | the token of the sweep that is running; ends by itself |
//! | `{s3}:sweep:at` | string | the ID at which the next sweep continues |
//!
//! The hash of a session has these fields:
//!
//! | field | content |
//! | --- | --- |
//! | `v` | the version, in decimal digits like all numbers |
//! | `n` | the nonce of the last write |
//! | `m` | the time of the last change, in milliseconds since 1970 |
//! | `e` | the time from which a sweep deletes the session, in milliseconds since 1970 |
//! | `d` | the data |
//! | `u` | the user; absent if there is none |
//! | `i` | the SHA-256 of the user; absent if there is none |
//!
//! The braces name the part of a key that decides its slot in a Cluster: the keys of a session
//! are in one slot, and all sessions in up to 256.

#![forbid(unsafe_code)]

mod address;
mod check;
mod cluster;
mod connect;
mod facts;
mod figures;
mod index;
mod keys;
mod lease;
mod link;
mod maintenance;
mod open;
mod options;
mod outcome;
mod record;
// For the benchmark, which runs the bare scripts.
#[doc(hidden)]
pub mod scripts;
mod sentinel;
mod server;
mod store;
mod stream;
mod sweep;
mod walk;
mod warnings;

pub use connect::ConnectError;
pub use options::{OpenError, Options};
pub use store::RedisStore;
