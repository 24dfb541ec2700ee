//! The tables: creating them, and checking that they and their server can be used.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use crate::OpenError;
use crate::connector::Connector;
use crate::failure::{Failure, describe};
use crate::url::Durability;

/// The version of the schema that this program knows.
const VERSION: i32 = 1;

/// The columns of the table of sessions and of the table about it, with their types.
const SESSIONS: [&str; 7] = [
    "id uuid",
    "version numeric(20,0)",
    "nonce uuid",
    "modified numeric(20,0)",
    "expires numeric(20,0)",
    "usr bytea",
    "data bytea",
];

/// The tables of one store.
pub struct Schema {
    pub table: String,
    pub durability: Option<Durability>,
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
            let (client, driver) = connected.map_err(|error| not_connected(place, &error))?;
            let driver = tokio::spawn(driver);
            let prepared = self.prepare_with(&client, place, create).await;
            driver.abort();
            prepared
        });
        prepared.await.unwrap_or_else(|_| {
            let why = format!("no answer within {:?}", self.patience);
            Err(OpenError::Unreachable(place.to_owned(), why))
        })
    }

    async fn prepare_with(
        &self,
        client: &Client,
        place: &str,
        create: bool,
    ) -> Result<(), OpenError> {
        self.check_server(client, place).await?;
        if self.check_tables(client, place).await? {
            return Ok(());
        }
        if !create {
            return Err(OpenError::Missing(place.into(), self.table.clone()));
        }
        let created = client.batch_execute(&self.creation()).await;
        created.map_err(|error| failed(place, &error))?;
        // Another process may have created tables of another version meanwhile.
        match self.check_tables(client, place).await? {
            true => Ok(()),
            false => Err(OpenError::Missing(place.into(), self.table.clone())),
        }
    }

    async fn check_server(&self, client: &Client, place: &str) -> Result<(), OpenError> {
        let statement = "SELECT current_setting('server_version_num')::int, \
                         current_setting('fsync')::bool";
        let answer = client.query_typed_one(statement, &[]).await;
        let row = answer.map_err(|error| failed(place, &error))?;
        let (version, is_safe): (i32, bool) = (
            row.try_get(0).map_err(|error| failed(place, &error))?,
            row.try_get(1).map_err(|error| failed(place, &error))?,
        );
        if version < 140_000 {
            return Err(OpenError::TooOld(place.into(), version));
        }
        if !is_safe && self.durability != Some(Durability::Off) {
            return Err(OpenError::Unsafe(place.into()));
        }
        Ok(())
    }

    /// Returns whether the tables exist. Tables that are not this store's are an error.
    async fn check_tables(&self, client: &Client, place: &str) -> Result<bool, OpenError> {
        let foreign = || OpenError::Foreign(place.into(), self.table.clone());
        let name_of_meta = format!("{}_meta", self.table);
        let mut meta = columns(client, place, &name_of_meta).await?;
        let sessions = columns(client, place, &self.table).await?;
        if meta.is_empty() {
            if sessions.is_empty() {
                return Ok(false);
            }
            // Another process may have created both in between, in one transaction.
            meta = columns(client, place, &name_of_meta).await?;
        }
        if !meta.contains("session3_schema integer") {
            return Err(foreign());
        }
        let version = self.version(client, place).await?.ok_or_else(foreign)?;
        if version > VERSION {
            return Err(OpenError::Newer(place.into(), self.table.clone(), version));
        }
        match SESSIONS.iter().all(|column| sessions.contains(*column)) {
            true => Ok(true),
            false => Err(foreign()),
        }
    }

    async fn version(&self, client: &Client, place: &str) -> Result<Option<i32>, OpenError> {
        let statement = format!("SELECT session3_schema FROM {}_meta", self.table);
        let answer = client.query_typed_opt(&statement, &[]).await;
        let row = answer.map_err(|error| failed(place, &error))?;
        row.map(|row| row.try_get(0))
            .transpose()
            .map_err(|error| failed(place, &error))
    }

    /// Returns the statements that create what is missing, as one transaction. Its advisory
    /// lock makes other processes wait that do the same.
    fn creation(&self) -> String {
        let table = &self.table;
        let number = "numeric(20) NOT NULL CHECK";
        let range = |column| format!("({column} BETWEEN 0 AND 18446744073709551615)");
        let (version, modified, expires) = (range("version"), range("modified"), range("expires"));
        format!(
            "SELECT pg_advisory_xact_lock(hashtext('session3'), hashtext('{table}')); \
             CREATE TABLE IF NOT EXISTS {table} (\
             id uuid PRIMARY KEY, version {number} {version}, nonce uuid NOT NULL, \
             modified {number} {modified}, expires {number} {expires}, \
             usr bytea, data bytea NOT NULL) WITH (fillfactor = 70); \
             CREATE INDEX IF NOT EXISTS {table}_user ON {table} USING hash (usr) \
             WHERE usr IS NOT NULL; \
             CREATE UNLOGGED TABLE IF NOT EXISTS {table}_locks (\
             id uuid PRIMARY KEY, token uuid NOT NULL, until timestamptz NOT NULL); \
             CREATE TABLE IF NOT EXISTS {table}_meta (\
             is_single boolean PRIMARY KEY DEFAULT true CHECK (is_single), \
             session3_schema integer NOT NULL, sweep_token uuid, \
             sweep_until timestamptz NOT NULL DEFAULT '-infinity', \
             sweep_block bigint NOT NULL DEFAULT 0); \
             INSERT INTO {table}_meta (session3_schema) VALUES ({VERSION}) \
             ON CONFLICT DO NOTHING"
        )
    }
}

/// Returns the columns of a table with their types, none if there is no such table.
async fn columns(client: &Client, place: &str, table: &str) -> Result<BTreeSet<String>, OpenError> {
    let statement = "SELECT attname || ' ' || format_type(atttypid, atttypmod) \
                     FROM pg_attribute \
                     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped";
    let answer = client.query_typed(statement, &[(&table, Type::TEXT)]).await;
    let rows = answer.map_err(|error| failed(place, &error))?;
    let columns: Result<_, Error> = rows.iter().map(|row| row.try_get(0)).collect();
    columns.map_err(|error| failed(place, &error))
}

fn failed(place: &str, error: &Error) -> OpenError {
    match Failure::new(error) {
        Failure::ReadOnly => OpenError::ReadOnly(place.into()),
        _ => OpenError::Failed(place.into(), describe(error)),
    }
}

/// Returns why the first connection failed.
fn not_connected(place: &str, error: &Error) -> OpenError {
    let (place, why) = (place.to_owned(), describe(error));
    let code = error.code().map_or("", |code| code.code());
    match code {
        // A wrong user or password, and an entry that is missing in pg_hba.conf.
        code if code.starts_with("28") => OpenError::Refused(place, why),
        // No such database, and no right to connect to it.
        "3D000" | "42501" => OpenError::Failed(place, why),
        _ if why.contains("does not allow writes") => OpenError::ReadOnly(place),
        _ if why.contains("password") => OpenError::Refused(place, why),
        _ => OpenError::Unreachable(place, why),
    }
}
