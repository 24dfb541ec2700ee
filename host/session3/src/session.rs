//! The session of one request, for Rust programs.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use session3_store::value::{from_value, to_value};
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::ResourceAny;

use crate::bindings::exports::session3::sessions::manager as wit;
use crate::error::SessionError;
use crate::instances::{Borrowed, Instance, Instances};
use crate::manager::SessionSummary;

/// The session of one request. Changes that are not committed are lost when it is dropped.
///
/// A call that is cancelled, or fails with [`SessionError::Failed`], ends this session
/// value: every later call fails too, and nothing more is saved.
pub struct Session {
    /// `None` while a call runs. A call that is cancelled drops the instance.
    instance: Option<Instance>,
    /// Whether the session was closed, so that every call fails with `Ended`.
    is_closed: bool,
    handle: ResourceAny,
    instances: Arc<Instances>,
    permit: Option<OwnedSemaphorePermit>,
}

/// Calls a function of the component's session resource.
macro_rules! call {
    ($session:ident.$function:ident($($argument:expr),*)) => {{
        let mut instance = $session.take_instance()?;
        let guest = instance.component.session3_sessions_manager();
        let result = guest
            .session()
            .$function(&mut instance.store, $session.handle $(, $argument)*)
            .await
            .map_err(SessionError::failed)?;
        $session.instance = Some(instance);
        result
    }};
}

impl Session {
    pub(crate) fn new(handle: ResourceAny, borrowed: Borrowed, instances: Arc<Instances>) -> Self {
        Self {
            instance: Some(borrowed.instance),
            is_closed: false,
            handle,
            instances,
            permit: Some(borrowed.permit),
        }
    }

    /// Returns the ID, once the session is in the store. It may be shown and logged.
    pub async fn id(&mut self) -> Result<Option<String>, SessionError> {
        Ok(call!(self.call_id()))
    }

    /// Returns whether the request came without a session.
    pub async fn is_new(&mut self) -> Result<bool, SessionError> {
        Ok(call!(self.call_is_new()))
    }

    /// Returns when the session began.
    pub async fn created(&mut self) -> Result<SystemTime, SessionError> {
        Ok(time(call!(self.call_created())))
    }

    /// Returns when the session was used before this request.
    pub async fn accessed(&mut self) -> Result<SystemTime, SessionError> {
        Ok(time(call!(self.call_accessed())))
    }

    /// Returns the user who is logged in.
    pub async fn user(&mut self) -> Result<Option<String>, SessionError> {
        Ok(call!(self.call_user()))
    }

    /// Logs a user in, changes the user, or logs out with `None`. The token changes at the
    /// commit. A log-out and a change of user remove the attributes.
    pub async fn set_user(&mut self, user: Option<&str>) -> Result<(), SessionError> {
        Ok(call!(self.call_set_user(user))?)
    }

    /// Returns when the user was last set.
    pub async fn authenticated(&mut self) -> Result<Option<SystemTime>, SessionError> {
        Ok(call!(self.call_authenticated()).map(time))
    }

    /// Remembers the session beyond the end of the browser, or no longer does: from the commit
    /// on, it has the times of [`Config::remember`](crate::manager::Config::remember).
    ///
    /// # Errors
    ///
    /// [`SessionError::Invalid`] if the configuration has no such times.
    pub async fn remember(&mut self, remember: bool) -> Result<(), SessionError> {
        Ok(call!(self.call_remember(remember))?)
    }

    /// Returns whether the session is remembered.
    pub async fn is_remembered(&mut self) -> Result<bool, SessionError> {
        Ok(call!(self.call_is_remembered()))
    }

    /// Returns whether the session has anything to keep.
    pub async fn has_info(&mut self) -> Result<bool, SessionError> {
        Ok(call!(self.call_has_info()))
    }

    /// Returns an attribute; `None` if there is no attribute with this name.
    ///
    /// # Errors
    ///
    /// [`SessionError::Type`] if the attribute does not convert to `T`.
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, SessionError> {
        match call!(self.call_get(name)) {
            Some(value) => Ok(Some(from_value(value.into())?)),
            None => Ok(None),
        }
    }

    /// Sets an attribute: a boolean, a number, a text or bytes as such, anything else as JSON.
    /// The module [`value`](session3_store::value) has the table.
    ///
    /// # Errors
    ///
    /// [`SessionError::Type`] if JSON could not give the value back as it is, such as NaN or a
    /// map whose keys are numbers.
    pub async fn set(&mut self, name: &str, value: &impl Serialize) -> Result<(), SessionError> {
        let value = to_value(value)?.into();
        Ok(call!(self.call_set(name, &value))?)
    }

