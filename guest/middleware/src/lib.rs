//! The session middleware: a handler of WASI 0.3 that opens the session of each request,
//! calls the handler of the application, and commits the session before the headers of the
//! response are sent.

mod bindings;
mod response;

use bindings::exports::wasi::http0_3_0::handler::Guest;
use bindings::session3::sessions::context;
use bindings::session3::sessions::manager::{Mode, Request as Info};
use bindings::wasi::http0_3_0::handler;
use bindings::wasi::http0_3_0::types::{ErrorCode, Method, Request, Response};

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let turn = Turn::take();
        let mode = match request.get_method() {
            // The response is that of a GET request, and nothing else happens.
            Method::Head => Mode::DryRun,
            _ => Mode::Merge,
        };
        if let Err(error) = context::begin(&info(&request), mode) {
            return Ok(response::refusal(&error));
        }
        let answered = handler::handle(request).await;
        let is_fine = answered.as_ref().is_ok_and(has_not_failed);
        let ended = context::end(is_fine);
        let answer = answered?;
        match ended {
            Ok(headers) => response::with_headers(answer, &headers, turn),
            Err(error) => Ok(response::refusal(&error)),
        }
    }
}

/// The turn of a request. While there is one, the instance accepts no other request, which
/// would use the session of this one.
pub struct Turn(());

impl Turn {
    fn take() -> Self {
        wit_bindgen::backpressure_inc();
        Self(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        wit_bindgen::backpressure_dec();
    }
}

/// Returns the properties of a request that the session manager uses.
fn info(request: &Request) -> Info {
    let headers = request.get_headers();
    let text = |name: &str| {
        let value = headers.get(name).into_iter().next()?;
        String::from_utf8(value).ok()
    };
    Info {
        cookies: headers.get("cookie"),
        // `session3 serve` sets this header to the client's address. Of another host, it may be
        // what the client claims.
        remote_address: text("x-forwarded-for"),
        user_agent: text("user-agent"),
    }
}

/// Returns whether the status is no server error. After a server error, the session is not
/// committed.
fn has_not_failed(response: &Response) -> bool {
    response.get_status_code() < 500
}
