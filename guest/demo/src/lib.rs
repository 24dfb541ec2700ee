//! The demo, an interactive application for trying out sessions. It has the pages of the demo
//! of Session3, the Python library, and additional pages for users and for the administrator.
//!
//! `pages` maps each request to its page. `account` and `admin` contain the additional pages,
//! `forms` protects their forms, `words` describes sessions, and `response` creates responses. The
//! crate `session3-guest` opens and commits the session around them.

mod account;
mod admin;
mod forms;
mod pages;
mod response;
mod words;

session3_guest::serve!(pages::answer, pages::SESSIONS);
