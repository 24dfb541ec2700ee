//! Requests and responses over WASI 0.2's HTTP, and pages with placeholders. The demo and
//! the applications of the tests use it.
//!
//! ```
//! let page = session3_web::fill("<p>{name}</p>", &[("name", "alice")]);
//! assert_eq!(page, "<p>alice</p>");
//! ```

pub mod bindings;
mod http;
mod template;

pub use http::{BadForm, Request, Response, read, respond, send};
pub use template::{LAYOUT, SESSION, fill};