    /// Removes an attribute. Returns whether there was one.
    pub async fn remove(&mut self, name: &str) -> Result<bool, SessionError> {
        Ok(call!(self.call_remove(name))?.is_some())
    }

    /// Returns the names of the attributes.
    pub async fn names(&mut self) -> Result<Vec<String>, SessionError> {
        Ok(call!(self.call_names()))
    }

    /// Adds to an integer attribute, which starts at 0, and returns the sum. The additions of
    /// concurrent requests all count.
    pub async fn add(&mut self, name: &str, delta: i64) -> Result<i64, SessionError> {
        Ok(call!(self.call_add(name, delta))?)
    }

    /// Returns the session's token against cross-site request forgery, for a hidden field of
    /// any number of forms. Each call masks it anew.
    pub async fn csrf_token(&mut self) -> Result<String, SessionError> {
        Ok(call!(self.call_csrf_token())?)
    }

    /// Returns whether a token is one that [`csrf_token`](Self::csrf_token) returned for this
    /// session.
    pub async fn is_csrf_token(&mut self, token: &str) -> Result<bool, SessionError> {
        Ok(call!(self.call_is_csrf_token(token)))
    }

    /// Creates a one-time token for a form, against cross-site request forgery.
    pub async fn create_form_token(&mut self) -> Result<String, SessionError> {
        Ok(call!(self.call_create_form_token())?)
    }

    /// Uses up the token of a form, in the store and at once. Returns whether it was good.
    pub async fn remove_form_token(&mut self, token: &str) -> Result<bool, SessionError> {
        Ok(call!(self.call_remove_form_token(token))?)
    }

    /// Adds a message for the next page.
    pub async fn flash(&mut self, message: &str) -> Result<(), SessionError> {
        Ok(call!(self.call_flash(message))?)
    }

    /// Returns the messages, which the commit removes.
    pub async fn take_flashes(&mut self) -> Result<Vec<String>, SessionError> {
        Ok(call!(self.call_take_flashes())?)
    }

    /// Renews the token at the commit.
    pub async fn renew(&mut self) -> Result<(), SessionError> {
        Ok(call!(self.call_renew())?)
    }

    /// Ends the session at the commit.
    pub async fn expire(&mut self) -> Result<(), SessionError> {
        Ok(call!(self.call_expire())?)
    }

    /// Drops the changes that were not committed.
    pub async fn forget_changes(&mut self) -> Result<(), SessionError> {
        call!(self.call_forget_changes());
        Ok(())
    }

    /// Returns the sessions of this session's user.
    pub async fn own_sessions(&mut self) -> Result<Vec<SessionSummary>, SessionError> {
        Ok(call!(self.call_own_sessions())?)
    }

    /// Ends one of the user's sessions at once. Returns whether there was one.
    pub async fn expire_own(&mut self, id: &str) -> Result<bool, SessionError> {
        Ok(call!(self.call_expire_own(&id.to_owned()))?)
    }

    /// Ends the user's other sessions at once. Returns how many.
    pub async fn expire_others(&mut self) -> Result<u32, SessionError> {
        Ok(call!(self.call_expire_others())?)
    }

    /// Saves the changes. Returns the headers to append to the response.
    ///
    /// # Errors
    ///
    /// [`SessionError::Ended`] if the session was ended meanwhile, or its user changed;
    /// [`SessionError::Conflict`] in the strict mode; [`SessionError::Invalid`] if the
    /// session is too large. The changes are then still pending.
    pub async fn commit(&mut self) -> Result<HeaderMap, SessionError> {
        let mut headers = HeaderMap::new();
        for wit::Header { name, value } in call!(self.call_commit())? {
            let name = HeaderName::try_from(name).map_err(SessionError::failed)?;
            let value = HeaderValue::try_from(value).map_err(SessionError::failed)?;
            headers.append(name, value);
        }
        Ok(headers)
    }
}

impl Session {
    fn take_instance(&mut self) -> Result<Instance, SessionError> {
        match self.instance.take() {
            Some(instance) => Ok(instance),
            None if self.is_closed => Err(SessionError::Ended),
            None => Err(SessionError::failed(
                "an earlier call of this session failed or was cancelled",
            )),
        }
    }

    /// Returns the instance to the pool, without the changes that were not committed. Every
    /// later call fails with [`SessionError::Ended`].
    pub fn close(&mut self) {
        self.is_closed = true;
        let Some(instance) = self.instance.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (instances, handle) = (self.instances.clone(), self.handle);
        let permit = self.permit.take();
        runtime.spawn(async move {
            // Until the instance is back, its place is taken.
            let _permit = permit;
            let mut instance = instance;
            let dropped = handle.resource_drop_async(&mut instance.store).await;
            if dropped.is_ok() {
                instances.put_back(instance);
            }
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}
