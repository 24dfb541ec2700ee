//! Lines on standard error, as the `session3` program writes them.

#[path = "../../../host/src/metrics/reasons.rs"]
mod reasons;

use std::fmt;

use crate::bindings::exports::session3::sessions::events::{EndReason, Event, RejectReason};
use crate::bindings::wasi::cli::stderr::get_stderr;
use crate::store::{SessionId, StoreError};
use reasons::{end_reason, reject_reason};

/// What one call writes at most (wasi:io).
const MAX_LINE: usize = 4096;

/// Says that the sweep left something.
pub fn left(id: &SessionId, what: &str, error: &StoreError) {
    let error = error.to_string();
    say(format_args!(
        " WARN the sweep leaves this {what} session={id} error={error:?}"
    ));
}

/// Says that the sweep left all that is in a directory.
pub fn left_directory(name: &str, error: &StoreError) {
    let error = error.to_string();
    say(format_args!(
        " WARN the sweep leaves this directory directory={name} error={error:?}"
    ));
}

/// Says that the sweep left a lock.
pub fn left_lock(name: &str, error: &StoreError) {
    let error = error.to_string();
    say(format_args!(
        " WARN the sweep leaves this lock lock={name:?} error={error:?}"
    ));
}

/// Says why there is no store at all, whatever the application makes of that.
pub fn closed(error: &StoreError) {
    say(format_args!("ERROR {error}"));
}

/// Says what the manager reports. Ordinary life is not worth a line, since every
/// request has a part in it. The manager reports no token and no secret.
pub fn report(event: &Event) {
    match event {
        Event::Created(_) | Event::Renewed(_) | Event::Merged(_) => {}
        Event::UserChanged(id) => say(format_args!(" INFO user changed session={id}")),
        Event::Ended((id, reason)) => {
            let reason = end_reason(*reason);
            say(format_args!(" INFO ended session={id} reason={reason:?}"));
        }
        Event::Rejected((id, reason)) => {
            let (session, reason) = (id.as_deref().unwrap_or("none"), reject_reason(*reason));
            say(format_args!(
                " INFO token rejected session={session:?} reason={reason:?}"
            ));
        }
        Event::Damaged((id, why)) => {
            say(format_args!(
                "ERROR record damaged session={id} why={why:?}"
            ));
        }
        Event::ClientChanged(id) => say(format_args!(" WARN client changed session={id}")),
    }
}

/// A line that cannot be written is lost: a request does not fail for it.
fn say(line: fmt::Arguments<'_>) {
    let mut line = line.to_string().into_bytes();
    line.truncate(MAX_LINE - 1);
    line.push(b'\n');
    let _ = get_stderr().blocking_write_and_flush(&line);
}
