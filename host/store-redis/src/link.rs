//! A connection to one server that is replaced when it fails.
//!
//! A task of its own connects, checks the server once a second, and connects again after the
//! connection was closed or discarded. Requests share the connection, and wait for the next
//! one if there is none.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, Value};
use session3_store::health::{self, Health};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::ConnectError;
use crate::address::Place;
use crate::connect::{Connected, Login, connect, describe};
use crate::facts::Facts;

/// How often the server is asked whether it is still there and still a primary.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The first and the longest pause between attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Why a request got no answer.
pub(crate) enum Failure {
    /// There was no connection, so the request was not sent.
    Away(String),
    /// The connection ended after the request may have been sent.
    Lost(String),
    /// There was no answer in time. The request may have been sent.
    Late,
    /// The server refused the request with this error.
    Refused(RedisError),
    /// The change was made, but only this many replicas confirmed it.
    Unconfirmed(i64),
}

/// A request as it is sent.
pub(crate) struct Packet<'a> {
    pub(crate) command: &'a Cmd,
    /// Whether a node of a Cluster that imports the slot shall answer.
    pub(crate) asking: bool,
    /// The number of replicas that must confirm the change.
    pub(crate) wait: u32,
}

pub(crate) struct Link {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    place: Place,
    login: Login,
    /// How long requests wait for a server that cannot be reached. Afterwards they fail at
    /// once.
    patience: Duration,
    /// Tells operators whether the server can be reached; `None` if another link does.
    health: Option<Arc<Health>>,
    state: watch::Sender<State>,
    /// The number of the latest connection that shall not be used any more.
    discarded: watch::Sender<u64>,
}

#[derive(Clone)]
enum State {
    /// There is no connection since this instant. The error is that of the last attempt.
    Away(Instant, Option<Arc<ConnectError>>),
    Up(Current),
}

/// A connection, and its number.
#[derive(Clone)]
struct Current {
    connection: MultiplexedConnection,
    number: u64,
    facts: Arc<Facts>,
}

impl Link {
    /// Starts to connect. Requests wait for a server that is away for `patience` at most.
    pub(crate) fn new(place: Place, login: Login, patience: Duration, is_logged: bool) -> Self {
        let health = || Arc::new(Health::new("Redis", place.to_string()));
        let shared = Arc::new(Shared {
            health: is_logged.then(health),
            place,
            login,
            patience,
            state: watch::Sender::new(State::Away(Instant::now(), None)),
            discarded: watch::Sender::new(0),
        });
        let task = tokio::spawn(supervise(shared.clone())).abort_handle();
        Self { shared, task }
    }

    /// Returns the address of the server.
    pub(crate) fn name(&self) -> String {
        self.shared.place.to_string()
    }

    /// Waits for the first connection, or for the error of the first attempt.
    pub(crate) async fn first(&self) -> Result<Arc<Facts>, Arc<ConnectError>> {
        let mut states = self.shared.state.subscribe();
        let limit = self.shared.login.timeout;
        let known = states.wait_for(|state| !matches!(state, State::Away(_, None)));
        let late = || Err(Arc::new(ConnectError::Timeout(limit)));
        // The attempt itself ends after the same time.
        let Ok(Ok(state)) = timeout(limit + Duration::from_secs(1), known).await else {
            return late();
        };
        match &*state {
            State::Up(current) => Ok(current.facts.clone()),
            State::Away(_, Some(error)) => Err(error.clone()),
            State::Away(_, None) => late(),
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn send(
        &self,
        packet: &Packet<'_>,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let current = self.current(deadline).await?;
        match timeout_at(deadline, exchange(current.connection, packet, deadline)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Failure::Lost(why))) => {
                self.shared.discard(current.number);
                Err(Failure::Lost(why))
            }
            Ok(Err(Failure::Refused(error))) => {
                if is_demoted(&error) {
                    self.shared.discard(current.number);
                }
                Err(Failure::Refused(error))
            }
            Ok(Err(other)) => Err(other),
            Err(_) => {
                self.shared.discard(current.number);
                Err(Failure::Late)
            }
        }
    }

