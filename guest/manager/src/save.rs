//! Writing a session to the store: the create, the save with its compare-and-swap, and the
//! touch.

use crate::bindings::exports::session3::sessions::manager::{Mode, SessionError};
use crate::bindings::session3::sessions::{
    events::Event,
    store::{SessionState, StoreError},
};
use crate::config::milliseconds;
use crate::errors::session_error;
use crate::imports::Imports;
use crate::merge::{Changes, MAX_ATTEMPTS, load_newer};
use crate::renewal::{KnownToken, Standing};
use crate::session::{Base, Session, Stored};
use crate::state::State;
use crate::token::{Secret, SecretHash, new_id};

/// A secret that a save gives to the session.
struct NewSecret {
    secret: Secret,
    hash: SecretHash,
    /// Whether the user was set, so that the secret replaces all others at once.
    is_for_user: bool,
}

impl Session {
    /// Stores a session for the first time.
    pub(crate) fn create(&mut self, imports: &dyn Imports) -> Result<(), SessionError> {
        let secret = Secret::new(imports);
        let hash = secret.hash();
        let now = imports.now();
        self.view.secrets.start(hash.clone(), now);
        let record = self.view.encode(self.expires(&self.view, now))?;
        for _ in 0..MAX_ATTEMPTS {
            let id = new_id(imports);
            match imports.create_session(&id, &record) {
                Err(StoreError::Exists) => {}
                Err(error) => return Err(session_error(error)),
                Ok(version) => {
                    imports.report(&Event::Created(id.clone()));
                    self.stored = Some(Stored {
                        id,
                        version,
                        last_used: now,
                        token: KnownToken::sent(secret, hash),
                    });
                    self.sends_cookie = true;
                    self.note_commit(record, imports);
                    return Ok(());
                }
            }
        }
        Err(SessionError::Store(
            "the session was not created, since every new ID is taken: check the host's \
             random numbers, which repeat themselves"
                .into(),
        ))
    }

    /// Saves a session with a compare-and-swap. If other requests committed first, and the
    /// mode allows it, the changes are merged into the newer state.
    pub(crate) fn save(&mut self, now: u64, imports: &dyn Imports) -> Result<(), SessionError> {
        let Some(stored) = &self.stored else {
            return Ok(());
        };
        let new_secret = self.new_secret(now, imports);
        let merges = self.mode == Mode::Merge && !self.changes.is_empty();
        let mut version = stored.version;
        let mut newer = None;
        for attempt in 0..MAX_ATTEMPTS {
            let next = self.next_state(newer.take(), new_secret.as_ref(), now)?;
            let state = next.as_ref().unwrap_or(&self.view);
            let record = state.encode(self.expires(state, now))?;
            match imports.save_session(&stored.id, &record, version) {
                Err(StoreError::Conflict(_)) if merges => {
                    let (state, latest) = load_newer(&stored.id, self.base.user_epoch, imports)?;
                    newer = Some(state);
                    version = latest;
                }
                Err(error) => return Err(session_error(error)),
                Ok(version) => {
                    if attempt > 0 {
                        imports.report(&Event::Merged(stored.id.clone()));
                    }
                    self.view = next.unwrap_or_else(|| std::mem::take(&mut self.view));
                    self.note_save(version, record, new_secret, now, imports);
                    return Ok(());
                }
            }
        }
        Err(SessionError::Conflict)
    }

    /// Notes that the session was used, unless a use was noted within `touch-after`.
    pub(crate) fn touch(&mut self, now: u64, imports: &dyn Imports) -> Result<(), SessionError> {
        let expires = self.expires(&self.view, now);
        if !self.is_touch_due(now, expires) {
            return Ok(());
        }
        let Some(stored) = &mut self.stored else {
            return Ok(());
        };
        match imports.touch_session(&stored.id, expires, stored.version) {
            // A request that saved the session has noted a use, too. If a request ended
            // the session, there is nothing to note.
            Err(StoreError::Conflict(_) | StoreError::Absent) => return Ok(()),
            touched => touched.map_err(session_error)?,
        }
        stored.last_used = now;
        self.base.record.expires = expires;
        self.sends_cookie |= self.may_send_again(&self.view, now);
        Ok(())
    }

    /// Creates the secret that this save gives to the session, if it gives one.
    fn new_secret(&self, now: u64, imports: &dyn Imports) -> Option<NewSecret> {
        let is_for_user = self.changes.sets_user();
        if !is_for_user && !self.changes.renews && !self.is_renewal_due(now) {
            return None;
        }
        let secret = Secret::new(imports);
        Some(NewSecret {
            hash: secret.hash(),
            secret,
            is_for_user,
        })
    }

    /// Returns the state to save, or `None` if that is the view. `newer` is the state that
    /// other requests committed, if there is one.
    fn next_state(
        &self,
        newer: Option<State>,
        new_secret: Option<&NewSecret>,
        now: u64,
    ) -> Result<Option<State>, SessionError> {
        let confirmed = self.pending_token();
        if newer.is_none() && new_secret.is_none() && confirmed.is_none() {
            return Ok(None);
        }
        let grace = milliseconds(self.config.renew_grace);
        let mut next = match newer {
            None => self.view.clone(),
            Some(mut state) => {
                state.correct_times(now, grace);
                self.changes.apply(&self.view, &mut state)?;
                state
            }
        };
        if let Some(token) = confirmed {
            next.secrets.confirm(&token.hash, now.saturating_add(grace));
        }
        if let Some(new) = new_secret {
            let hash = new.hash.clone();
            if new.is_for_user {
                next.secrets.replace(hash, now);
            } else {
                next.secrets
                    .renew(&self.base.newest_secret, hash, grace, now);
            }
        }
        Ok(Some(next))
    }

    fn note_save(
        &mut self,
        version: u64,
        record: SessionState,
        new_secret: Option<NewSecret>,
        now: u64,
        imports: &dyn Imports,
    ) {
        let was_touch_due = self.is_touch_due(now, record.expires);
        if let Some(stored) = &mut self.stored {
            stored.version = version;
            stored.last_used = now;
            if stored.token.is_pending() {
                stored.token.standing = Standing::Current;
            }
            // The new secret is not the newest if its renewal yielded to another one.
            if let Some(new) = new_secret.filter(|new| self.view.secrets.is_newest(&new.hash)) {
                stored.token = KnownToken::sent(new.secret, new.hash);
                self.sends_cookie = true;
                if !new.is_for_user {
                    imports.report(&Event::Renewed(stored.id.clone()));
                }
            }
        }
        self.sends_cookie |= was_touch_due && self.may_send_again(&self.view, now);
        self.note_commit(record, imports);
    }

    /// Makes the committed state the base of further changes.
    fn note_commit(&mut self, record: SessionState, imports: &dyn Imports) {
        if self.changes.sets_user() {
            self.logged_in = self.view.user.is_some();
            self.takes_user_away |= self.changes.clears_contents();
            if let Some(id) = self.id() {
                imports.report(&Event::UserChanged(id.to_owned()));
            }
        }
        self.base = Base::new(record, &self.view);
        self.changes = Changes::default();
        self.has_wrong_times = false;
    }
}
