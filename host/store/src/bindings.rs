//! Conversions between this crate's types and those that `bindgen!` and
//! `wit_bindgen::generate!` make of the contract. Every crate with bindings has its own
//! generated types, so the conversions are macros, which such a crate calls once.

/// Implements `From` between this crate's types and generated bindings of
/// `session3:sessions/store`. The argument is the path of the generated module, which
/// must belong to the calling crate.
#[doc(hidden)]
#[macro_export]
macro_rules! convert_store_bindings {
    ($($wit:ident)::+) => {
        impl From<$($wit)::+::SessionState> for $crate::SessionState {
            fn from(state: $($wit)::+::SessionState) -> Self {
                Self {
                    user: state.user,
                    expires: state.expires,
                    data: state.data,
                }
            }
        }

        impl From<$crate::StoredSession> for $($wit)::+::StoredSession {
            fn from(session: $crate::StoredSession) -> Self {
                Self {
                    id: session.id.to_string(),
                    version: session.version,
                    modified: session.modified,
                    state: $($wit)::+::SessionState {
                        user: session.state.user,
                        expires: session.state.expires,
                        data: session.state.data,
                    },
                }
            }
        }

        impl From<$crate::SessionPage> for $($wit)::+::SessionPage {
            fn from(page: $crate::SessionPage) -> Self {
                let text = |(id, why): ($crate::SessionId, String)| (id.to_string(), why);
                Self {
                    sessions: page.sessions.into_iter().map(Into::into).collect(),
                    damaged: page.damaged.into_iter().map(text).collect(),
                    next: page.next,
                }
            }
        }

        impl From<$crate::SweepReport> for $($wit)::+::SweepReport {
            fn from(report: $crate::SweepReport) -> Self {
                Self {
                    deleted: report.deleted,
                    remaining: report.remaining,
                    complete: report.complete,
                }
            }
        }

        impl From<$crate::StoreError> for $($wit)::+::StoreError {
            fn from(error: $crate::StoreError) -> Self {
                match error {
                    $crate::StoreError::InvalidId => Self::InvalidId,
                    $crate::StoreError::Exists => Self::Exists,
                    $crate::StoreError::Absent => Self::Absent,
                    $crate::StoreError::Conflict(version) => Self::Conflict(version),
                    $crate::StoreError::TooLarge(limit) => Self::TooLarge(limit),
                    $crate::StoreError::Corrupt(how) => Self::Corrupt(how),
                    $crate::StoreError::Busy => Self::Busy,
                    $crate::StoreError::Unsupported => Self::Unsupported,
                    $crate::StoreError::Unavailable(what) => Self::Unavailable(what),
                    // A kind of error that is newer than the contract.
                    other => Self::Unavailable(other.to_string()),
                }
            }
        }
    };
}

/// Implements `From` between [`Value`](crate::value::Value) and the value of an attribute in
/// generated bindings of `session3:sessions/session-types`. The argument is the path of the
/// generated enumeration, which must belong to the calling crate.
#[cfg(feature = "value")]
#[doc(hidden)]
#[macro_export]
macro_rules! convert_value_bindings {
    ($($wit:ident)::+) => {
        impl From<$crate::value::Value> for $($wit)::+ {
            fn from(value: $crate::value::Value) -> Self {
                use $crate::value::Value;
                match value {
                    Value::Boolean(value) => Self::Boolean(value),
                    Value::Integer(value) => Self::Integer(value),
                    Value::Number(value) => Self::Number(value),
                    Value::Text(value) => Self::Text(value),
                    Value::Bytes(value) => Self::Bytes(value),
                    Value::Json(text) => Self::Json(text),
                }
            }
        }

        impl From<$($wit)::+> for $crate::value::Value {
            fn from(value: $($wit)::+) -> Self {
                match value {
                    $($wit)::+::Boolean(value) => Self::Boolean(value),
                    $($wit)::+::Integer(value) => Self::Integer(value),
                    $($wit)::+::Number(value) => Self::Number(value),
                    $($wit)::+::Text(value) => Self::Text(value),
                    $($wit)::+::Bytes(value) => Self::Bytes(value),
                    $($wit)::+::Json(text) => Self::Json(text),
                }
            }
        }
    };
}

/// Defines `end_reason` and `reject_reason`, which return the names that the reasons of
/// `session3:sessions/events` have in the contract. Logs and metrics use these names.
/// The argument is the path of the generated module.
#[doc(hidden)]
#[macro_export]
macro_rules! name_event_reasons {
    ($($wit:ident)::+) => {
        /// Returns the name of the reason why a session ended.
        fn end_reason(reason: $($wit)::+::EndReason) -> &'static str {
            use $($wit)::+::EndReason;
            match reason {
                EndReason::ExpiredByApplication => "expired-by-application",
                EndReason::Idle => "idle",
                EndReason::TooOld => "too-old",
                EndReason::ReplacedTokenReused => "replaced-token-reused",
                EndReason::TooMany => "too-many",
                EndReason::ByAdministrator => "by-administrator",
                EndReason::ClientChanged => "client-changed",
            }
        }

        /// Returns the name of the reason why a token opened no session.
        fn reject_reason(reason: $($wit)::+::RejectReason) -> &'static str {
            use $($wit)::+::RejectReason;
            match reason {
                RejectReason::Malformed => "malformed",
                RejectReason::Unknown => "unknown",
                RejectReason::WrongSecret => "wrong-secret",
                RejectReason::ReplacedToken => "replaced-token",
                RejectReason::Ended => "ended",
            }
        }
    };
}
