//! An application that misbehaves on request: `/trap` traps, `/loop` never
//! ends, `/memory` takes all it can get, `/memory/32` takes 32 MiB of it, `/silent` does not respond, `/half`
//! stops in the middle of its response, `/body` says how long the request's body
//! is once it has read it. Everything else gets `fine`.

mod bindings;

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use bindings::wasi::io::streams::StreamError;

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        match request.path_with_query().as_deref() {
            Some("/trap") => panic!("as asked for"),
            Some("/loop") => spin(),
            Some("/memory") => take_memory(usize::MAX),
            Some("/memory/32") => {
                take_memory(32);
                respond(out, || ());
            }
            Some("/silent") => drop(out),
            Some("/half") => respond(out, spin),
            Some("/body") => count_body(&request, out),
            _ => respond(out, || ()),
        }
    }
}

fn count_body(request: &IncomingRequest, out: ResponseOutparam) {
    let body = request.consume().expect("the first one");
    let stream = body.stream().expect("the first one");
    let mut length = 0;
    loop {
        match stream.blocking_read(1 << 16) {
            Ok(bytes) => length += bytes.len(),
            Err(StreamError::Closed) => break,
            // Without a response.
            Err(StreamError::LastOperationFailed(_)) => return,
        }
    }
    respond_with(out, length.to_string().as_bytes(), || ());
}

fn respond(out: ResponseOutparam, before_the_end: impl FnOnce()) {
    respond_with(out, b"fine", before_the_end);
}

fn respond_with(out: ResponseOutparam, text: &[u8], before_the_end: impl FnOnce()) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("the first one");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the first one");
    stream.blocking_write_and_flush(text).expect("a few bytes");
    drop(stream);
    before_the_end();
    OutgoingBody::finish(body, None).expect("all of it");
}

fn spin() {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count + 1);
    }
}

fn take_memory(mebibytes: usize) {
    let mut taken = Vec::new();
    while taken.len() < mebibytes {
        taken.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}
