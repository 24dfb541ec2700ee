//! The overview: how many sessions there are, since when, of whom, and how large.

use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use session3::layer::RequestSession;
use session3::store::{Timestamp, Unit};

use crate::access::{Operator, Press, check_form, redirect};
use crate::census::{Figures, Look, Progress};
use crate::chart::{self, Figure};
use crate::counts::{AGES, SIZES, Timeline};
use crate::dashboard::App;
use crate::layout::{self, Tab, address, csrf, time};
use crate::refused::Refused;
use crate::words;

/// The number of browsers that have a bar of their own.
const TOP_BROWSERS: usize = 8;

/// How often a page loads itself again, if the operator has chosen that.
#[derive(Clone, Copy, Deserialize)]
pub struct Watching {
    every: Option<u32>,
}

impl Watching {
    /// The interval that is offered, in seconds.
    const SECONDS: u32 = 5;

    /// Returns the interval in seconds.
    fn seconds(self) -> Option<u32> {
        self.every.map(|seconds| seconds.clamp(1, 3600))
    }

    /// Returns a link that starts or ends the loading.
    pub fn link(self, path: &str) -> Markup {
        let start = format!("{path}?every={}", Self::SECONDS);
        html! {
            @match self.seconds() {
                Some(seconds) => {
                    "This page loads again every " (seconds) " seconds. "
                    a href=(path) { "Stop" }
                }
                None => { a href=(start) { "Load again every " (Self::SECONDS) " seconds" } }
            }
        }
    }

    /// Answers with a page, which loads itself again if that was chosen.
    pub fn answer(self, page: Markup) -> Response {
        match self.seconds() {
            Some(seconds) => ([(header::REFRESH, seconds.to_string())], page).into_response(),
            None => page.into_response(),
        }
    }
}

/// Shows the overview.
pub async fn show(
    State(app): State<Arc<App>>,
    operator: Operator,
    Query(watching): Query<Watching>,
) -> Response {
    let look = app.census.look();
    let now = app.now().await;
    let content = html! {
        (state(&look, &operator, watching, now))
        (app.ending_all.describe())
        @if let Some(figures) = &look.figures {
            (tiles(figures))
            (pictures(figures))
            (busiest(&app, figures))
            (damaged(figures))
            (engine(figures))
        } @else if look.problem.is_none() {
            p { "The sessions are being counted for the first time." }
        }
        @if !app.is_read_only {
            p { a.danger href="/end?everyone=true" { "End the sessions of everyone…" } }
        }
    };
    watching.answer(layout::page(
        &app,
        &operator,
        Tab::Overview,
        "Overview",
        content,
    ))
}

/// Counts the sessions again at once.
pub async fn count_again(
    State(app): State<Arc<App>>,
    session: RequestSession,
    operator: Operator,
    Form(form): Form<Press>,
) -> Result<Response, Refused> {
    check_form(&session, form.token()).await?;
    app.census.count_again();
    tracing::info!(operator = %operator.log_in, "the operator let the sessions be counted");
    redirect(&session, "/", "The sessions are counted again.").await
}

/// Says how old the figures are, and how far the pass is.
fn state(look: &Look, operator: &Operator, watching: Watching, now: Timestamp) -> Markup {
    html! {
        div.state {
            @if let Some(figures) = &look.figures {
                p { "Counted " (time(figures.at, now)) ", in " (words::short(figures.took)) "." }
            }
            @match look.progress {
                Some(progress) => (counting(progress)),
                None => form method="post" action="/count" {
                    (csrf(operator))
                    button.quiet { "Count again" }
                }
            }
            p { (watching.link("/")) }
        }
        @if let Some(problem) = &look.problem {
            p.problem role="alert" { "The sessions could not be counted: " (problem) }
        }
    }
}

fn counting(progress: Progress) -> Markup {
    let visited = words::count(progress.visited);
    html! {
        @match progress.expected {
            Some(expected) if expected > 0 => p {
                label { "Counting: " (visited) " of about " (words::count(expected)) " "
                    progress max=(expected) value=(progress.visited.min(expected)) {} }
            }
            _ => p { "Counting: " (visited) " so far" }
        }
    }
}

fn tiles(figures: &Figures) -> Markup {
    let counts = &figures.counts;
    let tile = |name: &str, value: String, is_bad: bool| {
        html! { div.tile.bad[is_bad] { dt { (name) } dd { (value) } } }
    };
    html! {
        dl.tiles {
            (tile("Sessions", words::count(counts.sessions), false))
            (tile("Logged in", words::count(counts.with_user), false))
            (tile("Not logged in", words::count(counts.without_user()), false))
            (tile("Expired", words::count(counts.expired), false))
            (tile("Damaged", words::count(counts.damaged), counts.damaged > 0))
            (tile("Users and data", words::bytes(counts.bytes), false))
        }
    }
}

