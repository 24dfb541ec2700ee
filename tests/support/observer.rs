//! What a test's code writes to the log and to the metrics.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;
use tracing::Dispatch;

/// A second subscriber. While there is only one, tracing asks the thread that first logs a line
/// whether any subscriber wants it, and that may be the thread of another test.
static OTHER: LazyLock<Dispatch> =
    LazyLock::new(|| Dispatch::new(tracing_subscriber::fmt().finish()));

/// Runs a test's future on a runtime with a single thread, whose log and metrics the observer
/// has.
pub fn observed<T>(test: impl AsyncFnOnce(&Observer) -> T) -> T {
    LazyLock::force(&OTHER);
    let observer = Observer::default();
    let log = observer.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || log.clone())
        .finish();
    let _log = tracing::subscriber::set_default(subscriber);
    let _metrics = metrics::set_default_local_recorder(&observer);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test(&observer))
}

/// The log and the metrics of one test.
#[derive(Clone, Default)]
pub struct Observer {
    log: Arc<Mutex<Vec<u8>>>,
    metrics: Arc<Mutex<BTreeMap<Key, Arc<AtomicU64>>>>,
}

impl Observer {
    /// Returns the lines of the log.
    pub fn lines(&self) -> Vec<String> {
        let log = String::from_utf8(self.log.lock().clone()).unwrap();
        log.lines().map(str::to_owned).collect()
    }

    /// Returns the sum of the counters of this name.
    pub fn counter(&self, name: &str) -> u64 {
        self.values(name).iter().sum()
    }

    /// Returns the counter of this name with this value of its label.
    pub fn counter_of(&self, name: &str, label: &str) -> u64 {
        let metrics = self.metrics.lock();
        let is_meant =
            |key: &Key| key.name() == name && key.labels().any(|found| found.value() == label);
        let found = metrics.iter().find(|(key, _)| is_meant(key));
        found.map_or(0, |(_, value)| value.load(Ordering::SeqCst))
    }

    /// Returns the values of the gauges of this name.
    pub fn gauges(&self, name: &str) -> Vec<f64> {
        self.values(name).into_iter().map(f64::from_bits).collect()
    }

    fn values(&self, name: &str) -> Vec<u64> {
        let metrics = self.metrics.lock();
        let named = metrics.iter().filter(|(key, _)| key.name() == name);
        named
            .map(|(_, value)| value.load(Ordering::SeqCst))
            .collect()
    }

    fn metric(&self, key: &Key) -> Arc<AtomicU64> {
        self.metrics.lock().entry(key.clone()).or_default().clone()
    }
}

impl io::Write for Observer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.log.lock().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Recorder for Observer {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.metric(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.metric(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
