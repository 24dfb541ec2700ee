//! An application that misbehaves on request: `/trap` traps, `/loop` never
//! ends, `/memory` takes all it can get, `/silent` does not respond, `/half`
//! stops in the middle of its response. Everything else gets `fine`.

mod bindings;

use bindings::exports::wasi::http::incoming_handler::Guest;
use bindings::wasi::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

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
            Some("/memory") => take_memory(),
            Some("/silent") => drop(out),
            Some("/half") => respond(out, spin),
            _ => respond(out, || ()),
        }
    }
}

fn respond(out: ResponseOutparam, before_the_end: impl FnOnce()) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("the first one");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the first one");
    stream
        .blocking_write_and_flush(b"fine")
        .expect("four bytes");
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

fn take_memory() {
    let mut taken = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}
