//! The sessions of one user: what users see and end of their own, and how many
//! they may have.

use crate::bindings::exports::session3::sessions::manager::{SessionError, SessionSummary};
use crate::bindings::session3::sessions::{
    events::EndReason,
    store::{StoreError, StoredSession},
};
use crate::config::timed_out;
use crate::ending::{end, end_of_user};
use crate::errors::session_error;
use crate::imports::Imports;
use crate::session::{End, Session};
use crate::state::State;
use crate::token::is_id;

impl Session {
    /// The user's sessions that have not timed out.
    pub fn own_sessions(&self, imports: &dyn Imports) -> Result<Vec<SessionSummary>, SessionError> {
        let now = imports.now();
        let ids = self.ids_of_user(imports).map_err(session_error)?;
        let (sessions, loaded) = self.load_of_user(&ids, imports);
        loaded.map_err(session_error)?;
        let living = sessions.into_iter().filter_map(|stored| {
            let state = State::decode(&stored.state).ok()?;
            let ended = timed_out(&self.config, &stored, state.created, now);
            ended.is_none().then(|| SessionSummary {
                is_current: self.id() == Some(&stored.id),
                id: stored.id,
                created: state.created,
                accessed: stored.modified,
                remote_address: state.remote_address,
                user_agent: state.user_agent,
            })
        });
        Ok(living.collect())
    }

    /// Ends one of the user's sessions; whether there was one.
    pub fn expire_own(&mut self, id: &str, imports: &dyn Imports) -> Result<bool, SessionError> {
        self.check_writable()?;
        let Some(user) = &self.view.user else {
            return Ok(false);
        };
        // It comes from a form, so it may be anything.
        if !is_id(id) {
            return Ok(false);
        }
        let stored = imports.load_session(id).map_err(session_error)?;
        if stored.is_none_or(|stored| stored.state.user.as_ref() != Some(user)) {
            return Ok(false);
        }
        let ended = end(id, EndReason::ExpiredByApplication, imports)?;
        if self.id() == Some(id) {
            self.view.empty();
            self.end = End::Deleted;
        }
        Ok(ended)
    }

    /// Ends all of the user's sessions but this one; how many.
    pub fn expire_others(&self, imports: &dyn Imports) -> Result<u32, SessionError> {
        self.check_writable()?;
        let Some(user) = &self.view.user else {
            return Ok(0);
        };
        end_of_user(user, self.id(), EndReason::ExpiredByApplication, imports)
    }

    /// Ends the user's least recently used sessions, where there are more than
    /// `max`, but never this one.
    ///
    /// Of two log-ins at once, each sees the same order and ends what stands
    /// first in it, so that they never end each other. What cannot be ended now
    /// is left to a later one.
    pub fn end_surplus(&self, max: u32, imports: &dyn Imports) -> Result<(), StoreError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let ids = self.ids_of_user(imports)?;
        if ids.len() <= max {
            return Ok(());
        }
        let now = imports.now();
        let (mut sessions, _) = self.load_of_user(&ids, imports);
        while sessions.len() > max {
            // Those that have timed out, and nobody has deleted yet, first.
            let key = |s: &StoredSession| (s.state.expires > now, s.modified);
            let order = |a: &&StoredSession, b: &&StoredSession| {
                key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
            };
            let Some(next) = sessions.iter().min_by(order) else {
                break;
            };
            let id = next.id.clone();
            if self.id() != Some(&id) {
                let _ = end(&id, EndReason::TooMany, imports);
            }
            sessions.retain(|session| session.id != id);
        }
        Ok(())
    }

    /// Those of these sessions that have not gone to another user since they
    /// were listed, without damaged ones; and whether all could be loaded.
    fn load_of_user(
        &self,
        ids: &[String],
        imports: &dyn Imports,
    ) -> (Vec<StoredSession>, Result<(), StoreError>) {
        let mut sessions = Vec::new();
        let mut loaded = Ok(());
        for id in ids {
            match imports.load_session(id) {
                Ok(Some(stored)) if stored.state.user == self.view.user => sessions.push(stored),
                Ok(_) | Err(StoreError::Corrupt(_)) => {}
                Err(error) => loaded = Err(error),
            }
        }
        (sessions, loaded)
    }

    fn ids_of_user(&self, imports: &dyn Imports) -> Result<Vec<String>, StoreError> {
        match &self.view.user {
            Some(user) => imports.sessions_of_user(user),
            None => Ok(Vec::new()),
        }
    }
}
