//! An application that misbehaves on request: `/trap` traps, `/loop` never
//! ends, `/memory` takes all it can get, `/memory/32` takes 32 MiB of it,
//! `/silent` does not respond, `/half` stops in the middle of its response,
//! `/body` says how long the request's body is once it has read it. Everything
//! else gets `fine`.

mod bindings;
mod respond;

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::http::types::{IncomingRequest, ResponseOutparam};
use bindings::wasi::io::streams::StreamError;
use respond::respond;

const FINE: &[u8] = b"fine";

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
                respond(out, FINE, || ());
            }
            Some("/silent") => drop(out),
            Some("/half") => respond(out, FINE, spin),
            Some("/body") => count_body(&request, out),
            _ => respond(out, FINE, || ()),
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
    respond(out, length.to_string().as_bytes(), || ());
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
