//! Sessions in a table of PostgreSQL 14 or later, which any number of web servers share.
//!
//! ```no_run
//! use session3_store::{SessionId, SessionState, SessionStore};
//! use session3_store_postgres::{Options, PostgresStore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "postgres://web:password@db1,db2/shop?sslmode=verify-full";
//! let store = PostgresStore::open(url, Options::default().create(true)).await?;
//!
//! let id: SessionId = "0123456789abcdef0123456789abcdef".parse()?;
//! let state = SessionState { user: None, expires: u64::MAX, data: b"state".to_vec() };
//! let version = store.create_session(&id, &state).await?;
//! store.save_session(&id, &state, version).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`PostgresStore::open`] lists what the URL may have.
//!
//! # Promises and limits
//!
//! - **One round trip.** Each operation on a session is one statement and one transaction. Four
//!   connections are shared by all operations, which do not wait for each other's answers; a
//!   sweep makes its own. PgBouncer may stand between, also in transaction mode. Without it,
//!   `prepare=on` in the URL saves the server the parsing of each statement. Behind it, a
//!   prepared statement could be that of another client, so it is off by default.
//! - **Time is the server's**, in milliseconds: modification times, expiry and leases do not
//!   depend on the clocks of the web servers.
//! - **A lost reply is looked into.** If a connection ends before the reply comes, the statement
//!   is sent again on another one. Each create, save and import stores a random number, its
//!   nonce, so that a repeated statement recognises its own change: it neither takes effect
//!   twice nor counts as a conflict. Where that leaves a doubt, for example if another request
//!   saved the session since, the error is `Unavailable`. It is also that if a repeated delete
//!   finds no session. A create is not repeated, since it could revive a session that was
//!   deleted meanwhile; it is `Unavailable` unless the session has its nonce. A touch that is
//!   repeated may undo a touch that was made meanwhile, and a delete may delete a session that
//!   was created again with the same ID. Session3 gives no ID to a second session.
//! - **Each call ends in time**, after two seconds by default, whatever the server and the
//!   network do. An overdue statement is cancelled and its connection is closed; its change
//!   may or may not be made. While the server is away, calls fail at once. Connections are made
//!   again without a restart. The log has one line for each change of state, and the metrics
//!   have the gauge `session3_store_up` and the counter `session3_store_reconnects_total`.
//! - **A crash of the server** loses no acknowledged create, save, import or delete if its
//!   settings `fsync` and `synchronous_commit` are on, which is their default. The store refuses
//!   a server with `fsync=off`, unless the URL has `durability=off`. With
//!   `synchronous_commit=off`, or `durability=off`, a crash undoes about the last half second:
//!   a session that was deleted then returns.
//! - **A touch does not wait for the disk.** A crash of the server may undo the touches of
//!   about the last half second, so that a session expires earlier by that much.
//! - **A failover** to a standby loses what the standby did not have yet: saves, and deletes,
//!   so that an ended session may return. Only a synchronous standby
//!   (`synchronous_standby_names`) prevents that. While no standby confirms changes, they fail
//!   with `Unavailable`, but the server makes them when their statements are cancelled: loads
//!   then return changes that a failover undoes.
//! - **Leases of exclusive requests** are in a table without write-ahead log. A crash of the
//!   server and a failover end them all. Saves are compare-and-swap, so that no update is lost.
//! - **Reads go to the host that accepts writes.** A standby lags behind.
//! - **Other limits.** A transaction of another program that locks the row of a session or the
//!   table for long makes calls fail with `Unavailable`. `sslmode=prefer` and `require` do not
//!   check who the server is, as in PostgreSQL's own programs.
//!
//! # Schema
//!
//! The version of the schema is 1. With the default name, the tables are these:
//!
//! | table `session3` | | |
//! | --- | --- | --- |
//! | `id` | `uuid` | the session ID, the primary key |
//! | `version` | `numeric(20)` | the version |
//! | `nonce` | `uuid` | the random number of the create, save or import that made this state |
//! | `modified` | `numeric(20)` | the modification time, in milliseconds since 1970 |
//! | `expires` | `numeric(20)` | the time from which a sweep deletes the session, in the same unit |
//! | `usr` | `bytea` | the user in UTF-8, null without one |
//! | `data` | `bytea` | the data of the state |
//!
//! `session3_user` is a hash index on `usr`. There is no index on `expires`: it would make
//! each touch and save write to all indexes. The sweep reads the table in ranges of blocks, and
//! `fillfactor` leaves room in the blocks for the next versions of rows.
//!
//! | table `session3_locks` | | |
//! | --- | --- | --- |
//! | `id` | `uuid` | the session ID, the primary key |
//! | `token` | `uuid` | the random number of the lease |
//! | `until` | `timestamptz` | the deadline of the lease |
//!
//! | table `session3_meta`, one row | | |
//! | --- | --- | --- |
//! | `is_single` | `boolean` | true, the primary key |
//! | `session3_schema` | `integer` | the version of the schema |
//! | `sweep_token` | `uuid` | the random number of the latest sweep |
//! | `sweep_until` | `timestamptz` | the end of its lease |
//! | `sweep_block` | `bigint` | the block of `session3` where the next sweep continues |

#![forbid(unsafe_code)]

mod call;
mod check;
mod connector;
mod exclusive;
mod failure;
mod inner;
mod link;
mod maintenance;
mod options;
mod password;
mod prepared;
mod rows;
mod schema;
// For the benchmark, which runs the bare statements.
#[doc(hidden)]
pub mod statements;
mod store;
mod sweep;
mod tls;
mod url;
#[doc(hidden)]
pub mod values;

pub use options::{OpenError, Options, UrlError};
pub use store::PostgresStore;
