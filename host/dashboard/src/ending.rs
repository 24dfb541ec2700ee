//! Ending sessions: one, all of a user, or all, after a question.

use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use parking_lot::Mutex;
use serde::Deserialize;
use session3::Administration;
use session3::layer::RequestSession;
use session3::store::SessionId;
use session3::text::escaped;

use crate::access::{Operator, check_form, redirect};
use crate::dashboard::App;
use crate::layout::{self, Tab, csrf};
use crate::overview::shown_user;
use crate::refused::Refused;
use crate::words;

/// Which sessions are to end, in the address of the question and in the answer.
#[derive(Deserialize)]
pub struct Which {
    session: Option<String>,
    user: Option<String>,
    // A text, since a flattened field of a form cannot be a boolean.
    everyone: Option<String>,
}

/// The answer to the question.
#[derive(Deserialize)]
pub struct Answer {
    csrf: String,
    #[serde(flatten)]
    which: Which,
}

/// Which sessions are to end.
enum Sessions {
    One(SessionId),
    Of(String),
    All,
}

impl Sessions {
    /// Reads which sessions are meant. Exactly one of the fields has to say it.
    fn read(which: Which) -> Result<Self, Refused> {
        match (which.session, which.user, which.everyone.as_deref()) {
            (Some(id), None, None) => id
                .parse()
                .map(Self::One)
                .map_err(|_| Refused::Malformed("This is not the ID of a session.")),
            (None, Some(user), None) => Ok(Self::Of(user)),
            (None, None, Some("true")) => Ok(Self::All),
            _ => Err(Refused::Malformed(
                "Name one session, one user or everyone.",
            )),
        }
    }
}

/// Asks whether sessions shall end.
pub async fn ask(
    State(app): State<Arc<App>>,
    operator: Operator,
    Query(which): Query<Which>,
) -> Result<Markup, Refused> {
    refuse_if_read_only(&app)?;
    let sessions = Sessions::read(which)?;
    let (question, field, value) = match &sessions {
        Sessions::One(id) => (
            html! { "End the session " code { (id) } "? Its user is logged out at once." },
            "session",
            id.to_string(),
        ),
        Sessions::Of(user) => {
            let count = app.store.sessions_of_user(user).await?.len();
            let question = html! {
                "End all " (words::count(count as u64)) " sessions of "
                strong { (shown_user(user)) } "? This user is logged out at once, everywhere."
            };
            (question, "user", user.clone())
        }
        Sessions::All => (
            html! {
                "End the sessions of " strong { "everyone" } "? All users are logged out, and what "
                "their sessions hold is lost."
            },
            "everyone",
            "true".into(),
        ),
    };
    let content = html! {
        p { (question) " This cannot be undone." }
        form.question method="post" action="/end" {
            (csrf(&operator))
            input type="hidden" name=(field) value=(value);
            button.danger { "End" }
            a href="/sessions" { "Cancel" }
        }
    };
    Ok(layout::page(
        &app,
        &operator,
        Tab::Sessions,
        "End sessions",
        content,
    ))
}

/// Ends sessions.
pub async fn end(
    State(app): State<Arc<App>>,
    session: RequestSession,
    operator: Operator,
    Form(answer): Form<Answer>,
) -> Result<Response, Refused> {
    check_form(&session, &answer.csrf).await?;
    refuse_if_read_only(&app)?;
    let (page, message) = match Sessions::read(answer.which)? {
        Sessions::One(id) => ("/sessions", end_one(&app, &operator, id).await?),
        Sessions::Of(user) => ("/sessions", end_of_user(&app, &operator, user).await?),
        Sessions::All => {
            let administration = app.administration.clone();
            ("/", app.ending_all.start(administration, &operator))
        }
    };
    redirect(&session, page, &message).await
}

fn refuse_if_read_only(app: &App) -> Result<(), Refused> {
    match app.is_read_only {
        true => Err(Refused::ReadOnly),
        false => Ok(()),
    }
}

async fn end_one(app: &App, operator: &Operator, id: SessionId) -> Result<String, Refused> {
    let has_ended = app.administration.delete_session(&id).await?;
    tracing::info!(operator = %operator.log_in, session = %id, has_ended, "the operator ended a session");
    Ok(match has_ended {
        true => format!("The session {id} has ended."),
        false => format!("There is no session {id} any more."),
    })
}

