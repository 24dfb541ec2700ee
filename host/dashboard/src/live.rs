//! What the servers do at this moment, from their metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};

use crate::access::Operator;
use crate::chart;
use crate::dashboard::App;
use crate::layout::{self, Tab};
use crate::overview::Watching;
use crate::refused::Refused;
use crate::servers::{Histogram, Server, Window};
use crate::words;

/// Shows the servers.
pub async fn show(
    State(app): State<Arc<App>>,
    operator: Operator,
    Query(watching): Query<Watching>,
) -> Result<Response, Refused> {
    let Some(servers) = &app.servers else {
        return Err(Refused::Missing(
            "Start the dashboard with --metrics URL to see servers.",
        ));
    };
    let content = html! {
        div.state { p { (watching.link("/live")) } }
        @for server in servers.look() { (section(server)) }
    };
    Ok(watching.answer(layout::page(&app, &operator, Tab::Live, "Servers", content)))
}

fn section(server: &Server) -> Markup {
    html! {
        section {
            h2 { (server.url()) }
            @if let Some(problem) = server.problem() {
                p.problem role="alert" { "Its metrics are missing: " (problem) }
            }
            @match server.window() {
                Some(window) => (describe(&window)),
                None => p { "It has not answered yet." },
            }
        }
    }
}

fn describe(window: &Window) -> Markup {
    let change = &window.change;
    let rate = window.request_rates.last().copied().unwrap_or(0.0);
    let tile = |name: &str, value: String| html! { div.tile { dt { (name) } dd { (value) } } };
    let quantile = |part| shown(change.request_seconds.quantile(part));
    html! {
        p { "In the last " (words::duration(window.time)) ":" }
        dl.tiles {
            (tile("Requests a second", format!("{rate:.1}")))
            (tile("Running now", format!("{:.0}", change.running)))
            (tile("Open connections", format!("{:.0}", change.connections)))
            (tile("Half answered within", quantile(0.5)))
            (tile("99 % answered within", quantile(0.99)))
            (tile("Conflicts", format!("{:.0}", change.conflicts)))
        }
        div.pictures {
            (chart::line("Requests", &window.request_rates, "a second"))
            (numbers("Requests by status", "Status", change.requests.iter()))
            (numbers("Events of sessions", "Event", change.events.iter()))
            (operations(change.store_seconds.iter()))
        }
    }
}

fn numbers<'a>(
    title: &str,
    what: &str,
    numbers: impl Iterator<Item = (&'a String, &'a f64)>,
) -> Markup {
    html! {
        div.card { table {
            caption { (title) }
            thead { tr { th scope="col" { (what) } th.number scope="col" { "Number" } } }
            tbody { @for (name, number) in numbers {
                tr { th scope="row" { (name) } td.number { (format!("{number:.0}")) } }
            } }
        } }
    }
}

fn operations<'a>(operations: impl Iterator<Item = (&'a String, &'a Histogram)>) -> Markup {
    html! {
        div.card { table {
            caption { "Operations of the store" }
            thead { tr {
                th scope="col" { "Operation" }
                th.number scope="col" { "Number" }
                th.number scope="col" { "Half within" }
                th.number scope="col" { "99 % within" }
            } }
            tbody { @for (name, times) in operations { tr {
                th scope="row" { (name) }
                td.number { (format!("{:.0}", times.count())) }
                td.number { (shown(times.quantile(0.5))) }
                td.number { (shown(times.quantile(0.99))) }
            } } }
        } }
    }
}

/// Returns a duration with two digits.
fn shown(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "–".into(), words::short)
}
