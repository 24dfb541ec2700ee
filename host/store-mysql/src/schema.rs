//! The tables: creating them, and checking that they and their server can be used.

use std::collections::BTreeSet;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error};
use tokio::time::timeout;

use crate::OpenError;
use crate::connector::{Connector, Unconnected};
use crate::failure::{Failure, describe};
use crate::server::Requirements;

/// The version of the schema that this program knows.
const VERSION: u32 = 1;

/// The columns of the table of sessions, with their types.
const SESSIONS: [&str; 8] = [
    "id binary(16)",
    "version bigint unsigned",
    "nonce binary(16)",
    "modified bigint unsigned",
    "expires bigint unsigned",
    "usr mediumblob",
    "usr_hash binary(32)",
    "data mediumblob",
];

/// The tables of one store.
pub struct Schema {
    pub table: String,
    pub requirements: Requirements,
    /// How long the whole check may take.
    pub patience: Duration,
}

impl Schema {
    /// Connects, and checks the server and the tables. Creates the tables if they are missing
    /// and `create` says so.
    pub async fn prepare(&self, connector: &Connector, create: bool) -> Result<(), OpenError> {
        let place = connector.health.server();
        let prepared = timeout(self.patience, async {
            let connected = connector.connect().await;
            let mut conn = connected.map_err(|error| not_connected(place, &error))?;
            self.prepare_with(&mut conn, place, create).await
        });
        prepared.await.unwrap_or_else(|_| {
            let why = format!("no answer within {:?}", self.patience);
            Err(OpenError::Unreachable(place.into(), why))
        })
    }

    async fn prepare_with(
        &self,
        conn: &mut Conn,
        place: &str,
        create: bool,
    ) -> Result<(), OpenError> {
        self.requirements.check(conn, place).await?;
        if self.check_tables(conn, place).await? {
            return Ok(());
        }
        if !create {
            return Err(OpenError::Missing(place.into(), self.table.clone()));
        }
        for statement in self.creation() {
            let created = conn.query_drop(statement).await;
            created.map_err(|error| failed(place, &error))?;
        }
        // Another process may have created tables of another version meanwhile.
        match self.check_tables(conn, place).await? {
            true => Ok(()),
            false => Err(OpenError::Missing(place.into(), self.table.clone())),
        }
    }

    /// Returns whether all tables exist. Tables that are not this store's are an error.
    ///
    /// Creating a table is a transaction of its own, so that some may be missing: another
    /// process creates them now, or was killed when it did.
    async fn check_tables(&self, conn: &mut Conn, place: &str) -> Result<bool, OpenError> {
        let foreign = || OpenError::Foreign(place.into(), self.table.clone());
        let mut are_complete = true;
        let [sessions, locks, meta] = self.names();
        let expected: [(_, &[&str]); 3] = [
            (sessions, &SESSIONS),
            (locks, &["id binary(16)", "until bigint unsigned"]),
            (meta.clone(), &["session3_schema int unsigned"]),
        ];
        for (table, expected) in expected {
            let found = columns(conn, place, &table).await?;
            are_complete &= !found.is_empty();
            let is_own = expected.iter().all(|column| found.contains(*column));
            if !found.is_empty() && !is_own {
                return Err(foreign());
            }
            self.check_engine(conn, place, table).await?;
        }
        if !are_complete {
            return Ok(false);
        }
        match version(conn, place, &meta).await? {
            Some(version) if version > VERSION => {
                Err(OpenError::Newer(place.into(), self.table.clone(), version))
            }
            version => Ok(version.is_some()),
        }
    }

    async fn check_engine(
        &self,
        conn: &mut Conn,
        place: &str,
        table: String,
    ) -> Result<(), OpenError> {
        let statement = "SELECT engine FROM information_schema.tables \
                         WHERE table_schema = DATABASE() AND table_name = ?";
        let answer = conn.exec_first(statement, (&table,)).await;
        let engine: Option<Option<String>> = answer.map_err(|error| failed(place, &error))?;
        match engine.flatten() {
            Some(engine) if !engine.eq_ignore_ascii_case("InnoDB") => {
                Err(OpenError::Engine(place.into(), table, engine))
            }
            _ => Ok(()),
        }
    }

