//! Sending requests to the server that has their keys, and sending them again where that is
//! safe.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use redis::{Cmd, RedisError, Value};
use session3_store::StoreError;
use tokio::time::{Instant, sleep};

use crate::ConnectError;
use crate::address::{Address, Host, Place};
use crate::cluster::Cluster;
use crate::connect::{Login, describe};
use crate::facts::Facts;
use crate::keys::{Keys, Tag, slot};
use crate::link::{Failure, Link, Packet, is_demoted};
use crate::scripts::{Argument, ServerScript};

/// The pause before a request is sent again that the server could not carry out yet.
const PAUSE: Duration = Duration::from_millis(10);

/// The server, or the servers of a Cluster, and the connections to them.
pub(crate) struct Server {
    router: Router,
    pub(crate) keys: Arc<Keys>,
    pub(crate) name: String,
    timeout: Duration,
    wait: u32,
}

enum Router {
    Single(Arc<Link>),
    Cluster(Box<Cluster>),
}

/// What a request does, which decides whether it may be sent again after its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Changes nothing, so it may be sent again.
    Read,
    /// Changes something, and recognizes what an earlier attempt did.
    Repeatable,
    /// Changes something, and must not be sent again.
    Once,
}

/// A request, which can be encoded for each attempt.
pub(crate) enum Body<'a> {
    Command(Cmd),
    Script(&'static ServerScript, &'a [String], &'a [Argument<'a>]),
}

/// An answer, and whether an earlier attempt may have been carried out.
pub(crate) struct Answer {
    pub(crate) value: Value,
    pub(crate) is_repeated: bool,
}

/// How the next attempt differs from the first.
#[derive(Default)]
struct Attempt {
    with_source: bool,
    is_repeated: bool,
    /// The node that imports the slot.
    asked: Option<Host>,
}

impl Server {
    pub(crate) fn new(address: &Address, login: Login, keys: Arc<Keys>, is_logged: bool) -> Self {
        let timeout = login.timeout;
        let router = match &address.place {
            Place::Cluster(seeds) => {
                Router::Cluster(Box::new(Cluster::new(seeds.clone(), login, is_logged)))
            }
            place => Router::Single(Arc::new(Link::new(
                place.clone(),
                login,
                timeout,
                is_logged,
            ))),
        };
        Self {
            router,
            keys,
            name: address.place.to_string(),
            timeout,
            wait: address.wait,
        }
    }