    /// Returns the connection, or waits for it until the deadline.
    async fn current(&self, deadline: Instant) -> Result<Current, Failure> {
        if let State::Up(current) = &*self.shared.state.borrow() {
            return Ok(current.clone());
        }
        let mut states = self.shared.state.subscribe();
        loop {
            let end = match &*states.borrow_and_update() {
                State::Up(current) => return Ok(current.clone()),
                State::Away(since, error) => {
                    let end = *since + self.shared.patience;
                    match error {
                        Some(error) if Instant::now() >= end => {
                            return Err(Failure::Away(error.to_string()));
                        }
                        Some(_) => end.min(deadline),
                        None => deadline,
                    }
                }
            };
            let changed = timeout_at(end, states.changed()).await;
            if matches!(changed, Ok(Err(_))) {
                return Err(Failure::Away("the store was closed".into()));
            }
            if changed.is_err() && Instant::now() >= deadline {
                return Err(Failure::Away(self.shared.why_away()));
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// Replaces the connection with this number, unless that has been done.
    fn discard(&self, number: u64) {
        self.discarded.send_if_modified(|discarded| {
            let is_newer = *discarded < number;
            *discarded = number.max(*discarded);
            is_newer
        });
    }

    fn why_away(&self) -> String {
        match &*self.state.borrow() {
            State::Away(_, Some(error)) => error.to_string(),
            _ => "there was no connection in time".into(),
        }
    }

    /// Notes a connection, until the returned value is dropped.
    fn connected(&self, is_first: bool) -> Option<health::Connected> {
        let health = self.health.as_ref();
        health.map(|health| match is_first {
            true => health.connected(),
            false => health.reconnected(),
        })
    }
}

/// Connects again and again, until the task is aborted.
async fn supervise(shared: Arc<Shared>) {
    let mut number = 0;
    let mut is_first = true;
    loop {
        let connected = reconnect(&shared, is_first).await;
        let noted = shared.connected(is_first);
        is_first = false;
        number += 1;
        let current = Current {
            connection: connected.connection,
            number,
            facts: Arc::new(connected.facts),
        };
        shared.state.send_replace(State::Up(current.clone()));
        let mut discarded = shared.discarded.subscribe();
        let why = tokio::select! {
            () = connected.driver => "the server closed it".to_owned(),
            _ = discarded.wait_for(|discarded| *discarded >= number) => {
                "a request failed or got no answer in time".to_owned()
            }
            why = check(&shared, current) => why,
        };
        shared.state.send_replace(State::Away(Instant::now(), None));
        drop(noted);
        tracing::debug!(server = %shared.place, "the connection ended: {why}");
    }
}

/// Connects, with a pause after each failure.
async fn reconnect(shared: &Shared, is_first: bool) -> Connected {
    let (mut pause, longest) = PAUSES;
    let since = Instant::now();
    loop {
        match connect(&shared.place, &shared.login).await {
            Ok(connected) => return connected,
            Err(error) => {
                // If the first attempt fails, the store is not opened, and says why.
                if let Some(health) = shared.health.as_ref().filter(|_| !is_first) {
                    health.is_away(&error.to_string());
                }
                let state = State::Away(since, Some(Arc::new(error)));
                shared.state.send_replace(state);
            }
        }
        sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}

/// Asks the server once a second what it is. Returns why its connection must be replaced.
async fn check(shared: &Shared, mut current: Current) -> String {
    let mut evicts = current.facts.evicts_sessions();
    loop {
        sleep(CHECK_INTERVAL).await;
        let command = redis::cmd("INFO");
        let asking = command.query_async::<String>(&mut current.connection);
        let facts = match timeout(shared.login.timeout, asking).await {
            Ok(Ok(info)) => Facts::read(&info),
            Ok(Err(error)) => return describe(&error),
            Err(_) => return "the server did not answer in time".into(),
        };
        if !facts.is_primary {
            return "the server became a replica".into();
        }
        if facts.evicts_sessions() && !evicts && shared.health.is_some() {
            tracing::warn!(
                server = %shared.place,
                "maxmemory-policy is {}, which deletes sessions in silence; set it to noeviction",
                facts.eviction
            );
        }
        evicts = facts.evicts_sessions();
    }
}

/// Returns whether the server says that it is no primary, or not ready.
pub(crate) fn is_demoted(error: &RedisError) -> bool {
    let is_code = matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "LOADING"));
    // Redis 6 puts the error of a script behind a text of its own.
    is_code
        || error
            .detail()
            .is_some_and(|detail| detail.contains("READONLY"))
}

async fn exchange(
    mut connection: MultiplexedConnection,
    packet: &Packet<'_>,
    deadline: Instant,
) -> Result<Value, Failure> {
    if !packet.asking && packet.wait == 0 {
        let answer = connection.send_packed_command(packet.command).await;
        return answer.and_then(Value::extract_error).map_err(failure);
    }
    let mut pipeline = Pipeline::new();
    pipeline.ignore_errors();
    if packet.asking {
        pipeline.cmd("ASKING");
    }
    pipeline.add_command(packet.command.clone());
    if packet.wait > 0 {
        // The answer must arrive before the deadline.
        let limit = deadline.saturating_duration_since(Instant::now()) / 2;
        let milliseconds = limit.as_millis().max(1) as u64;
        pipeline.cmd("WAIT").arg(packet.wait).arg(milliseconds);
    }
    let answers = connection.send_packed_commands(&pipeline, 0, pipeline.len());
    let mut answers = answers.await.map_err(failure)?;
    let confirmed = (packet.wait > 0).then(|| answers.pop()).flatten();
    let answer = answers.pop().unwrap_or(Value::Nil);
    let answer = answer.extract_error().map_err(failure)?;
    match confirmed.map(Value::extract_error) {
        Some(Ok(Value::Int(count))) if count < i64::from(packet.wait) => {
            Err(Failure::Unconfirmed(count))
        }
        Some(Err(error)) => Err(failure(error)),
        _ => Ok(answer),
    }
}

fn failure(error: RedisError) -> Failure {
    match error.code() {
        Some(_) => Failure::Refused(error),
        None => Failure::Lost(describe(&error)),
    }
}
