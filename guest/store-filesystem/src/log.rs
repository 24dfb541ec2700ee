//! Log lines on standard error, in the format of the `session3` program.

use std::fmt;

use session3_record::sweep::Skipped;
use session3_store::StoreError;

use crate::bindings::exports::session3::sessions::events::Event;
use crate::bindings::wasi::cli::stderr::get_stderr;

session3_store::name_event_reasons!(crate::bindings::exports::session3::sessions::events);

/// The largest number of bytes that one call may write (`wasi:io/streams`).
const MAX_LINE: usize = 4096;

/// Logs what the sweep leaves as it is.
pub fn skip(skipped: Skipped<'_>, error: &StoreError) {
    let error = error.to_string();
    match skipped {
        Skipped::Session(id) => say(format_args!(
            " WARN the sweep leaves this session session={id} error={error:?}"
        )),
        Skipped::Entry(id) => say(format_args!(
            " WARN the sweep leaves this entry session={id} error={error:?}"
        )),
        Skipped::Directory(name) => say(format_args!(
            " WARN the sweep leaves this directory directory={name} error={error:?}"
        )),
        Skipped::Position => say(format_args!(
            " WARN the next sweep begins where this one began error={error:?}"
        )),
    }
}

/// Logs that the sweep leaves a lock as it is.
pub fn skip_lock(name: &str, error: &StoreError) {
    let error = error.to_string();
    say(format_args!(
        " WARN the sweep leaves this lock lock={name:?} error={error:?}"
    ));
}

/// Logs why the directory cannot be opened. The application may not show its error.
pub fn open_failed(error: &StoreError) {
    say(format_args!("ERROR {error}"));
}

/// Logs an event that the manager reports. Events of every request get no line. No event
/// contains a token or a secret.
pub fn report(event: &Event) {
    match event {
        Event::Created(_)
        | Event::Renewed(_)
        | Event::Merged(_)
        | Event::CommitBegan
        | Event::CommitEnded => {}
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

/// Writes a line. If that fails, the line is lost: a request must not fail for its log.
fn say(line: fmt::Arguments<'_>) {
    let mut line = line.to_string().into_bytes();
    line.truncate(MAX_LINE - 1);
    line.push(b'\n');
    let _ = get_stderr().blocking_write_and_flush(&line);
}
