//! Connections to the database, its schema, and whose database it is.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use crate::access::Access;
use crate::file::DatabaseFile;
use crate::{Durability, OpenError};

/// The `application_id` of a database of sessions: `SES3` in ASCII.
const APPLICATION_ID: i32 = 0x5345_5333;
/// The `user_version`: the version of the schema.
const SCHEMA_VERSION: i32 = 1;

/// The documentation of the crate explains the columns.
const SCHEMA: &str = "
    CREATE TABLE sessions (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
        version INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        user BLOB,
        data BLOB NOT NULL
    ) STRICT;
    CREATE INDEX sessions_by_user ON sessions (user) WHERE user IS NOT NULL;
    CREATE TABLE leases (
        key BLOB NOT NULL PRIMARY KEY,
        token BLOB NOT NULL,
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sweep (next INTEGER NOT NULL) STRICT;
    INSERT INTO sweep (next) VALUES (0);
";

/// The number of prepared statements that each connection keeps, more than the store has.
const STATEMENTS: usize = 64;
/// The size in bytes to which the write-ahead log is cut after it was larger.
const MAX_KEPT_LOG: i64 = 16 << 20;
/// How long to wait before another attempt to set the journal mode.
const RETRY_PAUSE: Duration = Duration::from_millis(2);

/// Whose database a file is.
#[derive(Debug, PartialEq)]
enum Owner {
    Ours,
    Nobody,
    Newer(i32),
    OtherApplication(i32),
}

/// Opens the connection that writes. Creates the tables if `create` allows it.
///
/// A database of another application is not changed, and neither is its write-ahead log.
pub fn open_writer(
    file: &DatabaseFile,
    create: bool,
    durability: Durability,
    patience: Duration,
) -> Result<Connection, OpenError> {
    let path = &file.path;
    let opened = || -> rusqlite::Result<_> {
        let connection = connect(path, Access::Write, patience)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let owner = owner(&connection)?;
        Ok((connection, owner))
    };
    let (connection, owner) = opened().map_err(|error| open_error(path, error))?;
    match owner {
        Owner::Ours => {}
        Owner::Nobody if create => {}
        Owner::Nobody => return Err(OpenError::Empty(path.clone())),
        Owner::Newer(version) => return Err(OpenError::Newer(path.clone(), version)),
        Owner::OtherApplication(id) => return Err(OpenError::OtherApplication(path.clone(), id)),
    }
    if connection.is_readonly("main").unwrap_or(true) {
        return Err(OpenError::NotWritable(path.clone()));
    }
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .and_then(|_| prepare(&connection, owner == Owner::Nobody))
        .and_then(|()| use_log(&connection, patience))
        .map_err(|error| open_error(path, error))
        .and_then(|has_log| has_log.then_some(()).ok_or(OpenError::NoWal(path.clone())))?;
    set_durability(&connection, durability).map_err(|error| open_error(path, error))?;
    Ok(connection)
}

/// Finds out how to read a file that this process may not write, and whether it is a store.
pub fn read_access(file: &DatabaseFile, patience: Duration) -> Result<Access, OpenError> {
    let owner = |access| owner(&connect(&file.path, access, patience)?);
    let (access, owner) = match owner(Access::Read) {
        // Without a log, the file has all changes, and no process has it open.
        Err(error) if cannot_open(&error) && file.log_size() == 0 => {
            (Access::ReadUnchanging, owner(Access::ReadUnchanging))
        }
        owner => (Access::Read, owner),
    };
    let path = || file.path.clone();
    match owner {
        Ok(Owner::Ours) => Ok(access),
        Ok(Owner::Nobody) => Err(OpenError::Empty(path())),
        Ok(Owner::Newer(version)) => Err(OpenError::Newer(path(), version)),
        Ok(Owner::OtherApplication(id)) => Err(OpenError::OtherApplication(path(), id)),
        Err(error) if cannot_open(&error) => Err(OpenError::NotReadable(path())),
        Err(error) => Err(open_error(&file.path, error)),
    }
}

fn cannot_open(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen)
    )
}

/// Opens a connection that reads.
pub fn open_reader(
    file: &DatabaseFile,
    access: Access,
    patience: Duration,
) -> Result<Connection, OpenError> {
    let opened = || -> rusqlite::Result<_> {
        let connection = connect(&file.path, access, patience)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    opened().map_err(|error| open_error(&file.path, error))
}

/// Sets whether the next transactions are flushed.
pub fn set_durability(connection: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let statement = match durability {
        Durability::Process => "PRAGMA synchronous = NORMAL",
        Durability::Disk => "PRAGMA synchronous = FULL",
    };
    connection.prepare_cached(statement)?.execute(())?;
    Ok(())
}

fn connect(path: &Path, access: Access, patience: Duration) -> rusqlite::Result<Connection> {
    let connection = access.connect(path)?;
    connection.busy_timeout(patience)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Somebody else's file may contain a schema that misuses functions.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update_and_check(None, "journal_size_limit", MAX_KEPT_LOG, |_| Ok(()))?;
    Ok(connection)
}

/// Returns whose database this is. Reads, and writes nothing. Reads all in one statement, and so
/// at one moment: another process may be creating the tables.
fn owner(connection: &Connection) -> rusqlite::Result<Owner> {
    let query = "SELECT (SELECT count(*) FROM sqlite_schema), application_id, user_version
        FROM pragma_application_id, pragma_user_version";
    connection.query_row(query, (), |row| {
        Ok(match (row.get(1)?, row.get(2)?) {
            (0, 0) if row.get::<_, i64>(0)? == 0 => Owner::Nobody,
            (APPLICATION_ID, SCHEMA_VERSION) => Owner::Ours,
            (APPLICATION_ID, version) if version > SCHEMA_VERSION => Owner::Newer(version),
            (id, _) => Owner::OtherApplication(id),
        })
    })
}

/// Creates the tables, unless another process has just done so.
fn prepare(connection: &Connection, is_empty: bool) -> rusqlite::Result<()> {
    if !is_empty {
        return Ok(());
    }
    // This has an effect only before there is a first page.
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; BEGIN IMMEDIATE")?;
    let created = match owner(connection) {
        Ok(Owner::Nobody) => create_tables(connection),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    match created.and_then(|()| connection.execute_batch("COMMIT")) {
        Ok(()) => Ok(()),
        Err(error) => {
            // The error that led here is the one to report.
            let _ = connection.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SCHEMA)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}

/// Turns on the write-ahead log, and returns whether the file system supports it. SQLite does
/// not always wait for the connections that are in the way, so this does.
fn use_log(connection: &Connection, patience: Duration) -> rusqlite::Result<bool> {
    let deadline = Instant::now() + patience;
    let set = || {
        let mode = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
        connection.pragma_update_and_check(None, "journal_mode", "WAL", mode)
    };
    loop {
        match set() {
            Ok(mode) => return Ok(mode == "wal"),
            Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(RETRY_PAUSE),
            Err(error) => return Err(error),
        }
    }
}

/// Returns whether another connection was in the way.
pub fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

fn open_error(path: &Path, error: rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase(path),
        _ if cannot_open(&error) => OpenError::NotWritable(path),
        _ => OpenError::Sqlite(path, error),
    }
}
