//! What a test's code writes to the log and to the metrics.

use std::io;
use std::sync::{Arc, LazyLock};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use tracing::Dispatch;

/// A second subscriber. While there is only one, tracing asks the thread that first logs a line
/// whether any subscriber wants it, and that may be the thread of another test.
static OTHER: LazyLock<Dispatch> =
    LazyLock::new(|| Dispatch::new(tracing_subscriber::fmt().finish()));

/// Runs a test's future on a runtime with a single thread, whose log and metrics the observer
/// has.
pub fn observed(test: impl AsyncFnOnce(&Observer)) {
    LazyLock::force(&OTHER);
    let recorder = PrometheusBuilder::new().build_recorder();
    let observer = Observer {
        log: Log::default(),
        metrics: recorder.handle(),
    };
    let log = observer.log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || log.clone())
        .finish();
    let _log = tracing::subscriber::set_default(subscriber);
    let _metrics = metrics::set_default_local_recorder(&recorder);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test(&observer));
}

/// The log and the metrics of one test.
pub struct Observer {
    log: Log,
    metrics: PrometheusHandle,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Observer {
    /// Returns the lines of the log.
    pub fn lines(&self) -> Vec<String> {
        let log = String::from_utf8(self.log.0.lock().clone()).unwrap();
        log.lines().map(str::to_owned).collect()
    }

    /// Returns the metrics in the format of Prometheus.
    pub fn metrics(&self) -> String {
        self.metrics.render()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
