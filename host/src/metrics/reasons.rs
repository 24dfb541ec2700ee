//! What reasons are called in logs and numbers. Stores that are components share
//! this file.

use super::{EndReason, RejectReason};

/// Why a session ended.
pub fn end_reason(reason: EndReason) -> &'static str {
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

/// Why a token opened nothing.
pub fn reject_reason(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Malformed => "malformed",
        RejectReason::Unknown => "unknown",
        RejectReason::WrongSecret => "wrong-secret",
        RejectReason::ReplacedToken => "replaced-token",
        RejectReason::Ended => "ended",
    }
}
