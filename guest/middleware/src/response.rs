//! The responses of the middleware.

use session3_store::{caching, status};

use crate::Turn;

use crate::bindings::session3::sessions::manager::{Header, SessionError};
use crate::bindings::wasi::http0_3_0::types::{ErrorCode, Fields, Response};
use crate::bindings::wit_future;

const CACHE_CONTROL: &str = "Cache-Control";
const CHANGED_CLIENT: &str = "Your session began in another browser or network. Log in again.\n";
const UNCHANGED: &str = "Your session does not accept this request. Nothing was saved.\n";

/// Adds the headers of the session to the response of the application. The body is passed
/// on unchanged. The turn ends when the response has been sent.
///
/// # Errors
///
/// `HttpResponseHeaderSectionSize` if the headers cannot be added.
pub fn with_headers(
    response: Response,
    headers: &[Header],
    turn: Turn,
) -> Result<Response, ErrorCode> {
    let status = response.get_status_code();
    let fields = response.get_headers().clone();
    let sets_cookie = headers.iter().any(|header| header.name == "Set-Cookie");
    for Header { name, value } in headers {
        let added = if name == CACHE_CONTROL {
            let own = fields.get(name);
            let own: Vec<_> = own.iter().map(Vec::as_slice).collect();
            let value = caching::cache_control(&own, value.as_bytes(), sets_cookie);
            fields.set(name, &[value.to_vec()])
        } else {
            fields.append(name, value.as_bytes())
        };
        // Without its cookie, the stored session would be lost, so the response must not be
        // sent without this header.
        added.map_err(|_| ErrorCode::HttpResponseHeaderSectionSize(None))?;
    }
    let (result_writer, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(response, result);
    let (response, sent) = Response::new(fields, Some(body), trailers);
    // This cannot fail, since the status comes from a response.
    let _ = response.set_status_code(status);
    // The application learns whether its response was sent from this future.
    wit_bindgen::spawn_local(async move {
        let result = sent.await;
        drop(turn);
        result_writer.write(result).await
    });
    Ok(response)
}

/// Returns the response to a request whose session could not be opened or committed.
pub fn refusal(error: &SessionError) -> Response {
    let (status, text) = match error {
        SessionError::Ended | SessionError::Conflict => (
            status::CONFLICT,
            "Your session changed while this request was under way. Nothing was saved.\n",
        ),
        SessionError::Busy | SessionError::Store(_) => (
            status::STORE,
            "Your session is not available at the moment. Try again later.\n",
        ),
        SessionError::Invalid(_) => (status::INVALID, UNCHANGED),
        SessionError::ClientChanged => (status::CLIENT_CHANGED, CHANGED_CLIENT),
        SessionError::ReadOnly => (status::READ_ONLY, UNCHANGED),
    };
    whole(status, text)
}

/// Returns a response with a text.
fn whole(status: u16, text: &'static str) -> Response {
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (mut writer, body) = crate::bindings::wit_stream::new();
    let (response, _) = Response::new(Fields::new(), Some(body), trailers);
    let _ = response.set_status_code(status);
    wit_bindgen::spawn_local(async move { writer.write_all(text.into()).await });
    response
}
