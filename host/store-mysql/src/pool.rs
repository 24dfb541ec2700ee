//! The connections that the operations share: the protocol runs one statement at a time on
//! each, so an operation has a connection to itself until its answer came.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use parking_lot::Mutex;
use session3_store::health::Connected;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use crate::connector::{Connector, Unconnected};

/// The largest number of connections, except for those that kill an overdue statement.
const CONNECTIONS: usize = 8;

/// How long a connection may be idle before it is asked whether it still works: a server that
/// was started again, and one whose `wait_timeout` is over, have closed it.
const FRESH: Duration = Duration::from_secs(1);

/// The pauses after an attempt to connect that failed.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A connection that one operation uses. Dropping it closes it.
pub struct Connection {
    pub conn: Conn,
    /// Counts the connection until it is closed.
    connected: Connected,
    generation: u64,
    /// Lets another operation have a connection when this one is dropped or given back.
    permit: OwnedSemaphorePermit,
}

struct Idle {
    conn: Conn,
    connected: Connected,
    since: Instant,
}

/// A bounded number of connections, which are made when they are needed.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    connector: Arc<Connector>,
    permits: Arc<Semaphore>,
    /// The one that was used last is used next, since it has the statements prepared.
    idle: Mutex<Vec<Idle>>,
    /// Counts up when all connections are discarded.
    generation: AtomicU64,
    /// Why the last attempt to connect failed. While this is set, a task tries again.
    down: Mutex<Option<Arc<str>>>,
}

impl Pool {
    pub fn new(connector: Arc<Connector>) -> Self {
        Self(Arc::new(Shared {
            connector,
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
            down: Mutex::default(),
        }))
    }

    /// Returns a connection that works, or why there is none before `deadline`.
    pub async fn take(&self, deadline: Instant) -> Result<Connection, String> {
        let shared = &self.0;
        let permit = shared.permits.clone().acquire_owned();
        let permit = timeout_at(deadline, permit)
            .await
            .map_err(|_| format!("all {CONNECTIONS} connections are in use"))?
            .map_err(|error| error.to_string())?;
        let generation = shared.generation.load(Ordering::SeqCst);
        let (conn, connected) = match shared.idle(deadline).await {
            Some(idle) => idle,
            None => shared.connect(deadline).await?,
        };
        Ok(Connection {
            conn,
            connected,
            generation,
            permit,
        })
    }

    /// Takes a connection back on which no answer is outstanding.
    pub fn give_back(&self, connection: Connection) {
        let shared = &self.0;
        // The lock is held until the permit is dropped, so that there are never more idle
        // connections than permits.
        let mut idle = shared.idle.lock();
        if connection.generation == shared.generation.load(Ordering::SeqCst) {
            idle.push(Idle {
                conn: connection.conn,
                connected: connection.connected,
                since: Instant::now(),
            });
        }
        drop(connection.permit);
    }

    /// Closes the idle connections, and those in use as soon as they are given back: one has
    /// ended, so that others may have ended as well.
    pub fn discard_all(&self) {
        let mut idle = self.0.idle.lock();
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        idle.clear();
    }
}

impl Shared {
    /// Returns an idle connection that works, if there is one.
    async fn idle(&self, deadline: Instant) -> Option<(Conn, Connected)> {
        loop {
            let Idle {
                mut conn,
                connected,
                since,
            } = self.idle.lock().pop()?;
            if since.elapsed() < FRESH {
                return Some((conn, connected));
            }
            if let Ok(Ok(())) = timeout_at(deadline, conn.ping()).await {
                return Some((conn, connected));
            }
            // The others have been idle for longer.
            self.idle.lock().retain(|idle| idle.since > since);
        }
    }

    /// Makes a connection. Fails at once while the server is known to be away.
    async fn connect(self: &Arc<Self>, deadline: Instant) -> Result<(Conn, Connected), String> {
        if let Some(why) = &*self.down.lock() {
            return Err(why.to_string());
        }
        let start = Instant::now();
        match timeout_at(deadline, self.connector.connect()).await {
            Ok(Ok(conn)) => Ok((conn, self.connected())),
            Ok(Err(error)) => Err(self.is_down(&error)),
            Err(_) => {
                let time = deadline.saturating_duration_since(start);
                let error = Unconnected::TimedOut(time);
                // An attempt that had little time says nothing about the server.
                match time * 2 >= self.connector.timeout() {
                    true => Err(self.is_down(&error)),
                    false => Err(error.to_string()),
                }
            }
        }
    }

    /// Notes a new connection: the first ones, which are made when they are needed, replace none.
    fn connected(&self) -> Connected {
        match self.generation.load(Ordering::SeqCst) {
            0 => self.connector.health.connected(),
            _ => self.connector.health.reconnected(),
        }
    }

    /// Remembers why the server is away, and starts a task that waits for its return unless
    /// there is one.
    fn is_down(self: &Arc<Self>, error: &Unconnected) -> String {
        let why = error.to_string();
        let before = self.down.lock().replace(why.as_str().into());
        if before.is_none() {
            self.connector.health.is_away(&why);
            tokio::spawn(wait_for_return(Arc::downgrade(self)));
        }
        why
    }
}

/// Tries to connect until that succeeds, or the store is dropped.
async fn wait_for_return(shared: Weak<Shared>) {
    let mut pause = MIN_PAUSE;
    loop {
        // Web servers that lost their server together do not return together.
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        pause = (pause * 2).min(MAX_PAUSE);
        let Some(shared) = shared.upgrade() else {
            return;
        };
        match shared.connector.connect().await {
            Ok(conn) => {
                let since = Instant::now();
                let connected = shared.connected();
                let mut idle = shared.idle.lock();
                if idle.len() < CONNECTIONS {
                    idle.push(Idle {
                        conn,
                        connected,
                        since,
                    });
                }
                *shared.down.lock() = None;
                return;
            }
            Err(error) => {
                let why = error.to_string();
                // The connections that were in use have ended by now.
                shared.connector.health.is_away(&why);
                *shared.down.lock() = Some(why.into());
            }
        }
    }
}
