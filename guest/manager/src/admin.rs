//! What administration programs see and do.

use crate::bindings::exports::session3::sessions::{
    admin::{InfoPage, SessionInfo, SweepReport},
    manager::SessionError,
};
use crate::bindings::session3::sessions::{
    events::EndReason,
    store::{StoreError, StoredSession},
};
use crate::ending::{end, end_of_user};
use crate::errors::session_error;
use crate::imports::Imports;
use crate::state::State;

/// Milliseconds that ending everyone's sessions may take: well below the time
/// that servers give a request.
const SWEEP_TIME: u64 = 5_000;
/// Sessions of one page of it.
const SWEEP_PAGE: u32 = 1000;

/// One session.
pub fn show(id: &str, imports: &dyn Imports) -> Result<Option<SessionInfo>, String> {
    let stored = imports.load_session(id).map_err(text)?;
    stored.map(session_info).transpose().map_err(|(_, why)| why)
}

/// One page of all sessions.
pub fn list(cursor: Option<&str>, limit: u32, imports: &dyn Imports) -> Result<InfoPage, String> {
    let page = imports.iter_sessions(cursor, limit.max(1)).map_err(text)?;
    let mut damaged = page.damaged;
    let mut sessions = Vec::new();
    for stored in page.sessions {
        match session_info(stored) {
            Ok(info) => sessions.push(info),
            Err(id_and_why) => damaged.push(id_and_why),
        }
    }
    let next = page.next;
    Ok(InfoPage {
        sessions,
        damaged,
        next,
    })
}

/// The sessions of one user.
pub fn list_of_user(user: &str, imports: &dyn Imports) -> Result<Vec<SessionInfo>, String> {
    let mut sessions = Vec::new();
    for id in imports.sessions_of_user(user).map_err(text)? {
        match imports.load_session(&id) {
            Ok(stored) => {
                // It may have gone to another user meanwhile.
                let stored = stored.filter(|stored| stored.state.user.as_deref() == Some(user));
                sessions.extend(stored.and_then(|stored| session_info(stored).ok()));
            }
            Err(StoreError::Corrupt(_)) => {}
            Err(error) => return Err(text(error)),
        }
    }
    Ok(sessions)
}

/// Ends one session; whether there was one.
pub fn delete(id: &str, imports: &dyn Imports) -> Result<bool, String> {
    end(id, EndReason::ByAdministrator, imports).map_err(error_text)
}

/// Ends the sessions of one user; how many.
pub fn delete_of_user(user: &str, imports: &dyn Imports) -> Result<u32, String> {
    end_of_user(user, None, EndReason::ByAdministrator, imports).map_err(error_text)
}

/// Ends everyone's sessions, as far as there is time. One that cannot be ended
/// keeps no other one: why is the error once all others are.
pub fn delete_all(imports: &dyn Imports) -> Result<SweepReport, String> {
    let deadline = imports.now().saturating_add(SWEEP_TIME);
    let mut report = SweepReport {
        deleted: 0,
        remaining: 0,
        complete: false,
    };
    let mut problem = None;
    let mut cursor = None;
    while imports.now() < deadline {
        let page = imports.iter_sessions(cursor.as_deref(), SWEEP_PAGE);
        let page = page.map_err(text)?;
        let damaged = page.damaged.into_iter().map(|(id, _)| id);
        for id in page.sessions.into_iter().map(|s| s.id).chain(damaged) {
            match delete(&id, imports) {
                Ok(ended) => report.deleted += u64::from(ended),
                Err(why) => {
                    report.remaining += 1;
                    problem.get_or_insert(why);
                }
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            report.complete = true;
            break;
        }
    }
    match problem {
        Some(why) if report.complete => Err(why),
        _ => Ok(report),
    }
}

/// Ends what was not used for this many minutes, and what has expired.
pub fn delete_old(minutes: u32, imports: &dyn Imports) -> Result<SweepReport, String> {
    let report = imports.delete_old_sessions(minutes).map_err(text)?;
    Ok(SweepReport {
        deleted: report.deleted,
        remaining: report.remaining,
        complete: report.complete,
    })
}

/// What is in a record; the ID and why, when it cannot be read.
fn session_info(stored: StoredSession) -> Result<SessionInfo, (String, String)> {
    let StoredSession {
        id,
        modified,
        state,
        ..
    } = stored;
    let expires = state.expires;
    let state = match State::decode(&state) {
        Ok(state) => state,
        Err(error) => return Err((id, error.text().into())),
    };
    let attributes = state.attributes.into_iter();
    Ok(SessionInfo {
        id,
        user: state.user,
        created: state.created,
        accessed: modified,
        expires,
        remote_address: state.remote_address,
        user_agent: state.user_agent,
        attributes: attributes.map(|(name, a)| (name, a.into())).collect(),
    })
}

fn text(error: StoreError) -> String {
    error_text(session_error(error))
}

fn error_text(error: SessionError) -> String {
    match error {
        SessionError::Store(why) | SessionError::Invalid(why) => why,
        _ => "the store is busy, or another sweep is under way: try again".into(),
    }
}
