//! Leases: keys that end by the server's clock, or when their holder releases them.

use std::sync::Arc;
use std::time::Duration;

use session3_store::StoreError;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::keys::Tag;
use crate::outcome;
use crate::scripts::{LOCK, UNLOCK, decimal};
use crate::server::{Body, Effect, Server};

/// The first and the longest pause between attempts to take a lease.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// The longest lease that is asked for: ten years, since the server refuses more than it can
/// count.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What a lease is on.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) server: Arc<Server>,
    pub(crate) tag: Tag,
    pub(crate) key: String,
}

/// A lease, which a task of its own releases when this value is dropped.
pub(crate) struct Lease {
    place: Place,
    token: Vec<u8>,
    runtime: Handle,
    /// False if the server said that another request has the lease.
    may_be_held: bool,
    /// When the request was sent. The time of the lease counts from here.
    pub(crate) since: Instant,
}

/// Takes a lease for `time`, and waits until the deadline for the end of another one.
///
/// A task of its own does so. If the caller is gone, the task releases what it takes.
pub(crate) async fn take(
    place: Place,
    token: Vec<u8>,
    time: Duration,
    deadline: Instant,
) -> Result<Lease, StoreError> {
    let (mut sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let mut pause = PAUSES.0;
        let result = loop {
            match attempt(place.clone(), token.clone(), time).await {
                Ok(Some(lease)) => break Ok(lease),
                Ok(None) if Instant::now() >= deadline => break Err(StoreError::Busy),
                Ok(None) => {}
                Err(error) => break Err(error),
            }
            tokio::select! {
                () = sleep(pause) => pause = PAUSES.1.min(pause * 2),
                () = sender.closed() => return,
            }
        };
        let _ = sender.send(result);
    });
    let stopped = |_| StoreError::Unavailable("the runtime is shutting down".into());
    receiver.await.map_err(stopped)?
}

async fn attempt(
    place: Place,
    token: Vec<u8>,
    time: Duration,
) -> Result<Option<Lease>, StoreError> {
    let mut lease = Lease {
        place,
        token,
        runtime: Handle::current(),
        may_be_held: true,
        since: Instant::now(),
    };
    // The server counts whole milliseconds. It must not end the lease before this program.
    let milliseconds = time.min(LONGEST).as_micros().div_ceil(1000).max(1) as u64;
    let arguments = [lease.token.as_slice().into(), decimal(milliseconds)];
    let keys = [lease.place.key.clone()];
    let body = Body::Script(&LOCK, &keys, &arguments);
    let answer = lease
        .place
        .server
        .call(lease.place.tag, Effect::Repeatable, &body);
    let [taken] = outcome::of(answer.await?)?.numbers()?;
    lease.may_be_held = taken == 1;
    Ok(lease.may_be_held.then_some(lease))
}

impl Lease {
    /// Releases the lease, and waits until the server has done so.
    pub(crate) async fn release(mut self) {
        self.may_be_held = false;
        unlock(&self.place, std::mem::take(&mut self.token)).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.may_be_held {
            return;
        }
        let (place, token) = (self.place.clone(), std::mem::take(&mut self.token));
        self.runtime
            .spawn(async move { unlock(&place, token).await });
    }
}

/// Ends a lease if it still has this token. If this fails, the lease ends by the server's
/// clock.
async fn unlock(place: &Place, token: Vec<u8>) {
    let (keys, arguments) = ([place.key.clone()], [token.into()]);
    let body = Body::Script(&UNLOCK, &keys, &arguments);
    let _ = place
        .server
        .call(place.tag, Effect::Repeatable, &body)
        .await;
}
