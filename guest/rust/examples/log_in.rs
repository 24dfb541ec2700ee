//! An application with a log-in, for wstd.

use serde::Deserialize;
use session3_guest::Session;
use session3_guest::wstd::{form, with_session};
use wstd::http::{Body, Request, Response, Result};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>> {
    with_session(request, answer).await
}

async fn answer(mut request: Request<Body>, session: &Session) -> Result<Response<Body>> {
    match (request.method().as_str(), request.uri().path()) {
        ("GET" | "HEAD", "/") => home(session),
        ("POST", "/login") => log_in(form(&mut request).await?, session),
        ("POST", "/logout") => log_out(form(&mut request).await?, session),
        _ => respond(404, "There is no such page."),
    }
}

fn home(session: &Session) -> Result<Response<Body>> {
    let visits = session.add("visits", 1)?;
    let csrf = session.csrf_token()?;
    let form = match session.user()? {
        Some(user) => format!(
            r#"Hello, {}! <form method="post" action="logout"><button>Log out</button>"#,
            escape(&user),
        ),
        None => r#"<form method="post" action="login">
            <input name="user"> <input name="password" type="password"> <button>Log in</button>"#
            .into(),
    };
    let token = format!(r#"<input type="hidden" name="csrf" value="{csrf}"></form>"#);
    respond(
        200,
        &format!("<!DOCTYPE html><p>Visit {visits}.</p>{form}{token}"),
    )
}

#[derive(Deserialize)]
struct LogIn {
    csrf: String,
    user: String,
    password: String,
}

fn log_in(form: LogIn, session: &Session) -> Result<Response<Body>> {
    if !session.is_csrf_token(&form.csrf)? || !is_password(&form.user, &form.password) {
        return respond(
            403,
            "The name or the password is wrong, or the page was too old.",
        );
    }
    // From now on, the browser has a new token, and the previous one opens nothing.
    session.set_user(Some(&form.user))?;
    to_home()
}

#[derive(Deserialize)]
struct LogOut {
    csrf: String,
}

fn log_out(form: LogOut, session: &Session) -> Result<Response<Body>> {
    if session.is_csrf_token(&form.csrf)? {
        session.expire()?;
    }
    to_home()
}

/// Replace this by a lookup in your user database.
fn is_password(user: &str, password: &str) -> bool {
    (user, password) == ("alice", "correct horse")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn to_home() -> Result<Response<Body>> {
    Ok(Response::builder()
        .status(303)
        .header("Location", "/")
        .body(Body::empty())?)
}

fn respond(status: u16, page: &str) -> Result<Response<Body>> {
    let response = Response::builder().status(status);
    Ok(response
        .header("Content-Type", "text/html; charset=utf-8")
        .body(page.into())?)
}
