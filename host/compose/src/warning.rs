//! What an author or operator should know of an application that is not refused.

use thiserror::Error;

use crate::outline::Outline;
use crate::part::{has_sessions, is_composed};

/// Something about an application that is probably a mistake.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Random numbers are the same in each instance of the application, so in each request.
    #[error(
        "the application is in JavaScript without wasi:random, so that Math.random() and \
         crypto.randomUUID() return the same values in every request: build it again without \
         `--disable random`"
    )]
    ConstantRandomNumbers,
    /// The application imports nothing of session3.
    #[error(
        "the application has no sessions, because it imports no session3:sessions/manager: if it \
         should, build it with the WIT files of `session3 wit --world application -o wit`"
    )]
    NoSessions,
    /// The application is what an earlier composition has returned, and nothing is added to it.
    #[error("the application is composed with the session manager already, and stays as it is")]
    AlreadyComposed,
}

impl Warning {
    /// Returns the warnings for an application.
    pub(crate) fn of(application: &Outline) -> Vec<Self> {
        let is_composed = is_composed(application);
        // Without a handler, there is a reason to refuse it, which counts.
        let has_no_sessions =
            application.is_handler() && !is_composed && !has_sessions(application);
        let warnings = [
            (
                application.has_constant_random_numbers(),
                Self::ConstantRandomNumbers,
            ),
            (has_no_sessions, Self::NoSessions),
            (is_composed, Self::AlreadyComposed),
        ];
        let warnings = warnings.into_iter().filter(|(applies, _)| *applies);
        warnings.map(|(_, warning)| warning).collect()
    }
}
