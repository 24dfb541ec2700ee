//! A connection that is kept: a task connects it again when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Error, Row};

use crate::call::{Value, query};
use crate::connector::{Connector, Driver};
use crate::failure::describe;
use crate::prepared::Prepared;

/// The pauses after an attempt to connect that failed.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A connection to the server, which many operations share: each sends its statement without
/// waiting for the answers to the others.
pub struct Connection {
    pub client: Client,
    /// `None` if statements are not prepared.
    prepared: Option<Prepared>,
    pub users: AtomicUsize,
    is_discarded: AtomicBool,
    end: Notify,
}

impl Connection {
    /// Runs a statement.
    pub async fn query(&self, statement: &str, values: &[Value]) -> Result<Vec<Row>, Error> {
        match &self.prepared {
            Some(prepared) => prepared.query(&self.client, statement, values).await,
            None => query(&self.client, statement, values).await,
        }
    }

    /// Ends the connection. Statements that wait for an answer lose it.
    pub fn discard(&self) {
        self.is_discarded.store(true, Ordering::Relaxed);
        self.end.notify_one();
    }

    fn is_usable(&self) -> bool {
        !self.client.is_closed() && !self.is_discarded.load(Ordering::Relaxed)
    }
}

/// What a link leads to.
#[derive(Clone)]
pub enum State {
    /// The first attempt to connect, or to connect again, is under way.
    Connecting,
    Up(Arc<Connection>),
    /// The last attempt failed in this way. Others follow.
    Down(Arc<str>),
}

/// A connection that is kept until this value is dropped.
pub struct Link {
    state: watch::Receiver<State>,
    task: AbortHandle,
}

impl Link {
    pub fn new(connector: Arc<Connector>) -> Self {
        let (sender, state) = watch::channel(State::Connecting);
        let task = tokio::spawn(keep(connector, sender)).abort_handle();
        Self { state, task }
    }

    /// Returns what the link leads to now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until the link no longer connects.
    pub async fn settled(&self) -> State {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting));
        match settled.await {
            Ok(state) => state.clone(),
            Err(_) => State::Down("the runtime of the store ended".into()),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(connector: Arc<Connector>, state: watch::Sender<State>) {
    let health = &connector.health;
    let mut pause = MIN_PAUSE;
    let mut is_first = true;
    loop {
        match connector.connect().await {
            Ok((client, driver)) => {
                let connected = match std::mem::take(&mut is_first) {
                    true => health.connected(),
                    false => health.reconnected(),
                };
                pause = MIN_PAUSE;
                let prepared = connector.prepares.then(Prepared::default);
                use_until_its_end(client, prepared, driver, &state).await;
                drop(connected);
                state.send_replace(State::Connecting);
            }
            Err(error) => {
                let error = describe(&error);
                health.is_away(&error);
                state.send_replace(State::Down(error.into()));
                // Web servers that lost their server together do not return together.
                sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

async fn use_until_its_end(
    client: Client,
    prepared: Option<Prepared>,
    driver: Driver,
    state: &watch::Sender<State>,
) {
    let start = Instant::now();
    let connection = Arc::new(Connection {
        client,
        prepared,
        users: AtomicUsize::new(0),
        is_discarded: AtomicBool::new(false),
        end: Notify::new(),
    });
    state.send_replace(State::Up(connection.clone()));
    tokio::select! {
        _ = driver => {}
        () = connection.end.notified() => {}
    }
    // A server that accepts connections only to end them is not asked all the time.
    if start.elapsed() < MIN_PAUSE {
        state.send_replace(State::Connecting);
        sleep(MIN_PAUSE).await;
    }
}

/// Several links, of which each operation uses the one with the fewest others.
pub struct Links(Vec<Link>);

impl Links {
    pub fn new(connector: &Arc<Connector>, count: usize) -> Self {
        Self((0..count).map(|_| Link::new(connector.clone())).collect())
    }

    /// Returns a connection. Waits while a link connects and none is up; fails at once with the
    /// latest error if all are down.
    pub async fn connection(&self) -> Result<Arc<Connection>, Arc<str>> {
        loop {
            let states = self.0.iter().map(Link::state);
            let up = states.filter_map(|state| match state {
                State::Up(connection) if connection.is_usable() => Some(connection),
                _ => None,
            });
            let users = |connection: &Arc<Connection>| connection.users.load(Ordering::Relaxed);
            if let Some(connection) = up.min_by_key(users) {
                return Ok(connection);
            }
            let mut waiting = self.0.iter().filter(|link| !link.is_down());
            let Some(link) = waiting.next().or(self.0.first()) else {
                return Err("the store has no connection".into());
            };
            match link.settled().await {
                State::Down(error) if self.0.iter().all(Link::is_down) => return Err(error),
                // A connection that has just ended, of which its task does not know yet.
                _ => tokio::task::yield_now().await,
            }
        }
    }
}

impl Link {
    fn is_down(&self) -> bool {
        matches!(*self.state.borrow(), State::Down(_))
    }
}
