//! The statements, each of which is one transaction and one round trip.

use crate::url::Durability;

/// The statements for the sessions of one table.
///
/// Parameters have numbers, which the functions that run the statements repeat. `$1` is the
/// ID of a session unless a comment says otherwise.
pub struct Statements {
    pub create: String,
    pub import_new: String,
    pub find_created: String,
    pub load: String,
    pub save: String,
    pub touch: String,
    pub delete: String,
    pub import: String,
    pub iterate: String,
    pub of_user: String,
    pub lock: String,
    pub unlock: String,
    pub begin_sweep: String,
    pub sweep: String,
    pub end_sweep: String,
    pub sweep_locks: String,
    pub sweep_block: String,
    pub ids: String,
    pub invalid_indexes: String,
    pub figures: String,
    pub settings: String,
    pub time: String,
}

/// Returns the time in milliseconds: the parameter, or the server's clock if that is null.
fn now(parameter: &str) -> String {
    format!("coalesce({parameter}, floor(extract(epoch FROM clock_timestamp()) * 1000))")
}

/// Returns a common table expression that sets what the commit of its statement waits for. It
/// works behind PgBouncer, too, where a setting of the connection would get lost.
fn commit(durability: Option<Durability>) -> String {
    match durability {
        Some(durability) => set_commit(durability.name()),
        None => "waits AS MATERIALIZED (SELECT 1)".into(),
    }
}

fn set_commit(value: &str) -> String {
    format!("waits AS MATERIALIZED (SELECT set_config('synchronous_commit', '{value}', true))")
}

impl Statements {
    pub fn new(table: &str, durability: Option<Durability>) -> Self {
        let commit = commit(durability);
        Self {
            create: insert(table, &commit, "1", &now("$6")),
            import_new: insert(table, &commit, "$7", "$6"),
            find_created: find_created(table, &commit),
            load: format!(
                "SELECT id, version, modified, expires, usr, data FROM {table} WHERE id = $1"
            ),
            save: update(table, &commit, "s.version + 1", &now("$7")),
            touch: touch(table),
            delete: format!(
                "WITH {commit} DELETE FROM {table} USING waits WHERE id = $1 RETURNING 1"
            ),
            import: update(table, &commit, "$8", "$7"),
            iterate: iterate(table),
            of_user: format!("SELECT id FROM {table} WHERE usr = $1"),
            lock: lock(table),
            unlock: format!("DELETE FROM {table}_locks WHERE id = $1 AND token = $2"),
            begin_sweep: begin_sweep(table),
            sweep: sweep(table),
            end_sweep: format!(
                "UPDATE {table}_meta SET sweep_until = '-infinity', \
                 sweep_block = CASE WHEN $2 < 0 THEN sweep_block ELSE $2 END \
                 WHERE sweep_token = $1 AND sweep_until > '-infinity'"
            ),
            sweep_locks: format!("DELETE FROM {table}_locks WHERE until <= clock_timestamp()"),
            sweep_block: format!("SELECT sweep_block FROM {table}_meta"),
            ids: format!("SELECT id FROM {table} WHERE id >= $1 ORDER BY id LIMIT $2"),
            invalid_indexes: invalid_indexes(table),
            figures: figures(table),
            settings: settings(table),
            time: "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::numeric".into(),
        }
    }
}

/// Creates a session with this version and this time. Returns one row if the session was created.
/// This must not run twice, which could revive a session that was deleted meanwhile.
fn insert(table: &str, commit: &str, version: &str, modified: &str) -> String {
    format!(
        "WITH {commit} \
         INSERT INTO {table} (id, version, nonce, modified, expires, usr, data) \
         SELECT $1, {version}, $2, {modified}, $3, $4, $5 FROM waits \
         ON CONFLICT (id) DO NOTHING RETURNING 1"
    )
}

/// Returns one row if the session was created with the nonce `$2`, after the create is as safe
/// as the answer to it would have said: the update waits for what the create waits for.
fn find_created(table: &str, commit: &str) -> String {
    format!(
        "WITH {commit} UPDATE {table} AS s SET nonce = s.nonce FROM waits \
         WHERE s.id = $1 AND s.nonce = $2 RETURNING 1"
    )
}

/// Replaces a session whose version is `$2` by one with this version and this time. Returns the
/// version and the nonce before, and whether it was replaced: no row if the session is absent.
fn update(table: &str, commit: &str, version: &str, modified: &str) -> String {
    format!(
        "WITH {commit}, \
         found AS MATERIALIZED \
         (SELECT version, nonce FROM {table} WHERE id = $1 FOR UPDATE), \
         saved AS (UPDATE {table} AS s \
         SET version = {version}, nonce = $3, modified = {modified}, expires = $4, usr = $5, \
         data = $6 FROM found, waits WHERE s.id = $1 AND found.version = $2 RETURNING 1) \
         SELECT version, nonce, EXISTS (SELECT FROM saved) FROM found"
    )
}

