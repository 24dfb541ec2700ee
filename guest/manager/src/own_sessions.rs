//! The sessions of the user who is logged in: the user can list and end them.

use crate::bindings::exports::session3::sessions::manager::{SessionError, SessionSummary};
use crate::bindings::session3::sessions::events::EndReason;
use crate::ending::end_session;
use crate::errors::session_error;
use crate::imports::Imports;
use crate::session::{End, Session};
use crate::state::State;
use crate::timeouts::timed_out;
use crate::token::is_id;
use crate::user_sessions::{end_sessions_of_user, load_sessions_of_user};

impl Session {
    /// Returns the user's sessions that have not timed out and can be read.
    pub fn own_sessions(&self, imports: &dyn Imports) -> Result<Vec<SessionSummary>, SessionError> {
        let now = imports.now();
        let Some(user) = &self.view.user else {
            return Ok(Vec::new());
        };
        let ids = imports.sessions_of_user(user).map_err(session_error)?;
        let (sessions, loaded) = load_sessions_of_user(user, &ids, imports);
        loaded.map_err(session_error)?;
        let living = sessions.into_iter().filter_map(|stored| {
            let state = State::decode(&stored.state).ok()?;
            let ended = timed_out(&self.config, &stored, &state, now);
            ended.is_none().then(|| SessionSummary {
                is_current: self.id() == Some(&stored.id),
                id: stored.id,
                created: state.created,
                accessed: stored.modified,
                expires: stored.state.expires,
                is_remembered: state.is_remembered,
                remote_address: state.remote_address,
                user_agent: state.user_agent,
            })
        });
        Ok(living.collect())
    }

    /// Ends one of the user's sessions at once, and returns whether there was one.
    pub fn expire_own(&mut self, id: &str, imports: &dyn Imports) -> Result<bool, SessionError> {
        self.check_immediate()?;
        let Some(user) = &self.view.user else {
            return Ok(false);
        };
        // The ID comes from a form, so it may be any text.
        if !is_id(id) {
            return Ok(false);
        }
        let stored = imports.load_session(id).map_err(session_error)?;
        if stored.is_none_or(|stored| stored.state.user.as_ref() != Some(user)) {
            return Ok(false);
        }
        let ended = end_session(id, EndReason::ExpiredByApplication, imports)?;
        if self.id() == Some(id) {
            self.view.clear_user_and_contents();
            self.end = End::Deleted;
        }
        Ok(ended)
    }

    /// Ends all of the user's sessions except this one at once, and returns their number.
    pub fn expire_others(&self, imports: &dyn Imports) -> Result<u32, SessionError> {
        self.check_immediate()?;
        let Some(user) = &self.view.user else {
            return Ok(0);
        };
        let reason = EndReason::ExpiredByApplication;
        end_sessions_of_user(user, self.id(), reason, imports)
    }
}
