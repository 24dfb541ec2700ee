//! A response of a few bytes, for the applications of the tests.

use crate::bindings::wasi::http::types::{
    Fields, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

/// Sends this text, and does something before the end of the response.
pub fn respond(out: ResponseOutparam, text: &[u8], before_the_end: impl FnOnce()) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("the first one");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the first one");
    stream.blocking_write_and_flush(text).expect("a few bytes");
    drop(stream);
    before_the_end();
    OutgoingBody::finish(body, None).expect("all of it");
}