    fn names(&self) -> [String; 3] {
        let table = &self.table;
        [
            table.clone(),
            format!("{table}_locks"),
            format!("{table}_meta"),
        ]
    }

    /// Returns the statements that create what is missing. The row of the last one says that
    /// all tables exist.
    fn creation(&self) -> [String; 4] {
        let [sessions, locks, meta] = self.names();
        let number = "BIGINT UNSIGNED NOT NULL";
        let options = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=binary";
        [
            format!(
                "CREATE TABLE IF NOT EXISTS `{sessions}` (id BINARY(16) NOT NULL PRIMARY KEY, \
                 version {number}, nonce BINARY(16) NOT NULL, modified {number}, \
                 expires {number}, usr MEDIUMBLOB, usr_hash BINARY(32), \
                 data MEDIUMBLOB NOT NULL, KEY usr_hash (usr_hash)) {options}"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS `{locks}` (id BINARY(16) NOT NULL PRIMARY KEY, \
                 token BINARY(16) NOT NULL, until {number}) {options}"
            ),
            format!(
                "CREATE TABLE IF NOT EXISTS `{meta}` (\
                 is_single TINYINT UNSIGNED NOT NULL PRIMARY KEY, \
                 session3_schema INT UNSIGNED NOT NULL, sweep_token BINARY(16), \
                 sweep_until {number}, sweep_next BINARY(16) NOT NULL) {options}"
            ),
            format!(
                "INSERT INTO `{meta}` (is_single, session3_schema, sweep_until, sweep_next) \
                 VALUES (1, {VERSION}, 0, REPEAT(x'00', 16)) \
                 ON DUPLICATE KEY UPDATE is_single = 1"
            ),
        ]
    }
}

/// Returns the columns of a table with their types, none if there is no such table.
async fn columns(conn: &mut Conn, place: &str, table: &str) -> Result<BTreeSet<String>, OpenError> {
    let statement = "SELECT column_name, column_type FROM information_schema.columns \
                     WHERE table_schema = DATABASE() AND table_name = ?";
    let answer = conn.exec::<(String, String), _, _>(statement, (table,));
    let rows = answer.await.map_err(|error| failed(place, &error))?;
    let describe = |(name, kind): (String, String)| format!("{name} {}", without_width(&kind));
    Ok(rows.into_iter().map(describe).collect())
}

/// Returns a type without the width for display that MariaDB has and MySQL 8 has not.
fn without_width(kind: &str) -> String {
    match (kind.split_once('('), kind.split_once(')')) {
        (Some((name, _)), Some((_, rest))) if name.ends_with("int") => format!("{name}{rest}"),
        _ => kind.into(),
    }
}

async fn version(conn: &mut Conn, place: &str, meta: &str) -> Result<Option<u32>, OpenError> {
    let statement = format!("SELECT session3_schema FROM `{meta}`");
    let answer = conn.query_first(statement).await;
    answer.map_err(|error| failed(place, &error))
}

/// Returns the error of a statement that prepares the store.
pub fn failed(place: &str, error: &Error) -> OpenError {
    match Failure::new(error) {
        Failure::ReadOnly(_) => OpenError::ReadOnly(place.into()),
        _ => OpenError::Failed(place.into(), describe(error)),
    }
}

/// The numbers of errors with which the server refuses a user: a wrong password, a user who
/// may not connect without one or from this host, and a user without rights for the database.
const REFUSALS: [u16; 4] = [1045, 1698, 1130, 1044];

/// Returns why the first connection failed.
fn not_connected(place: &str, error: &Unconnected) -> OpenError {
    let (place, why) = (place.to_owned(), error.to_string());
    match error {
        Unconnected::ReadOnly => OpenError::ReadOnly(place),
        Unconnected::Failed(Error::Server(server)) if REFUSALS.contains(&server.code) => {
            OpenError::Refused(place, why)
        }
        // No such database, for example.
        Unconnected::Failed(Error::Server(_)) => OpenError::Failed(place, why),
        _ => OpenError::Unreachable(place, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_for_display_makes_no_difference() {
        assert_eq!(without_width("bigint(20) unsigned"), "bigint unsigned");
        assert_eq!(without_width("bigint unsigned"), "bigint unsigned");
        assert_eq!(without_width("binary(16)"), "binary(16)");
    }
}
