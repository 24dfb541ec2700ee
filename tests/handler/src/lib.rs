//! An application for WASI 0.3 that asks the manager for its sessions itself:
//! `/` counts visits, `/afterwards` counts one after its response, `/echo` sends
//! the request's body back, `/fetch` tries to make a request. And one that
//! misbehaves on request: `/trap`, `/loop`, `/half` stops in the middle of its
//! response, `/error` has none, `/memory` takes all it can get. `/exclusive` counts
//! in an exclusive session; `/exclusive/trap` and `/exclusive/loop` do not get to
//! its commit, and `/exclusive/twice` wants it a second time meanwhile.

mod bindings;

use bindings::exports::wasi::http0_3_0::handler::Guest;
use bindings::session3::sessions::manager::{
    self, Header, Mode, Request as Info, Session, SessionError, SessionManager,
};
use bindings::wasi::http0_3_0::client;
use bindings::wasi::http0_3_0::types::{ErrorCode, Fields, Request, Response};
use bindings::{wit_future, wit_stream};

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        Ok(match path.as_str() {
            "/trap" => panic!("as asked for"),
            "/loop" => spin(),
            "/half" => respond(&[], "half", spin),
            "/error" => return Err(ErrorCode::InternalError(None)),
            "/memory" => take_memory(),
            "/echo" => echo(request),
            "/fetch" => fetch().await,
            "/afterwards" => respond(&[], "fine", move || {
                let _ = visit(&request, Mode::Merge, || ());
            }),
            "/exclusive" => count(visit(&request, Mode::Exclusive, || ())),
            "/exclusive/trap" => count(visit(&request, Mode::Exclusive, || panic!("as asked for"))),
            "/exclusive/loop" => count(visit(&request, Mode::Exclusive, spin)),
            "/exclusive/twice" => count(visit_twice(&request)),
            _ => count(visit(&request, Mode::Merge, || ())),
        })
    }
}

fn count(visited: Result<(i64, Vec<Header>), SessionError>) -> Response {
    match visited {
        Ok((count, headers)) => respond(&headers, &count.to_string(), || ()),
        Err(error) => respond(&[], &format!("{error:?}"), || ()),
    }
}

/// Counts a visit; how many there are, and what to add to the response.
fn visit(
    request: &Request,
    mode: Mode,
    before_the_commit: impl FnOnce(),
) -> Result<(i64, Vec<Header>), SessionError> {
    let session = open(request, mode)?;
    let count = session.add("visits", 1)?;
    before_the_commit();
    Ok((count, session.commit()?))
}

/// The second one does not get it while the first one has it.
fn visit_twice(request: &Request) -> Result<(i64, Vec<Header>), SessionError> {
    let first = open(request, Mode::Exclusive)?;
    visit(request, Mode::Exclusive, || ()).inspect(|_| drop(first))
}

fn open(request: &Request, mode: Mode) -> Result<Session, SessionError> {
    let mut config = manager::default_config();
    config.cookie.name = "session3".into();
    config.cookie.secure = false;
    let info = Info {
        cookies: request.get_headers().get("cookie"),
        remote_address: None,
        user_agent: None,
    };
    SessionManager::open(&config)?.get_session(&info, mode)
}

fn echo(request: Request) -> Response {
    let (_, told) = wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, told);
    Response::new(Fields::new(), Some(body), trailers).0
}

async fn fetch() -> Response {
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (request, _) = Request::new(Fields::new(), None, trailers, None);
    request.set_authority(Some("127.0.0.1:9")).expect("valid");
    request.set_path_with_query(Some("/")).expect("valid");
    let text = match client::send(request).await {
        Ok(_) => "answered".into(),
        Err(error) => format!("{error:?}"),
    };
    respond(&[], &text, || ())
}

/// Sends this text, and does something before the end of the response.
fn respond(headers: &[Header], text: &str, before_the_end: impl FnOnce() + 'static) -> Response {
    let fields = Fields::new();
    for Header { name, value } in headers {
        fields.append(name, value.as_bytes()).expect("allowed");
    }
    let (mut writer, body) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let text = text.as_bytes().to_vec();
    wit_bindgen::spawn_local(async move {
        writer.write_all(text).await;
        before_the_end();
    });
    Response::new(fields, Some(body), trailers).0
}

fn spin<T>() -> T {
    let mut count = 0_u64;
    loop {
        count = std::hint::black_box(count + 1);
    }
}

fn take_memory<T>() -> T {
    let mut taken = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}
