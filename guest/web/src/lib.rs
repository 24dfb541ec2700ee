//! The pages of the demo, which have placeholders, and the responses of the applications of tests
//! over WASI 0.2's HTTP.
//!
//! ```
//! let page = session3_web::fill("<p>{name}</p>", &[("name", "alice")]);
//! assert_eq!(page, "<p>alice</p>");
//! ```

pub mod bindings;
mod http;
mod template;

pub use http::{Response, respond, send};
pub use template::{LAYOUT, SESSION, fill};
