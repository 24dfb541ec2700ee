//! The page for operators of a store: an axum application that counts, searches, shows and ends
//! its sessions, also while servers use it.
//!
//! ```no_run
//! use session3::store::StoreOptions;
//! use session3_dashboard::{Dashboard, Options};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = StoreOptions::default().open("/var/lib/shop/sessions").await?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8090").await?;
//! let options = Options::new("/var/lib/shop/sessions", listener.local_addr()?.port());
//! let dashboard = Dashboard::new(store, options).await?;
//! println!("Open http://127.0.0.1:8090{}", dashboard.link().renew());
//! dashboard.serve(listener, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The link logs in once; every other request is answered with 403 Forbidden. Nothing is
//! encrypted, so the listener has to be one of loopback: [`serve`](Dashboard::serve) refuses
//! others.
//!
//! The modules [`counts`], [`servers`] and [`words`] are also for programs that show the same
//! figures in a terminal.

#![forbid(unsafe_code)]

mod access;
mod busiest;
mod census;
mod chart;
mod checking;
pub mod counts;
mod dashboard;
mod ending;
mod layout;
mod live;
mod metrics_text;
mod overview;
mod refused;
pub mod servers;
mod sessions;
pub mod words;

pub use access::Link;
pub use census::{Census, Figures, Look, Progress};
pub use dashboard::{Dashboard, DashboardError, Options};
