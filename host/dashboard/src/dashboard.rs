//! The application: its options, its parts, and its routes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{ConnectInfo, DefaultBodyLimit};
use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Router, middleware};
use session3::layer::SessionLayer;
use session3::manager::{Config, Policy, SameSite};
use session3::store::{Clock, Maintenance, MemoryStore, SystemClock, Timestamp};
use session3::{Administration, SessionError, SessionManager};
use thiserror::Error;
use tokio::net::TcpListener;

use crate::access::{self, Link};
use crate::census::{self, Census};
use crate::checking::{self, Checks};
use crate::ending::{self, EndingAll};
use crate::servers::{MetricsUrl, Servers};
use crate::{layout, live, overview, sessions};

/// The number of requests of operators that are answered at the same time.
const MAX_REQUESTS: u32 = 16;
/// The number of calls of the session manager at the same time. Counting is one of them.
const MAX_CALLS: u32 = 4;
/// The largest form, in bytes.
const MAX_FORM: usize = 64 << 10;

/// What a [`Dashboard`] shows and allows.
pub struct Options {
    store_name: String,
    port: u16,
    is_read_only: bool,
    cache: Option<PathBuf>,
    metrics: Vec<MetricsUrl>,
    clock: Arc<dyn Clock>,
}

impl Options {
    /// Creates options for a store with this name, which the pages show, and for a listener on
    /// this port. A browser sends a cookie to all ports of a host, so the port is a part of the
    /// cookie's name.
    pub fn new(store_name: impl Into<String>, port: u16) -> Self {
        Self {
            store_name: store_name.into(),
            port,
            is_read_only: false,
            cache: None,
            metrics: Vec::new(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Refuses to end sessions and to repair the store.
    pub fn read_only(mut self, is_read_only: bool) -> Self {
        self.is_read_only = is_read_only;
        self
    }

    /// Keeps compiled code in this directory for the next start, as
    /// [`SessionManagerBuilder::cache`](session3::SessionManagerBuilder::cache) does.
    pub fn cache(mut self, directory: Option<PathBuf>) -> Self {
        self.cache = directory;
        self
    }

    /// Shows the metrics of these servers.
    pub fn metrics(mut self, urls: Vec<MetricsUrl>) -> Self {
        self.metrics = urls;
        self
    }

    /// Takes the time of a store whose server has no clock from this one, instead of the
    /// operating system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// Why a dashboard does not start or ends.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DashboardError {
    /// The session manager does not run.
    #[error(transparent)]
    Manager(#[from] SessionError),
    /// The listener could be reached from other machines.
    #[error(
        "{0} is not an address of loopback, and nothing is encrypted: listen on 127.0.0.1 or \
         [::1], and reach it through an SSH tunnel"
    )]
    NotLoopback(SocketAddr),
    /// The listener failed.
    #[error("the listener failed: {0}")]
    Listener(#[from] io::Error),
}

/// The page for operators of one store.
pub struct Dashboard {
    app: Arc<App>,
    log_ins: SessionManager,
}

/// What the handlers share.
pub(crate) struct App {
    pub store: Arc<dyn Maintenance>,
    pub clock: Arc<dyn Clock>,
    pub administration: Administration,
    pub store_name: String,
    pub is_read_only: bool,
    pub link: Arc<Link>,
    pub census: Arc<Census>,
    pub checks: Arc<Checks>,
    pub ending_all: Arc<EndingAll>,
    pub servers: Option<Arc<Servers>>,
}

impl App {
    /// Returns the time by the clock of the store's server, or by the clock of the options.
    pub async fn now(&self) -> Timestamp {
        census::now(&*self.store, &*self.clock).await
    }
}

impl Dashboard {
    /// Starts a dashboard of a store. Call it on a runtime of tokio.
    ///
    /// # Errors
    ///
    /// [`DashboardError::Manager`] if the session manager does not run.
    pub async fn new(
        store: Arc<dyn Maintenance>,
        options: Options,
    ) -> Result<Self, DashboardError> {
        let manager = SessionManager::builder(store.clone())
            .cache(options.cache.as_deref())
            .max_sessions(MAX_CALLS)
            .build()
            .await?;
        let port = options.port;
        let log_ins = SessionManager::builder(Arc::new(MemoryStore::default()))
            .cache(options.cache.as_deref())
            .max_sessions(MAX_REQUESTS)
            .configure(move |config| configure_log_ins(config, port))
            .build()
            .await?;
        let administration = Administration::new(manager);
        let servers = (!options.metrics.is_empty()).then(|| Servers::watch(options.metrics));
        let app = App {
            census: Census::start(store.clone(), administration.clone(), options.clock.clone()),
            store,
            clock: options.clock,
            administration,
            store_name: options.store_name,
            is_read_only: options.is_read_only,
            link: Arc::default(),
            checks: Arc::default(),
            ending_all: Arc::default(),
            servers,
        };
        Ok(Self {
            app: Arc::new(app),
            log_ins,
        })
    }

    /// Returns what makes links that log in.
    pub fn link(&self) -> Arc<Link> {
        self.app.link.clone()
    }

    /// Serves the dashboard until `stop` is done, and then finishes the requests that run.
    ///
    /// # Errors
    ///
    /// [`DashboardError::NotLoopback`] if the listener could be reached from other machines,
    /// [`DashboardError::Listener`] if it fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), DashboardError> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(DashboardError::NotLoopback(address));
        }
        let service = self.router();
        let service = service.into_make_service_with_connect_info::<SocketAddr>();
        let server = axum::serve(listener, service).with_graceful_shutdown(stop);
        Ok(server.await?)
    }

    fn router(&self) -> Router {
        let layer = SessionLayer::new(self.log_ins.clone()).remote_address(client_address);
        Router::new()
            .route("/", get(overview::show))
            .route("/count", post(overview::count_again))
            .route("/sessions", get(sessions::list))
            .route("/session/{id}", get(sessions::show))
            .route("/end", get(ending::ask).post(ending::end))
            .route("/check", get(checking::show).post(checking::start))
            .route("/live", get(live::show))
            .route(access::STYLE, get(layout::style))
            .route("/leave", post(access::leave))
            .route(access::ENTER, get(access::enter))
            .layer(DefaultBodyLimit::max(MAX_FORM))
            .layer(middleware::from_fn(access::guard))
            .layer(layer)
            .layer(middleware::map_response(layout::add_headers))
            .with_state(self.app.clone())
    }
}

/// Configures the log-ins: a cookie for plain HTTP, which belongs to this port alone, and which
/// no other site makes the browser send.
fn configure_log_ins(config: &mut Config, port: u16) {
    config.cookie.name = format!("session3-dashboard-{port}");
    config.cookie.secure = false;
    config.cookie.same_site = SameSite::Strict;
    config.on_client_change = Policy::End;
}

/// Returns the address of the client, which axum adds to the request.
fn client_address(request: &Parts) -> Option<IpAddr> {
    let client = request.extensions.get::<ConnectInfo<SocketAddr>>();
    client.map(|client| client.ip())
}
