//! Sessions for handlers with the types of [`wstd`], which are asynchronous.

use serde::de::DeserializeOwned;
use wstd::http::body::util::{BodyExt, LengthLimitError, Limited};
use wstd::http::{Body, Error as AnyError, Request, Response};

use crate::Sessions;
use crate::error::{Error, FormError};
use crate::form::{MAX_FORM, parse_form};
use crate::form_type::check_type;
use crate::session::Session;

/// Calls a handler with a request and its session, and commits the session before the response
/// is sent.
///
/// A handler that returns an error, or a response with a status of 500 or above, leaves the
/// session as it was. If the error is one of this crate, the response has its
/// [`status`](crate::Error::status); any other is returned.
///
/// ```no_run,standalone_crate
/// use session3_guest::Session;
/// use session3_guest::wstd::with_session;
/// use wstd::http::{Body, Request, Response, Result};
///
/// #[wstd::http_server]
/// async fn main(request: Request<Body>) -> Result<Response<Body>> {
///     with_session(request, visit).await
/// }
///
/// async fn visit(_: Request<Body>, session: &Session) -> Result<Response<Body>> {
///     let visits = session.add("visits", 1)?;
///     Ok(Response::new(format!("Visit {visits}\n").into()))
/// }
/// ```
///
/// # Errors
///
/// The errors of the handler that are not of this crate.
pub async fn with_session<B, E>(
    request: Request<Body>,
    handle: impl AsyncFnOnce(Request<Body>, &Session) -> Result<Response<B>, E>,
) -> Result<Response<Body>, AnyError>
where
    B: Into<Body>,
    E: Into<AnyError>,
{
    Sessions::new().with_session(request, handle).await
}

impl Sessions {
    /// Does what [`with_session`] does, with these settings.
    ///
    /// # Errors
    ///
    /// The errors of the handler that are not of this crate.
    pub async fn with_session<B, E>(
        &self,
        request: Request<Body>,
        handle: impl AsyncFnOnce(Request<Body>, &Session) -> Result<Response<B>, E>,
    ) -> Result<Response<Body>, AnyError>
    where
        B: Into<Body>,
        E: Into<AnyError>,
    {
        crate::log::log_panics();
        let (parts, body) = request.into_parts();
        let session = self.open(&parts);
        let answered = handle(Request::from_parts(parts, body), &session).await;
        let committed = match answered {
            Ok(mut response) => self.commit(&session, &mut response).map(|()| response),
            Err(error) => Err(error.into().downcast::<Error>()?),
        };
        Ok(match committed {
            Ok(response) => response.map(Into::into),
            Err(error) => self.refuse(&session, &error).map(Into::into),
        })
    }
}

/// Reads the form that a request contains.
///
/// # Errors
///
/// [`Error::Form`] if the request contains no form, if the form is larger than [`MAX_FORM`], if
/// only a part of it arrived, or if its fields are not those of `T`.
pub async fn form<T: DeserializeOwned>(request: &mut Request<Body>) -> Result<T, Error> {
    check_type(request.headers())?;
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let body = Limited::new(body.into_boxed_body(), MAX_FORM);
    let collected = body.collect().await;
    let bytes = collected.map_err(|error| match error.is::<LengthLimitError>() {
        true => FormError::TooLarge(MAX_FORM),
        false => FormError::Incomplete,
    })?;
    parse_form(&bytes.to_bytes())
}
