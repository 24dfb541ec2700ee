//! The options of the log, and how events become its lines.

use std::io::{self, IsTerminal};

use clap::{Args, ValueEnum};
use serde_json::json;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::log::Log;

/// The options of the log of a server.
#[derive(Args, Clone)]
pub struct LogOptions {
    #[command(flatten)]
    lines: LineOptions,
    /// Log each request, with its method, path without query, status, bytes, time, ID, client
    /// and session
    #[arg(long)]
    access_log: bool,
}

/// The options of the lines of a log.
#[derive(Args, Clone)]
pub struct LineOptions {
    /// Log what is at least as important as this level
    #[arg(long, value_name = "LEVEL", value_enum, default_value = "info")]
    log_level: LogLevel,
    /// Write each entry of the log as a line of text, or as a line with a JSON object
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogOptions {
    /// Returns whether the lines of the log are for programs.
    pub fn is_json(&self) -> bool {
        self.lines.log_format == LogFormat::Json
    }

    /// Returns the options of the lines.
    pub fn lines(&self) -> &LineOptions {
        &self.lines
    }

    /// Returns whether each request is logged.
    pub fn has_access_log(&self) -> bool {
        self.access_log
    }
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => Self::OFF,
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

/// Starts the log on standard error. A server has options, and its lines have the time; those
/// of other commands have not.
///
/// # Errors
///
/// If the thread that writes the log cannot be started.
pub fn start(options: Option<&LineOptions>) -> io::Result<Log> {
    let format = options.map_or(LogFormat::Text, |options| options.log_format);
    let level = options.map_or(LevelFilter::INFO, |options| options.log_level.into());
    let dropped_line = match (format, options.is_some()) {
        (LogFormat::Json, _) => dropped_json,
        (LogFormat::Text, true) => dropped_text_with_time,
        (LogFormat::Text, false) => dropped_text,
    };
    let log = Log::start(io::stderr(), dropped_line)?;
    tracing_subscriber::registry()
        .with(lines(log.clone(), format, options.is_some()))
        .with(levels(level))
        .init();
    Ok(log)
}

/// Returns the layer that makes the lines of the log.
fn lines<S>(log: Log, format: LogFormat, has_time: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = fmt::layer()
        .with_writer(move || log.clone())
        .with_target(false)
        // Otherwise a failed write is reported on standard error, which panics if that is
        // closed.
        .log_internal_errors(false);
    match (format, has_time) {
        (LogFormat::Json, _) => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
        (LogFormat::Text, true) => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        (LogFormat::Text, false) => lines
            .without_time()
            .with_ansi(io::stderr().is_terminal())
            .boxed(),
    }
}

/// Returns the filter by level. Libraries log what concerns their developers below `info`, so
/// only the crates of this project log that.
fn levels(level: LevelFilter) -> Targets {
    Targets::new()
        .with_default(level.min(LevelFilter::INFO))
        .with_target("session3", level)
}

const DROPPED: &str = "lines of the log that were dropped here, because the reader of standard \
    error was too slow";

/// Returns the line that says how many lines are missing, in the form of the other lines.
fn dropped_text(dropped: u64) -> String {
    format!(" WARN {DROPPED}: {dropped}")
}

fn dropped_text_with_time(dropped: u64) -> String {
    format!("{} {}", now(), dropped_text(dropped))
}

fn dropped_json(dropped: u64) -> String {
    json!({"timestamp": now(), "level": "WARN", "message": DROPPED, "dropped": dropped}).to_string()
}

fn now() -> String {
    let mut now = String::new();
    // Writing to a string does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_about_dropped_lines_has_the_form_of_the_others() {
        let text = dropped_text_with_time(3);
        let (time, rest) = text.split_once(' ').expect("a time");
        assert!(time.ends_with('Z') && time.len() > 20, "{time}");
        assert!(
            rest.starts_with(" WARN lines") && rest.ends_with(": 3"),
            "{rest}"
        );
        let line: serde_json::Value = serde_json::from_str(&dropped_json(3)).expect("JSON");
        assert_eq!(
            (&line["level"], &line["dropped"]),
            (&json!("WARN"), &json!(3))
        );
    }
}