async fn end_of_user(app: &App, operator: &Operator, user: String) -> Result<String, Refused> {
    let administration = app.administration.clone();
    let (log_in, name) = (operator.log_in.clone(), user.clone());
    // A task of its own: an operator who closes the page must not stop it half-way.
    let task = tokio::spawn(async move {
        let ended = administration.delete_sessions_of_user(&name).await;
        let user = escaped(&name);
        match &ended {
            Ok(ended) => tracing::info!(
                operator = %log_in, %user, ended, "the operator ended the sessions of a user"
            ),
            Err(error) => tracing::error!(
                operator = %log_in, %user, %error, "the sessions of a user could not all be ended"
            ),
        }
        ended
    });
    let ended = task.await.map_err(|error| {
        Refused::Failed(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            error.to_string(),
        )
    })??;
    let count = words::count(ended.into());
    Ok(format!(
        "{count} sessions of {} have ended.",
        shown_user(&user)
    ))
}

/// Ends the sessions of everyone, in the background.
#[derive(Default)]
pub struct EndingAll(Mutex<Option<Ending>>);

struct Ending {
    ended: u64,
    is_running: bool,
    problem: Option<String>,
}

impl EndingAll {
    /// Starts to end all sessions, unless that runs already.
    fn start(self: &Arc<Self>, administration: Administration, operator: &Operator) -> String {
        let mut state = self.0.lock();
        if state.as_ref().is_some_and(|state| state.is_running) {
            return "The sessions of everyone are being ended already.".into();
        }
        *state = Some(Ending {
            ended: 0,
            is_running: true,
            problem: None,
        });
        tracing::warn!(operator = %operator.log_in, "the operator ends the sessions of everyone");
        tokio::spawn(self.clone().run(administration, operator.log_in.clone()));
        "The sessions of everyone are being ended.".into()
    }

    async fn run(self: Arc<Self>, administration: Administration, log_in: String) {
        let mut ended = 0;
        let problem = loop {
            match administration.delete_all_sessions().await {
                Ok(report) => {
                    ended += report.deleted;
                    self.update(|state| state.ended = ended);
                    if report.complete {
                        break None;
                    }
                    if report.deleted == 0 {
                        break Some(format!("{} sessions cannot be ended", report.remaining));
                    }
                }
                Err(error) => break Some(error.to_string()),
            }
        };
        match &problem {
            None => {
                tracing::warn!(operator = %log_in, ended, "the sessions of everyone were ended")
            }
            Some(why) => tracing::error!(
                operator = %log_in, ended, %why, "the sessions of everyone could not all be ended"
            ),
        }
        self.update(|state| {
            state.is_running = false;
            state.problem = problem;
        });
    }

    fn update(&self, change: impl FnOnce(&mut Ending)) {
        if let Some(state) = &mut *self.0.lock() {
            change(state);
        }
    }

    /// Says how far it is, if it was started.
    pub fn describe(&self) -> Markup {
        let state = self.0.lock();
        let Some(state) = &*state else {
            return html! {};
        };
        let ended = words::count(state.ended);
        html! {
            @if state.is_running {
                p.message role="status" { "Ending the sessions of everyone: " (ended) " so far." }
            } @else {
                p.note { "The sessions of everyone were ended: " (ended) "." }
            }
            @if let Some(problem) = &state.problem {
                p.problem role="alert" { "Not all could be ended: " (problem) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Sessions, Refused> {
        let uri = format!("/end?csrf=a&{query}").parse().expect("a URI");
        let Query(answer) = Query::<Answer>::try_from_uri(&uri).expect("an answer");
        Sessions::read(answer.which)
    }

    #[test]
    fn an_answer_names_one_session_one_user_or_everyone() {
        let id = "0123456789abcdef0123456789abcdef";
        let one = read(&format!("session={id}"));
        assert!(matches!(one, Ok(Sessions::One(one)) if one.to_string() == id));
        assert!(matches!(read("user=ann"), Ok(Sessions::Of(user)) if user == "ann"));
        assert!(matches!(read("everyone=true"), Ok(Sessions::All)));
        for malformed in ["", "session=1", "user=ann&everyone=true", "everyone=false"] {
            let refused = matches!(read(malformed), Err(Refused::Malformed(_)));
            assert!(refused, "{malformed}");
        }
    }
}
