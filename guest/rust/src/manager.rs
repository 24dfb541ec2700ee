//! The types of the session manager: the configuration, the modes, and what it needs of a request.

pub use crate::bindings::session3::sessions::manager::{
    Config, CookieConfig, Mode, Policy, RememberConfig, Request, SameSite, SessionSummary,
    UserCaching,
};
