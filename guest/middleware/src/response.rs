//! The response that goes out.

use session3_store::status;

use crate::bindings::session3::sessions::manager::{Header, SessionError};
use crate::bindings::wasi::http0_3_0::types::{ErrorCode, Fields, Response};
use crate::bindings::wit_future;

const UNCHANGED: &str = "The session cannot take this change. Nothing was saved.\n";

/// The application's response with the session's headers. Its body passes by
/// untouched; without such headers, all of it does.
pub fn with_headers(response: Response, headers: &[Header]) -> Result<Response, ErrorCode> {
    if headers.is_empty() {
        return Ok(response);
    }
    let status = response.get_status_code();
    let fields = response.get_headers().clone();
    for Header { name, value } in headers {
        // Without its cookie, a session that was stored would be lost.
        fields
            .append(name, value.as_bytes())
            .map_err(|_| ErrorCode::HttpResponseHeaderSectionSize(None))?;
    }
    let (tell, told) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(response, told);
    let (response, sent) = Response::new(fields, Some(body), trailers);
    // It was the status of a response before.
    let _ = response.set_status_code(status);
    // The application may want to know how sending its response went.
    wit_bindgen::spawn_local(async move { tell.write(sent.await).await });
    Ok(response)
}

/// What is answered where there is no session to serve with, or the changes were
/// not to be saved.
pub fn refusal(error: &SessionError) -> Response {
    let (status, text) = match error {
        SessionError::Ended | SessionError::Conflict => (
            status::CONFLICT,
            "Your session changed while this request was under way. Nothing was saved.\n",
        ),
        SessionError::Busy | SessionError::Store(_) => (
            status::STORE,
            "Your session cannot be reached. Try again in a while.\n",
        ),
        SessionError::Invalid(_) => (status::INVALID, UNCHANGED),
        SessionError::ReadOnly => (status::READ_ONLY, UNCHANGED),
    };
    whole(status, text)
}

/// A response of one line.
fn whole(status: u16, text: &'static str) -> Response {
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (mut writer, body) = crate::bindings::wit_stream::new();
    let (response, _) = Response::new(Fields::new(), Some(body), trailers);
    let _ = response.set_status_code(status);
    wit_bindgen::spawn_local(async move { writer.write_all(text.into()).await });
    response
}
