//! The functions of administration programs.

use crate::bindings::exports::session3::sessions::{
    admin::{InfoPage, SessionInfo, SweepReport},
    manager::SessionError,
};
use crate::bindings::session3::sessions::{
    events::EndReason,
    store::{StoreError, StoredSession},
};
use crate::ending::end_session;
use crate::errors::session_error;
use crate::imports::Imports;
use crate::state::State;
use crate::user_sessions::end_sessions_of_user;

/// The time that one call may take to end all sessions, in milliseconds. Servers give a
/// request much more.
const SWEEP_TIME: u64 = 5_000;
/// The number of sessions that such a call loads at once.
const SWEEP_PAGE: u32 = 1000;

/// Returns one session.
pub fn show(id: &str, imports: &dyn Imports) -> Result<Option<SessionInfo>, String> {
    let stored = imports.load_session(id).map_err(store_error_text)?;
    stored.map(session_info).transpose().map_err(|(_, why)| why)
}

/// Returns one page of all sessions.
pub fn list(cursor: Option<&str>, limit: u32, imports: &dyn Imports) -> Result<InfoPage, String> {
    let page = imports
        .iter_sessions(cursor, limit.max(1))
        .map_err(store_error_text)?;
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

/// Returns the sessions of one user.
pub fn list_of_user(user: &str, imports: &dyn Imports) -> Result<Vec<SessionInfo>, String> {
    let mut sessions = Vec::new();
    for id in imports.sessions_of_user(user).map_err(store_error_text)? {
        match imports.load_session(&id) {
            Ok(stored) => {
                // Another user may have logged in to the session since it was listed.
                let stored = stored.filter(|stored| stored.state.user.as_deref() == Some(user));
                sessions.extend(stored.and_then(|stored| session_info(stored).ok()));
            }
            Err(StoreError::Corrupt(_)) => {}
            Err(error) => return Err(store_error_text(error)),
        }
    }
    Ok(sessions)
}

/// Ends one session and returns whether there was one.
pub fn delete(id: &str, imports: &dyn Imports) -> Result<bool, String> {
    end_session(id, EndReason::ByAdministrator, imports).map_err(session_error_text)
}

/// Ends the sessions of one user and returns their number.
pub fn delete_of_user(user: &str, imports: &dyn Imports) -> Result<u32, String> {
    end_sessions_of_user(user, None, EndReason::ByAdministrator, imports)
        .map_err(session_error_text)
}

/// Ends the sessions of all users until its time is over. A session that cannot be ended
/// does not stop the call. The call that reaches the last page returns the first error.
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
        let page = page.map_err(store_error_text)?;
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

/// Deletes the sessions that were not used for this many minutes or have expired.
pub fn delete_old(minutes: u32, imports: &dyn Imports) -> Result<SweepReport, String> {
    let report = imports
        .delete_old_sessions(minutes)
        .map_err(store_error_text)?;
    Ok(SweepReport {
        deleted: report.deleted,
        remaining: report.remaining,
        complete: report.complete,
    })
}

/// Returns the contents of a record, or its ID and the reason why it cannot be read.
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
        authenticated: state.authenticated,
        is_remembered: state.is_remembered,
        remote_address: state.remote_address,
        user_agent: state.user_agent,
        attributes: attributes.map(|(name, a)| (name, a.into())).collect(),
    })
}

fn store_error_text(error: StoreError) -> String {
    session_error_text(session_error(error))
}

fn session_error_text(error: SessionError) -> String {
    match error {
        SessionError::Store(why) | SessionError::Invalid(why) => why,
        _ => "the store is busy, or another sweep is in progress: try again later".into(),
    }
}
