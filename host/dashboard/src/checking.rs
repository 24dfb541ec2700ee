//! The check of the store, in the background, and what it has found.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use parking_lot::Mutex;
use serde::Deserialize;
use session3::layer::RequestSession;
use session3::store::{CheckObserver, CheckReport, Finding, Maintenance, Timestamp};

use crate::access::{Operator, check_form, redirect};
use crate::dashboard::App;
use crate::layout::{self, Tab, csrf, time};
use crate::overview::Watching;
use crate::refused::Refused;
use crate::words;

/// The number of findings that are kept; more are counted.
const MAX_FINDINGS: usize = 1000;
/// The number of findings on a page.
const PAGE: usize = 50;

/// The latest check.
#[derive(Default)]
pub struct Checks(Mutex<Option<Check>>);

struct Check {
    repairs: bool,
    began: Timestamp,
    /// How much is done, from 0 to 1; `None` after the end.
    done: Option<f64>,
    findings: Vec<Finding>,
    /// The number of findings of each kind.
    kinds: BTreeMap<&'static str, u64>,
    outcome: Option<Result<CheckReport, String>>,
}

/// Takes what a check tells.
struct Observer(Arc<Checks>);

impl CheckObserver for Observer {
    fn found(&mut self, finding: Finding) {
        self.0.update(|check| {
            *check.kinds.entry(kind(&finding).0).or_default() += 1;
            if check.findings.len() < MAX_FINDINGS {
                check.findings.push(finding);
            }
        });
    }

    fn progress(&mut self, done: f64) {
        self.0.update(|check| check.done = Some(done));
    }
}

impl Checks {
    fn update(&self, change: impl FnOnce(&mut Check)) {
        if let Some(check) = &mut *self.0.lock() {
            change(check);
        }
    }

    /// Starts a check, unless one is running. Returns whether it has started.
    fn start(
        self: &Arc<Self>,
        store: Arc<dyn Maintenance>,
        began: Timestamp,
        repairs: bool,
        log_in: String,
    ) -> bool {
        let mut check = self.0.lock();
        if check.as_ref().is_some_and(|check| check.done.is_some()) {
            return false;
        }
        *check = Some(Check {
            repairs,
            began,
            done: Some(0.0),
            findings: Vec::new(),
            kinds: BTreeMap::new(),
            outcome: None,
        });
        let checks = self.clone();
        tokio::spawn(async move {
            let outcome = store.check(repairs, &mut Observer(checks.clone())).await;
            let outcome = outcome.map_err(|error| error.to_string());
            match &outcome {
                Ok(report) => tracing::info!(
                    operator = %log_in, repairs, sessions = report.sessions,
                    damaged = report.damaged, "the check has ended"
                ),
                Err(why) => tracing::error!(operator = %log_in, repairs, %why, "the check failed"),
            }
            checks.update(|check| {
                check.done = None;
                check.outcome = Some(outcome);
            });
        });
        true
    }
}

/// Returns the kind of a finding, and what it means.
fn kind(finding: &Finding) -> (&'static str, &'static str) {
    match finding {
        Finding::Damaged(..) => ("damaged", "a session that cannot be read"),
        Finding::Foreign(_) => ("foreign", "something that does not belong to the store"),
        Finding::Leftover(_) => (
            "leftover",
            "an interrupted create or delete, which a sweep removes",
        ),
        Finding::Surplus(_) => ("surplus", "an entry of the index that no session needs"),
        Finding::Missing(_) => ("missing", "a session that the index by user lacks"),
        Finding::Unreadable(..) => ("unreadable", "something that could not be checked"),
        Finding::Inaccessible(..) => ("inaccessible", "something that the servers cannot use"),
        _ => ("other", "another problem"),
    }
}

/// Shows a finding: its name, and the reason if it has one.
fn describe(finding: &Finding) -> Markup {
    match finding {
        Finding::Damaged(id, why) => {
            html! { a href={ "/session/" (id) } { code { (id) } } ": " (why) }
        }
        Finding::Leftover(id) => html! { code { (id) } },
        Finding::Missing(id) => html! { a href={ "/session/" (id) } { code { (id) } } },
        Finding::Foreign(name) | Finding::Surplus(name) => html! { code { (name) } },
        Finding::Unreadable(name, why) | Finding::Inaccessible(name, why) => {
            html! { code { (name) } ": " (why) }
        }
        other => html! { (format!("{other:?}")) },
    }
}

