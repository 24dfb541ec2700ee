//! The statements, each of which is one transaction.
//!
//! MariaDB and MySQL know all of them: `RETURNING` is MariaDB's only, and an alias for the
//! values of an insert MySQL's.

/// The statements for the sessions of one table. The functions that run them give values to
/// the names after colons.
pub struct Statements {
    pub create: String,
    pub import_new: String,
    pub load: String,
    pub save: String,
    pub import: String,
    pub find: String,
    pub touch: String,
    pub delete: String,
    pub sizes: String,
    /// The columns of a session, and the hash of its user.
    pub iterate: String,
    pub of_user: String,
    pub repair: String,
    pub figures: String,
    pub lock: String,
    pub lock_again: String,
    pub unlock: String,
    pub begin_sweep: String,
    pub sweep_position: String,
    pub old: String,
    pub prolong_sweep: String,
    pub end_sweep: String,
    pub sweep_locks: String,
    pub time: String,
    table: String,
    now: &'static str,
}

/// The server's clock in milliseconds since 1970. It depends on no time zone, and knows times
/// after 2038.
const SERVER_CLOCK: &str =
    "CAST(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000 AS UNSIGNED)";

/// The columns of a session, in the order that [`session`](crate::rows::session) expects.
const COLUMNS: &str = "id, version, modified, expires, usr, data";

impl Statements {
    /// Returns the statements for a table. `has_clock` says that the caller gives the time of
    /// each change, as `:now`.
    pub fn new(table: &str, has_clock: bool) -> Self {
        let now = if has_clock { ":now" } else { SERVER_CLOCK };
        let (sessions, locks) = (format!("`{table}`"), format!("`{table}_locks`"));
        let meta = format!("`{table}_meta`");
        Self {
            create: insert(&sessions, now),
            import_new: insert(&sessions, ":modified"),
            load: format!("SELECT {COLUMNS} FROM {sessions} WHERE id = :id"),
            save: update(&sessions, "version + 1", now),
            import: update(&sessions, ":version", ":modified"),
            find: format!("SELECT version, nonce FROM {sessions} WHERE id = :id"),
            touch: format!(
                "UPDATE {sessions} SET modified = {now}, expires = :expires \
                 WHERE id = :id AND version = :expected"
            ),
            delete: format!("DELETE FROM {sessions} WHERE id = :id"),
            sizes: format!(
                "SELECT id, COALESCE(OCTET_LENGTH(usr), 0) + OCTET_LENGTH(data) \
                 FROM {sessions} WHERE id >= :first ORDER BY id LIMIT :count"
            ),
            iterate: format!(
                "SELECT {COLUMNS}, usr_hash FROM {sessions} \
                 WHERE id >= :first AND id <= :last ORDER BY id"
            ),
            of_user: format!("SELECT id FROM {sessions} WHERE usr_hash = :hash AND usr = :user"),
            repair: format!(
                "UPDATE {sessions} SET usr_hash = :hash WHERE id = :id AND usr <=> :user"
            ),
            figures: "SELECT table_rows, avg_row_length, data_length, index_length, data_free \
                      FROM information_schema.tables \
                      WHERE table_schema = DATABASE() AND table_name = :table"
                .into(),
            lock: format!(
                "INSERT INTO {locks} (id, token, until) \
                 VALUES (:id, :token, {SERVER_CLOCK} + :time)"
            ),
            lock_again: format!(
                "UPDATE {locks} SET token = :token, until = {SERVER_CLOCK} + :time \
                 WHERE id = :id AND (until <= {SERVER_CLOCK} OR token = :token)"
            ),
            unlock: format!("DELETE FROM {locks} WHERE id = :id AND token = :token"),
            begin_sweep: format!(
                "UPDATE {meta} SET sweep_token = :token, sweep_until = {SERVER_CLOCK} + :time \
                 WHERE is_single = 1 AND (sweep_until <= {SERVER_CLOCK} OR sweep_token = :token)"
            ),
            sweep_position: format!("SELECT sweep_next FROM {meta} WHERE is_single = 1"),
            old: format!(
                "SELECT id, {} FROM {sessions} WHERE id >= :first ORDER BY id LIMIT :count",
                is_old(now, ":idle")
            ),
            prolong_sweep: format!(
                "UPDATE {meta} SET sweep_until = {SERVER_CLOCK} + :time, sweep_next = :next \
                 WHERE is_single = 1 AND sweep_token = :token AND sweep_until > {SERVER_CLOCK}"
            ),
            end_sweep: format!(
                "UPDATE {meta} SET sweep_until = 0 WHERE is_single = 1 AND sweep_token = :token"
            ),
            sweep_locks: format!("DELETE FROM {locks} WHERE until <= {SERVER_CLOCK}"),
            time: format!("SELECT {SERVER_CLOCK}"),
            table: sessions,
            now,
        }
    }

    /// Returns a statement that deletes those of some sessions that are still old. `idle` is in
    /// milliseconds, and `now` is the time of a given clock.
    ///
    /// Their IDs are written into the statement, since their number varies: as values, each
    /// number of them would be a prepared statement of its own. A range in place of the IDs
    /// would lock the sessions between them, too.
    pub fn delete_old(&self, ids: &[u128], idle: u64, now: Option<u64>) -> String {
        let now = now.map_or(self.now.to_owned(), |now| now.to_string());
        let is_old = is_old(&now, &idle.to_string());
        let ids: Vec<_> = ids.iter().map(|id| format!("x'{id:032x}'")).collect();
        format!(
            "DELETE FROM {} WHERE id IN ({}) AND ({is_old})",
            self.table,
            ids.join(", ")
        )
    }
}

/// Creates a session. There is one already if the server answers that its key is.
fn insert(table: &str, modified: &str) -> String {
    format!(
        "INSERT INTO {table} (id, version, nonce, modified, expires, usr, usr_hash, data) \
         VALUES (:id, :version, :nonce, {modified}, :expires, :user, :hash, :data)"
    )
}

/// Replaces a session if its version is the expected one.
fn update(table: &str, version: &str, modified: &str) -> String {
    format!(
        "UPDATE {table} SET version = {version}, nonce = :nonce, modified = {modified}, \
         expires = :expires, usr = :user, usr_hash = :hash, data = :data \
         WHERE id = :id AND version = :expected"
    )
}

/// Returns the condition of a sweep. The difference of unsigned numbers must not be negative,
/// and their sum must not be too large.
fn is_old(now: &str, idle: &str) -> String {
    format!("expires <= {now} OR modified < GREATEST({now}, {idle}) - {idle}")
}
