//! What all pages have in common: their frame, their style and their headers.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use session3::store::Timestamp;

use crate::access::{Operator, STYLE};
use crate::dashboard::App;
use crate::words;

/// Nothing but the own style and the own forms: no scripts, no frames, no other sites.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE_SHEET: &str = include_str!("style.css");

/// The pages of the navigation.
#[derive(Clone, Copy, PartialEq)]
pub enum Tab {
    Overview,
    Sessions,
    Check,
    Live,
}

/// Answers with a page for an operator.
pub fn page(app: &App, operator: &Operator, tab: Tab, title: &str, content: Markup) -> Markup {
    frame(
        title,
        html! {
            a.skip href="#content" { "Skip to the content" }
            header {
                p.brand { "session3 " span { (app.store_name) } }
                nav aria-label="Pages" { ul {
                    (link(tab, Tab::Overview, "/", "Overview"))
                    (link(tab, Tab::Sessions, "/sessions", "Sessions"))
                    (link(tab, Tab::Check, "/check", "Check"))
                    @if app.servers.is_some() { (link(tab, Tab::Live, "/live", "Servers")) }
                } }
                form method="post" action="/leave" {
                    (csrf(operator))
                    button.quiet { "Log out" }
                }
            }
            main #content tabindex="-1" {
                h1 { (title) }
                @if app.is_read_only { p.note { "This dashboard is read-only." } }
                @for message in &operator.messages { p.message role="status" { (message) } }
                (content)
            }
        },
    )
}

/// Returns a page without an operator.
pub fn bare(title: &str, content: Markup) -> Markup {
    frame(title, html! { main { h1 { (title) } (content) } })
}

fn frame(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – session3" }
                link rel="stylesheet" href=(STYLE);
            }
            body { (body) }
        }
    }
}

fn link(current: Tab, tab: Tab, path: &str, name: &str) -> Markup {
    let is_current = (current == tab).then_some("page");
    html! { li { a href=(path) aria-current=[is_current] { (name) } } }
}

/// Returns the hidden field that every form needs.
pub fn csrf(operator: &Operator) -> Markup {
    html! { input type="hidden" name="csrf" value=(operator.csrf); }
}

/// Returns a time in words, with the stamp for programs and for those who point at it.
pub fn time(time: Timestamp, now: Timestamp) -> Markup {
    let stamp = format!("{:.0}", words::stamp(time));
    html! { time datetime=(stamp) title=(stamp) { (words::distance(time, now)) } }
}

/// Returns a path with a query.
pub fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.extend_pairs(query);
    format!("{path}?{}", pairs.finish())
}

/// Answers with the style sheet.
pub async fn style() -> Response {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        STYLE_SHEET,
    )
        .into_response()
}

/// Adds the headers that every response has.
pub async fn add_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        // The address of a page can hold the name of a user, and the link holds its secret.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
