//! Sends responses over wasi:http.

use crate::bindings::wasi::http::types::{
    Fields, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

/// The largest number of bytes that one call of `blocking-write-and-flush` may write.
const CHUNK: usize = 4096;

/// A complete response.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The names and values of the headers, in the order in which they are sent.
    pub headers: Vec<(String, String)>,
    /// An HTML page, or an empty string.
    pub body: String,
}

/// Sends a response. Errors are ignored: after them, the client cannot be reached.
pub fn send(out: ResponseOutparam, response: Response) {
    let fields = Fields::new();
    for (name, value) in &response.headers {
        // This fails only for a header that programs must not set, which no page adds.
        let _ = fields.append(name, value.as_bytes());
    }
    let outgoing = OutgoingResponse::new(fields);
    let _ = outgoing.set_status_code(response.status);
    let body = outgoing.body();
    ResponseOutparam::set(out, Ok(outgoing));
    if let Ok(body) = body {
        write(&body, response.body.as_bytes());
        let _ = OutgoingBody::finish(body, None);
    }
}

fn write(body: &OutgoingBody, bytes: &[u8]) {
    let Ok(stream) = body.write() else { return };
    for chunk in bytes.chunks(CHUNK) {
        if stream.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
}

/// Sends a short text with status 200. Calls `before_the_end` when the text is sent and the
/// response is not complete yet.
///
/// # Panics
///
/// If the host refuses the response: this is for the applications of tests.
pub fn respond(out: ResponseOutparam, text: &[u8], before_the_end: impl FnOnce()) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("the body was not taken before");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream was not taken before");
    stream
        .blocking_write_and_flush(text)
        .expect("a short text is accepted");
    drop(stream);
    before_the_end();
    OutgoingBody::finish(body, None).expect("the body is complete");
}