    /// Connects, and returns what each primary says about itself.
    pub(crate) async fn connect(&self) -> Result<Vec<Arc<Facts>>, Arc<ConnectError>> {
        let cluster = match &self.router {
            Router::Single(link) => return Ok(vec![link.first().await?]),
            Router::Cluster(cluster) => cluster,
        };
        cluster.refresh().await.map_err(Arc::new)?;
        let links = cluster.primaries();
        try_join_all(links.iter().map(|link| link.first())).await
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.router, Router::Cluster(_))
    }

    /// Sends a command that changes nothing, and returns its answer.
    pub(crate) async fn read(&self, tag: Tag, command: Cmd) -> Result<Value, StoreError> {
        let answer = self
            .call(tag, Effect::Read, &Body::Command(command))
            .await?;
        Ok(answer.value)
    }

    /// Returns a link to each server that has sessions.
    pub(crate) async fn nodes(&self) -> Result<Vec<Arc<Link>>, StoreError> {
        match &self.router {
            Router::Single(link) => Ok(vec![link.clone()]),
            Router::Cluster(cluster) => {
                let refreshed = cluster.refresh().await;
                refreshed.map_err(|error| self.unavailable(&error.to_string()))?;
                Ok(cluster.primaries())
            }
        }
    }

    /// Sends a command that changes nothing to one server, and returns its answer.
    pub(crate) async fn ask(&self, node: &Link, command: Cmd) -> Result<Value, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let packet = Packet {
            command: &command,
            asking: false,
            wait: 0,
        };
        loop {
            let why = match node.send(&packet, deadline).await {
                Ok(value) => return Ok(value),
                Err(Failure::Lost(_)) if Instant::now() < deadline => continue,
                Err(Failure::Lost(why) | Failure::Away(why)) => why,
                Err(Failure::Refused(error)) => describe(&error),
                Err(Failure::Late | Failure::Unconfirmed(_)) => self.late(),
            };
            return Err(StoreError::Unavailable(format!("{}: {why}", node.name())));
        }
    }

    /// Sends a request until it is answered, refused, or out of time.
    pub(crate) async fn call(
        &self,
        tag: Tag,
        effect: Effect,
        body: &Body<'_>,
    ) -> Result<Answer, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let mut attempt = Attempt::default();
        loop {
            let failure = match self.attempt(tag, effect, body, &attempt, deadline).await {
                Ok(value) => {
                    let is_repeated = attempt.is_repeated;
                    return Ok(Answer { value, is_repeated });
                }
                Err(failure) => failure,
            };
            attempt.asked = None;
            let again = self.recover(tag, effect, failure, &mut attempt, deadline);
            again.await.map_err(|why| self.unavailable(&why))?;
        }
    }

    fn unavailable(&self, why: &str) -> StoreError {
        StoreError::Unavailable(format!("{}: {why}", self.name))
    }

    async fn attempt(
        &self,
        tag: Tag,
        effect: Effect,
        body: &Body<'_>,
        attempt: &Attempt,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let command = body.command(attempt);
        let packet = Packet {
            command: &command,
            asking: attempt.asked.is_some(),
            wait: if effect == Effect::Read { 0 } else { self.wait },
        };
        self.route(tag, attempt)?.send(&packet, deadline).await
    }

    fn route(&self, tag: Tag, attempt: &Attempt) -> Result<Arc<Link>, Failure> {
        let cluster = match &self.router {
            Router::Single(link) => return Ok(link.clone()),
            Router::Cluster(cluster) => cluster,
        };
        if let Some(host) = &attempt.asked {
            return Ok(cluster.link(host));
        }
        let link = cluster.link_of(slot(&self.keys.tag(tag)));
        link.ok_or_else(|| Failure::Away("no node has the slot of the session".into()))
    }

    /// Prepares another attempt, or returns why there is none.
    async fn recover(
        &self,
        tag: Tag,
        effect: Effect,
        failure: Failure,
        attempt: &mut Attempt,
        deadline: Instant,
    ) -> Result<(), String> {
        match failure {
            Failure::Late => Err(self.late()),
            Failure::Unconfirmed(count) => Err(format!(
                "the change was made, but {count} instead of {} replicas confirmed it",
                self.wait
            )),
            Failure::Lost(why) => {
                if effect == Effect::Once {
                    return Err(format!("the connection ended before the answer ({why})"));
                }
                attempt.is_repeated = true;
                self.find_node(deadline, why).await
            }
            Failure::Away(why) => match &self.router {
                // The link has waited already.
                Router::Single(_) => Err(why),
                Router::Cluster(_) => self.find_node(deadline, why).await,
            },
            Failure::Refused(error) => self.redirect(tag, &error, attempt, deadline).await,
        }
    }

    fn late(&self) -> String {
        format!("there was no answer within {:?}", self.timeout)
    }

    /// Does what an error of the server asks for.
    async fn redirect(
        &self,
        tag: Tag,
        error: &RedisError,
        attempt: &mut Attempt,
        deadline: Instant,
    ) -> Result<(), String> {
        let target = error.redirect_node();
        let host = target.and_then(|(address, _)| Host::parse(address));
        match (error.code(), &self.router, host) {
            (Some("NOSCRIPT"), ..) if !attempt.with_source => {
                attempt.with_source = true;
                Ok(())
            }
            (Some("MOVED"), Router::Cluster(cluster), Some(host)) => {
                cluster.set_moved(slot(&self.keys.tag(tag)), host);
                pause(deadline, Duration::ZERO, describe(error)).await
            }
            (Some("ASK"), Router::Cluster(_), Some(host)) => {
                attempt.asked = Some(host);
                pause(deadline, Duration::ZERO, describe(error)).await
            }
            (Some("TRYAGAIN"), ..) => pause(deadline, PAUSE, describe(error)).await,
            (Some("CLUSTERDOWN"), ..) => self.find_node(deadline, describe(error)).await,
            _ if is_demoted(error) => self.find_node(deadline, describe(error)).await,
            _ => Err(describe(error)),
        }
    }

    /// Pauses, and reads the map of a Cluster again.
    async fn find_node(&self, deadline: Instant, why: String) -> Result<(), String> {
        if let Router::Cluster(cluster) = &self.router {
            pause(deadline, PAUSE, why.clone()).await?;
            // The next attempt finds out whether the old map is still right.
            let _ = tokio::time::timeout_at(deadline, cluster.refresh()).await;
        }
        pause(deadline, PAUSE, why).await
    }
}

/// Pauses, or returns `why` if that would take until after the deadline.
async fn pause(deadline: Instant, time: Duration, why: String) -> Result<(), String> {
    if Instant::now() + time >= deadline {
        return Err(why);
    }
    sleep(time).await;
    Ok(())
}

impl Body<'_> {
    fn command(&self, attempt: &Attempt) -> Cow<'_, Cmd> {
        match self {
            Self::Command(command) => Cow::Borrowed(command),
            Self::Script(script, keys, arguments) => {
                let (with_source, is_repeated) = (attempt.with_source, attempt.is_repeated);
                Cow::Owned(script.command(with_source, is_repeated, keys, arguments))
            }
        }
    }
}