/// Where the page of findings begins.
#[derive(Deserialize)]
pub struct From {
    #[serde(default)]
    after: usize,
}

/// Shows the latest check.
pub async fn show(
    State(app): State<Arc<App>>,
    operator: Operator,
    Query(watching): Query<Watching>,
    Query(from): Query<From>,
) -> Response {
    let now = app.now().await;
    let check = app.checks.0.lock();
    let is_running = check.as_ref().is_some_and(|check| check.done.is_some());
    let content = html! {
        p {
            "A check reads every session and compares the index by user. A repair also corrects "
            "that index; sessions are never changed."
        }
        @if !is_running { (forms(&app, &operator)) }
        @match &*check {
            Some(check) => (latest(check, from.after, watching, now)),
            None => p { "No check was made since the dashboard started." },
        }
    };
    drop(check);
    watching.answer(layout::page(&app, &operator, Tab::Check, "Check", content))
}

fn forms(app: &App, operator: &Operator) -> Markup {
    html! {
        div.actions {
            form method="post" action="/check" { (csrf(operator)) button { "Check" } }
            @if !app.is_read_only {
                form method="post" action="/check" {
                    (csrf(operator))
                    input type="hidden" name="repair" value="true";
                    button { "Check and repair the index" }
                }
            }
        }
    }
}

fn latest(check: &Check, after: usize, watching: Watching, now: Timestamp) -> Markup {
    let name = if check.repairs {
        "check with repair"
    } else {
        "check"
    };
    html! {
        h2 { "The latest " (name) }
        @match (check.done, &check.outcome) {
            (Some(done), _) => div.state role="status" {
                p { label { "Running: " (format!("{:.0} % ", done * 100.0))
                    progress max="100" value=(format!("{:.0}", done * 100.0)) {} } }
                p { (watching.link("/check")) }
            },
            (None, Some(Err(why))) => p.problem role="alert" { "The check failed: " (why) },
            (None, Some(Ok(report))) => p {
                "It began " (time(check.began, now)) ". "
                (words::count(report.sessions)) " sessions are sound, "
                (words::count(report.damaged)) @if report.damaged == 1 { " is" } @else { " are" } " damaged."
                @if check.kinds.is_empty() { " It found no problem." }
            },
            (None, None) => {}
        }
        (findings(check, after))
    }
}

fn findings(check: &Check, after: usize) -> Markup {
    let all: u64 = check.kinds.values().sum();
    let shown = check.findings.iter().skip(after).take(PAGE);
    let next = after.saturating_add(PAGE);
    html! {
        @if all > 0 {
            ul.kinds { @for (kind, count) in &check.kinds { li { (words::count(*count)) " " (kind) } } }
            div.scroll tabindex="0" role="region" aria-label="Findings" { table {
                thead { tr { th scope="col" { "Kind" } th scope="col" { "What" } } }
                tbody { @for finding in shown { tr {
                    th scope="row" { abbr title=(kind(finding).1) { (kind(finding).0) } }
                    td { (describe(finding)) }
                } } }
            } }
            p.pages {
                @if next < check.findings.len() {
                    a href={ "/check?after=" (next) } { "Continue" }
                } @else if all > check.findings.len() as u64 {
                    "Of " (words::count(all)) " findings, the first " (MAX_FINDINGS) " are listed."
                } @else { "These are the last ones." }
            }
        }
    }
}

/// The form that starts a check.
#[derive(Deserialize)]
pub struct Start {
    csrf: String,
    #[serde(default)]
    repair: bool,
}

/// Starts a check.
pub async fn start(
    State(app): State<Arc<App>>,
    session: RequestSession,
    operator: Operator,
    Form(form): Form<Start>,
) -> Result<Response, Refused> {
    check_form(&session, &form.csrf).await?;
    if form.repair && app.is_read_only {
        return Err(Refused::ReadOnly);
    }
    let began = app.now().await;
    let log_in = operator.log_in;
    tracing::info!(operator = %log_in, repairs = form.repair, "the operator starts a check");
    let has_started = app
        .checks
        .start(app.store.clone(), began, form.repair, log_in);
    let message = match has_started {
        true => "The check has started.",
        false => "A check is running already.",
    };
    redirect(&session, "/check", message).await
}
