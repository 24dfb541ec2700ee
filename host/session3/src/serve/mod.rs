//! The server, which answers HTTP/1.1 and HTTP/2 with a component that exports `wasi:http`.

mod answering;
mod application;
mod authority;
mod buffers;
mod client;
mod connection;
mod failure;
mod file_access;
mod handler;
mod host;
mod instances;
mod observed;
mod options;
mod outbound;
mod output;
mod pace;
mod refusal;
mod request_body;
mod response_body;
mod running;
mod sent_body;
mod sent_file;
mod serving;
mod state;
mod static_directory;
mod static_files;
mod time_limit;
mod turns;
mod without_content;

use std::sync::Arc;

use hyper::body::Bytes;
use session3_listen::Listener;
use tokio::sync::{Semaphore, watch};

use crate::ctx::SessionsCtx;

use application::Application;
use buffers::Buffers;
use file_access::FileAccess;
use host::Host;
pub use observed::ACCESS_LOG;
pub use options::ServeOptions;
use response_body::MAX_HELD;
use static_files::StaticFiles;

/// How much of the bodies of requests and responses the server holds for its clients, in bytes:
/// for each request that may run, and at least. It is as much as a response may hold, so that
/// slow clients of as many large responses as there are instances leave all instances to others.
const HELD_PER_INSTANCE: usize = MAX_HELD;
const MIN_HELD: usize = 64 << 20;

/// A server for a component. By default, each request gets a new instance of it.
///
/// Clones share one server, so that one of them can [replace](Self::replace) the
/// component while another one serves. The [documentation of the crate](crate) has a
/// complete example.
///
/// A component that computes occupies a thread of the runtime for 5 ms at a time. Set tokio's
/// `event_interval` and `global_queue_interval` to 1 and 2, so that a busy thread
/// looks for new requests soon.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

/// What all clones of a server share.
struct Shared {
    host: Arc<Host>,
    /// The component that serves new requests.
    application: watch::Sender<Arc<Application>>,
    static_files: watch::Sender<Arc<StaticFiles>>,
    /// A page that is the answer to every request.
    notice: watch::Sender<Option<Bytes>>,
    file_access: FileAccess,
    /// One permit for each request that may run or wait.
    admissions: Arc<Semaphore>,
    /// One permit for each connection.
    connections: Arc<Semaphore>,
    buffers: Buffers,
}

impl Server {
    /// Compiles a component and links it to the store of the sessions.
    ///
    /// The component can use `wasi:http` to answer requests, clocks and random numbers,
    /// and the directories, environment variables and servers that the options grant. It
    /// cannot use the network otherwise. Its output is logged.
    ///
    /// # Errors
    ///
    /// If `component` is not a web application, imports something else, or needs more
    /// memory than the options allow; if a granted directory, a directory of static files or
    /// the cache cannot be opened.
    pub fn new(
        component: &[u8],
        sessions: SessionsCtx,
        options: ServeOptions,
    ) -> wasmtime::Result<Self> {
        let host = Arc::new(Host::new(sessions, options)?);
        let options = &host.options;
        let static_files = options.open_static_files()?;
        let application = Application::new(component, host.clone())?;
        let held = MIN_HELD.max(options.max_instances as usize * HELD_PER_INSTANCE);
        let shared = Shared {
            application: watch::Sender::new(Arc::new(application)),
            static_files: watch::Sender::new(Arc::new(static_files)),
            notice: watch::Sender::new(None),
            file_access: FileAccess::new(options.time_limit),
            admissions: Arc::new(Semaphore::new(options.max_admitted())),
            connections: Arc::new(Semaphore::new(options.max_connections as usize)),
            buffers: Buffers::new(held),
            host,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Compiles another component, which serves all requests from then on. Requests that
    /// are running finish with the previous component. The directories of static files are
    /// opened again, since their paths may lead to other directories by now.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new). The server then continues with the previous
    /// component and the previous directories.
    pub fn replace(&self, component: &[u8]) -> wasmtime::Result<()> {
        let shared = &self.shared;
        let static_files = shared.host.options.open_static_files()?;
        let application = Application::new(component, shared.host.clone())?;
        shared.application.send_replace(Arc::new(application));
        shared.static_files.send_replace(Arc::new(static_files));
        Ok(())
    }

    /// Answers every request with a page and the status 503, in place of the application and of
    /// static files, until the next call. `None` lets the application answer again.
    ///
    /// `page` is HTML. `session3 dev` shows the messages of a failed build in this way.
    pub fn set_notice(&self, page: Option<String>) {
        self.shared.notice.send_replace(page.map(Bytes::from));
    }

    /// Accepts connections and answers requests until `stop` is ready. Then it accepts the
    /// connections that wait already, and returns when the requests of all its connections have
    /// finished, at the latest three seconds after twice the time limit of a request.
    ///
    /// Clones may serve other listeners at the same time. They share the limits of the options,
    /// and each one stops for itself.
    pub async fn serve(self, listener: Listener, stop: impl Future<Output = ()>) {
        self.shared.serve(listener, stop).await;
    }
}
