//! The lines that stores write to the log.

use std::fmt;
use std::sync::{Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, subscriber};

use crate::server::PASSWORD;

/// Collects the lines of all stores of this process.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(Log::default)
}

/// Begins to collect lines.
pub fn collect() {
    // It fails if another test has begun already.
    let _ = subscriber::set_global_default(Collector);
}

/// Returns the lines that contain a text.
pub fn lines(part: &str) -> Vec<String> {
    let lines = log().0.lock().unwrap();
    assert!(!lines.iter().any(|line| line.contains(PASSWORD)));
    let found = lines.iter().filter(|line| line.contains(part));
    found.cloned().collect()
}

struct Collector;

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("session3")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        log().0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {value:?}"));
    }
}
