//! Sessions in a table of MariaDB or MySQL, which any number of web servers share.
//!
//! ```no_run
//! use session3_store::{SessionId, SessionState, SessionStore};
//! use session3_store_mysql::{MysqlStore, Options};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let url = "mysql://web:password@db/shop?tls=verify";
//! let store = MysqlStore::open(url, Options::default().create(true)).await?;
//!
//! let id: SessionId = "0123456789abcdef0123456789abcdef".parse()?;
//! let state = SessionState { user: None, expires: u64::MAX, data: b"state".to_vec() };
//! let version = store.create_session(&id, &state).await?;
//! store.save_session(&id, &state, version).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`MysqlStore::open`] lists what the URL may have. The store is tested with MariaDB 10.11.
//! Its statements are those that MySQL 8 knows as well; it is meant to work there, and is not
//! tested.
//!
//! # Promises and limits
//!
//! - **One round trip.** Each create, load, save, touch and delete is one prepared statement and
//!   one transaction. A save, a touch or an import that finds another version than expected
//!   takes a second statement, which asks what there is. A page of a walk is two statements.
//! - **Eight connections** at most are shared by all operations, since the protocol runs one
//!   statement at a time on each. An operation that gets none before its timeout fails with
//!   `Unavailable`. A connection that was idle for a second is asked first whether it still
//!   works.
//! - **Time is the server's**, in milliseconds: modification times, expiry and leases do not
//!   depend on the clocks or the time zones of the web servers.
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
//!   network do. The connection of an overdue statement is closed, and killed at the server;
//!   its change may or may not be made. While the server is away, calls fail at once.
//!   Connections are made again without a restart, and the log has one line for each change of
//!   state. Deadlocks are repeated within the timeout.
//! - **A crash of the server** loses no acknowledged create, save, touch, import or delete if its
//!   setting `innodb_flush_log_at_trx_commit` is 1, and, with a binary log, `sync_binlog` is 1.
//!   The store refuses other values unless the URL has `durability=off`. A crash then undoes
//!   about the last second: a session that was deleted returns. MariaDB's default for
//!   `sync_binlog` is 0.
//! - **A load may show a change that is not on the disk yet**, since InnoDB shows a change before
//!   it acknowledges it. If the server crashes at this moment, the change is undone.
//! - **A touch waits for the disk** as a save does. MySQL knows no exception for a single
//!   transaction.
//! - **A failover** to a replica loses what the replica did not have yet: saves, and deletes,
//!   so that an ended session may return. Only a replication that waits for the replica before
//!   it acknowledges prevents that.
//! - **Reads and writes go to one server**, the primary. The store refuses a server with the
//!   setting `read_only`, whatever the rights of its user are, and a connection to a server
//!   that has become read-only is discarded. A proxy that sends reads to replicas, and a Galera
//!   cluster whose connections go to several nodes, return older states, which the contract
//!   forbids.
//! - **Leases of exclusive requests** are rows, and survive a crash of the server until their
//!   deadline.
//! - **States of 1 MiB** need a `max_allowed_packet` that is 4 KiB larger; opening the store
//!   checks that.
//! - **Other limits.** A sweep whose delete is repeated after a lost reply counts fewer deleted
//!   sessions than it deleted. A server that becomes read-only is left at the first write, so
//!   that loads may read from it until then. A transaction of another program that locks the
//!   row of a session or the table for long makes calls fail with `Unavailable`. A server with
//!   `binlog_format=STATEMENT` accepts no writes at the isolation level READ COMMITTED, which
//!   the store uses. `tls=prefer` and `require` do not check who the server is. Of the ways to
//!   log in, `mysql_native_password` and `caching_sha2_password` are known. Passwords are taken
//!   from no configuration file such as `~/.my.cnf`.
//!
//! # Choices
//!
//! - An overdue connection is killed as a whole (`KILL`), not only its statement (`KILL QUERY`):
//!   it is closed anyway, and a statement that has not reached the server yet must not run later.
//! - The clock is `UTC_TIMESTAMP`: it depends on no time zone, and `UNIX_TIMESTAMP` of MariaDB
//!   10.11 ends in 2038.
//! - A lock is an insert and, if there is a row, an update of one whose lease has ended. The
//!   number of rows that `INSERT … ON DUPLICATE KEY UPDATE` reports cannot tell a row that was
//!   created from one that stays as it is, if updates count the rows that they find.
//! - A sweep uses one connection at a time of the shared ones, and so needs none of its own. Its
//!   steps are a select, a delete and an update of its lease. Two sweeps at once, after a lease
//!   that has ended too early, do no harm, since each delete asks again what is old.
//! - Text is sent and compared as bytes (`SET NAMES binary`), so that no server converts a user
//!   or an ID.
//! - The store refuses a binary log that is not durable (`sync_binlog`), since InnoDB rolls back
//!   at its start what that log does not have.
//!
//! # Figures
//!
//! Mean times in microseconds of 2000 operations after each other on sessions of 1 kB, the least
//! of four runs, over loopback to MariaDB 10.11 on two cores that had other work, in the profile
//! `dev`. The bare statements run through mysql_async on one connection. "Durable" is with
//! `innodb_flush_log_at_trx_commit=1`, "lazy" with 0.
//!
//! | | create | load | save | touch | delete |
//! | --- | --- | --- | --- | --- | --- |
//! | store, durable | 310 | 81 | 284 | 300 | 281 |
//! | bare, durable | 263 | 49 | 256 | 266 | 236 |
//! | store, lazy | 98 | 84 | 103 | 92 | 76 |
//! | bare, lazy | 66 | 51 | 77 | 57 | 66 |
//!
//! # Schema
//!
//! The version of the schema is 1. All tables are InnoDB's. With the default name, they are
//! these:
//!
//! | table `session3` | | |
//! | --- | --- | --- |
//! | `id` | `binary(16)` | the session ID, the primary key; `HEX(id)` has its digits |
//! | `version` | `bigint unsigned` | the version |
//! | `nonce` | `binary(16)` | the random number of the create, save or import that made this state |
//! | `modified` | `bigint unsigned` | the modification time, in milliseconds since 1970 |
//! | `expires` | `bigint unsigned` | the time from which a sweep deletes the session, in the same unit |
//! | `usr` | `mediumblob` | the user in UTF-8, null without one |
//! | `usr_hash` | `binary(32)` | the SHA-256 of the user, null without one |
//! | `data` | `mediumblob` | the data of the state |
//!
//! `usr_hash` is the index by user. The sessions of a user are compared with `usr` as well, so
//! that no collation and no collision adds a session of another user. There is no index on
//! `expires`: each touch and save would write to it. The sweep reads the table in the order
//! of the IDs, 500 at a time, and deletes those that are still old by their IDs.
//!
//! | table `session3_locks` | | |
//! | --- | --- | --- |
//! | `id` | `binary(16)` | the session ID, the primary key |
//! | `token` | `binary(16)` | the random number of the lease |
//! | `until` | `bigint unsigned` | the deadline of the lease, in milliseconds since 1970 |
//!
//! | table `session3_meta`, one row | | |
//! | --- | --- | --- |
//! | `is_single` | `tinyint unsigned` | 1, the primary key |
//! | `session3_schema` | `int unsigned` | the version of the schema |
//! | `sweep_token` | `binary(16)` | the random number of the latest sweep |
//! | `sweep_until` | `bigint unsigned` | the end of its lease, in milliseconds since 1970 |
//! | `sweep_next` | `binary(16)` | the ID of `session3` where the next sweep continues |

#![forbid(unsafe_code)]

mod call;
mod changes;
mod connector;
mod exclusive;
mod failure;
mod inner;
mod maintenance;
mod options;
mod pool;
mod reads;
mod rows;
mod schema;
mod server;
// For the benchmark, which runs the bare statements.
#[doc(hidden)]
pub mod statements;
mod store;
mod sweep;
mod tls;
mod url;

pub use options::{OpenError, Options, UrlError};
pub use store::MysqlStore;