fn pictures(figures: &Figures) -> Markup {
    let (counts, contents) = (&figures.counts, &figures.contents);
    let mut browsers: Vec<_> = contents.browsers.iter().collect();
    browsers.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let browsers = browsers.into_iter().take(TOP_BROWSERS);
    let browsers: Vec<_> = browsers
        .map(|(name, count)| Figure::new(name, *count))
        .collect();
    html! {
        div.pictures {
            (chart::parts(
                "Logged in or not",
                Figure::new("logged in", counts.with_user),
                Figure::new("not logged in", counts.without_user()),
            ))
            (chart::bars("Last used", &chart::classes(&AGES, &counts.ages)))
            (hours("Last used, by hour", &counts.used))
            (hours("Born, by hour", &contents.born))
            (days("Born, by day", &contents.born))
            (chart::bars("Size of user and data", &chart::classes(&SIZES, &counts.sizes)))
            (chart::bars("Browsers", &browsers))
        }
    }
}

fn hours(title: &str, timeline: &Timeline) -> Markup {
    chart::columns(title, &ages(&timeline.hours, "hour"), "24 hours ago")
}

fn days(title: &str, timeline: &Timeline) -> Markup {
    chart::columns(title, &ages(&timeline.days, "day"), "30 days ago")
}

/// Names the counts of a timeline.
fn ages(counts: &[u64], unit: &str) -> Vec<Figure> {
    let counts = counts.iter().enumerate();
    let figures = counts.map(|(age, count)| {
        let name = match age {
            0 => format!("the last {unit}"),
            1 => format!("1 {unit} before"),
            age => format!("{age} {unit}s before"),
        };
        Figure::new(name, *count)
    });
    figures.collect()
}

fn busiest(app: &App, figures: &Figures) -> Markup {
    html! {
        section aria-labelledby="busiest" {
            h2 #busiest { "Users with the most sessions" }
            @if figures.missed > 0 {
                p { "Users with at most " (words::count(figures.missed)) " sessions are left out." }
            }
            @if figures.busiest.is_empty() && figures.missed == 0 {
                p { "No user is logged in." }
            } @else if !figures.busiest.is_empty() {
                table {
                    thead { tr {
                        th scope="col" { "User" }
                        th.number scope="col" { "Sessions" }
                        @if !app.is_read_only { th.action scope="col" { "Action" } }
                    } }
                    tbody { @for (user, count) in &figures.busiest { tr {
                        th scope="row" {
                            a href=(address("/sessions", &[("by", "user"), ("text", user)])) {
                                (shown_user(user))
                            }
                        }
                        td.number { (words::count(*count)) }
                        @if !app.is_read_only {
                            td.action { a href=(address("/end", &[("user", user)])) {
                                "End all" span.hidden { " sessions of " (shown_user(user)) }
                            } }
                        }
                    } } }
                }
            }
        }
    }
}

/// Returns the name of a user as the pages show it. An empty name is a name, too.
pub fn shown_user(user: &str) -> &str {
    if user.is_empty() { "\"\"" } else { user }
}

fn damaged(figures: &Figures) -> Markup {
    html! {
        @if !figures.damaged.is_empty() {
            section aria-labelledby="damaged" {
                h2 #damaged { "Sessions that cannot be read" }
                ul { @for (id, why) in &figures.damaged {
                    li { a href={ "/session/" (id) } { code { (id) } } ": " (why) }
                } }
                p { a href="/check" { "Check the store" } " for all its problems." }
            }
        }
    }
}

/// Shows what the engine of the store says, and what it warns of.
fn engine(figures: &Figures) -> Markup {
    html! {
        @for warning in &figures.warnings { p.problem { (warning) } }
        @if !figures.engine.is_empty() {
            section aria-labelledby="engine" {
                h2 #engine { "The engine of the store" }
                table {
                    thead { tr { th scope="col" { "What" } th.number scope="col" { "How much" } } }
                    tbody { @for figure in &figures.engine { tr {
                        th scope="row" { (figure.name) }
                        td.number { @match figure.unit {
                            Unit::Bytes => (words::bytes(figure.value)),
                            _ => (words::count(figure.value)),
                        } }
                    } } }
                }
            }
        }
    }
}