/// Returns what an update returns. The reply to a touch does not wait for the disk.
fn touch(table: &str) -> String {
    let (commit, now) = (set_commit("off"), now("$4"));
    format!(
        "WITH {commit}, \
         found AS MATERIALIZED \
         (SELECT version, nonce FROM {table} WHERE id = $1 FOR UPDATE), \
         touched AS (UPDATE {table} AS s SET modified = {now}, expires = $3 \
         FROM found, waits WHERE s.id = $1 AND found.version = $2 RETURNING 1) \
         SELECT version, nonce, EXISTS (SELECT FROM touched) FROM found"
    )
}

/// Returns the sessions from the ID `$1`, `$2` at most, until the sessions before one have
/// more than `$3` bytes; and whether that is so after each.
fn iterate(table: &str) -> String {
    let size = "128 + coalesce(octet_length(usr), 0) + octet_length(data)";
    format!(
        "SELECT id, version, modified, expires, usr, data, total > $3 FROM \
         (SELECT *, sum({size}) OVER (ORDER BY id) AS total, {size} AS size FROM \
         (SELECT * FROM {table} WHERE id >= $1 ORDER BY id LIMIT $2) AS rows) AS sums \
         WHERE total - size <= $3 ORDER BY id"
    )
}

/// Takes the lock for `$3` milliseconds, with the token `$2`.
fn lock(table: &str) -> String {
    format!(
        "INSERT INTO {table}_locks AS l (id, token, until) \
         VALUES ($1, $2, clock_timestamp() + $3 * interval '1 millisecond') \
         ON CONFLICT (id) DO UPDATE SET token = EXCLUDED.token, until = EXCLUDED.until \
         WHERE l.until <= clock_timestamp() OR l.token = EXCLUDED.token RETURNING 1"
    )
}

/// Takes the lease of the sweep for `$2` milliseconds, with the token `$1`. Returns the block
/// where the last sweep stopped, and the number of blocks.
fn begin_sweep(table: &str) -> String {
    format!(
        "UPDATE {table}_meta \
         SET sweep_token = $1, sweep_until = clock_timestamp() + $2 * interval '1 millisecond' \
         WHERE sweep_until <= clock_timestamp() OR sweep_token = $1 RETURNING sweep_block, \
         pg_relation_size('{table}') / current_setting('block_size')::bigint"
    )
}

/// Deletes the old sessions from block `$3` up to block `$4`, with the token `$1`, if their
/// idle time is over `$5` milliseconds or they have expired at the time `$6`. Prolongs the
/// lease by `$2` milliseconds. Returns whether the lease was held, and how many sessions were
/// there and how many were deleted.
///
/// Sessions that something else has locked are in use, and stay.
fn sweep(table: &str) -> String {
    let now = now("$6");
    let here = "s.ctid >= ('(' || $3 || ',0)')::tid AND s.ctid < ('(' || $4 || ',0)')::tid";
    format!(
        "WITH lease AS (UPDATE {table}_meta \
         SET sweep_until = clock_timestamp() + $2 * interval '1 millisecond', \
         sweep_block = $4::bigint WHERE sweep_token = $1 AND sweep_until > clock_timestamp() \
         RETURNING 1), \
         clock AS MATERIALIZED (SELECT {now} AS now), \
         old AS MATERIALIZED (SELECT s.ctid AS place FROM {table} AS s, clock \
         WHERE EXISTS (SELECT FROM lease) AND {here} \
         AND (s.expires <= clock.now OR clock.now - s.modified > $5) \
         FOR UPDATE OF s SKIP LOCKED), \
         deleted AS (DELETE FROM {table} \
         WHERE ctid = ANY (ARRAY(SELECT place FROM old)) RETURNING 1) \
         SELECT EXISTS (SELECT FROM lease), \
         (SELECT count(*) FROM {table} AS s WHERE {here}), (SELECT count(*) FROM deleted)"
    )
}

/// Returns the names of the indexes that the server does not use, because building them failed
/// or goes on.
fn invalid_indexes(table: &str) -> String {
    format!(
        "SELECT c.relname::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid \
         WHERE i.indrelid = to_regclass('{table}') AND NOT (i.indisvalid AND i.indisready)"
    )
}

/// Returns the bytes of the table and of its indexes, the live and the dead rows, the share of
/// HOT updates in percent, and the hours since the last vacuum; null is unknown.
fn figures(table: &str) -> String {
    format!(
        "SELECT pg_table_size(relid), pg_indexes_size(relid), n_live_tup, n_dead_tup, \
         n_tup_hot_upd * 100 / nullif(n_tup_upd, 0), \
         floor(extract(epoch FROM now() - greatest(last_autovacuum, last_vacuum)) / 3600)::bigint \
         FROM pg_stat_all_tables WHERE relid = to_regclass('{table}')"
    )
}

/// Returns the settings `fsync`, `synchronous_commit` and `autovacuum`, and whether the table
/// allows autovacuum.
fn settings(table: &str) -> String {
    format!(
        "SELECT current_setting('fsync')::bool, current_setting('synchronous_commit'), \
         current_setting('autovacuum')::bool, coalesce((SELECT option_value::bool \
         FROM pg_options_to_table(reloptions) WHERE option_name = 'autovacuum_enabled'), true) \
         FROM pg_class WHERE oid = to_regclass('{table}')"
    )
}
