//! The demo's pages as an application behind the middleware has them: no cookie,
//! no commit, only what to do with the session. And pages for what might go
//! wrong there: `/as/NAME` logs in and says whose session it is only after it
//! has let others run, `/late` answers first and changes the session then,
//! `/error` changes it and has no response.

mod bindings;
#[path = "../../../guest/demo/src/template.rs"]
mod template;

use bindings::exports::wasi::http0_3_0::handler::Guest;
use bindings::session3::sessions::current;
use bindings::session3::sessions::manager::SessionError;
use bindings::session3::sessions::types::Value;
use bindings::wasi::http0_3_0::types::{ErrorCode, Fields, Method, Request, Response};
use bindings::{wit_future, wit_stream};
use template::fill;

const LAYOUT: &str = include_str!("../../../guest/demo/src/layout.html");
const SESSION: &str = include_str!("../../../guest/demo/src/session.html");

/// How often `/as/NAME` lets others run.
const YIELDS: u32 = 100;

struct Component;

#[expect(unsafe_code, reason = "generated: the functions that the host calls")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        if !matches!(request.get_method(), Method::Get | Method::Head) {
            return Ok(respond(405, &[("Allow", "GET, HEAD")], String::new()));
        }
        let answered = match path {
            "/" => Ok(show()),
            "/keep" => current::set("keep", &Value::Boolean(true)).map(|()| to_start()),
            "/increment" => increment(),
            "/incrementfail" => current::add("counter", 1).map(|_| failed()),
            "/logout" => current::expire().map(|()| to_start()),
            "/logoutfail" => current::expire().map(|()| failed()),
            "/late" => late(),
            "/error" => {
                let _ = current::add("counter", 1);
                return Err(ErrorCode::InternalError(None));
            }
            path => match path.strip_prefix("/as/") {
                Some(name) => log_in(name).await,
                None => Ok(respond(404, &[], "There is no such page.".into())),
            },
        };
        Ok(answered.unwrap_or_else(|error| respond(500, &[], format!("{error:?}"))))
    }
}

fn show() -> Response {
    let counter = match current::get("counter") {
        Some(Value::Integer(counter)) => counter,
        _ => 0,
    };
    let (id, counter) = (current::id(), counter.to_string());
    let values = [
        ("id", id.as_deref().unwrap_or("None")),
        ("counter", counter.as_str()),
        ("more", ""),
    ];
    let body = fill(SESSION, &values);
    let page = fill(LAYOUT, &[("title", "Session3"), ("body", &body)]);
    respond(200, &[("Content-Type", "text/html; charset=utf-8")], page)
}

fn increment() -> Result<Response, SessionError> {
    if current::id().is_some() {
        current::add("counter", 1)?;
    }
    Ok(to_start())
}

async fn log_in(name: &str) -> Result<Response, SessionError> {
    if current::user().is_none() {
        current::set_user(Some(name))?;
    }
    for _ in 0..YIELDS {
        wit_bindgen::yield_async().await;
    }
    let visits = current::add("visits", 1)?;
    let user = current::user().unwrap_or_default();
    Ok(respond(200, &[], format!("{user} {visits}")))
}

/// Says in its body what became of a change after the response's headers.
fn late() -> Result<Response, SessionError> {
    current::add("counter", 1)?;
    let (mut writer, body) = wit_stream::new();
    wit_bindgen::spawn_local(async move {
        // Its other end is read once the headers are out.
        writer.write_all(b"then ".to_vec()).await;
        let text = match current::add("counter", 1) {
            Err(SessionError::Ended) => "ended",
            _ => "changed",
        };
        let seen = current::get("counter").is_some();
        writer
            .write_all(format!("{text} {seen}").into_bytes())
            .await;
    });
    let (_, trailers) = wit_future::new(|| Ok(None));
    Ok(Response::new(Fields::new(), Some(body), trailers).0)
}

fn to_start() -> Response {
    respond(302, &[("Location", "/")], String::new())
}

fn failed() -> Response {
    respond(500, &[], "Failed on purpose.".into())
}

fn respond(status: u16, headers: &[(&str, &str)], text: String) -> Response {
    let fields = Fields::new();
    for (name, value) in headers {
        fields
            .append(name, value.as_bytes())
            .expect("a header that is allowed");
    }
    let (mut writer, body) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(fields, Some(body), trailers);
    response.set_status_code(status).expect("a status");
    wit_bindgen::spawn_local(async move { writer.write_all(text.into_bytes()).await });
    response
}
