//! Sessions without asking: stands before a handler of WASI 0.3, opens the
//! session of each request before the handler is called, and commits it when the
//! handler has answered, before the response's headers go out.

mod bindings;
mod response;

use bindings::exports::wasi::http0_3_0::handler::Guest;
use bindings::session3::sessions::context;
use bindings::session3::sessions::manager::Request as Info;
use bindings::wasi::http0_3_0::handler;
use bindings::wasi::http0_3_0::types::{ErrorCode, Request, Response};

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        // For good: what a request leaves running must not find the session of
        // the next one. A host that sees this takes a fresh instance for that.
        wit_bindgen::backpressure_inc();
        if let Err(error) = context::begin(&info(&request)) {
            return Ok(response::refusal(&error));
        }
        let answered = handler::handle(request).await;
        let is_fine = answered.as_ref().is_ok_and(has_not_failed);
        let ended = context::end(is_fine);
        let answer = answered?;
        match ended {
            Ok(headers) => response::with_headers(answer, &headers),
            Err(error) => Ok(response::refusal(&error)),
        }
    }
}

/// What the session manager wants to know.
fn info(request: &Request) -> Info {
    let headers = request.get_headers();
    let user_agent = headers.get("user-agent").into_iter().next();
    Info {
        cookies: headers.get("cookie"),
        // WASI does not tell.
        remote_address: None,
        user_agent: user_agent.and_then(|value| String::from_utf8(value).ok()),
    }
}

/// A request that failed leaves its session as it was.
fn has_not_failed(response: &Response) -> bool {
    response.get_status_code() < 500
}
