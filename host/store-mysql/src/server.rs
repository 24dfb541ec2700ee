//! Checking that a server can be used.

use std::collections::HashMap;

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use crate::OpenError;
use crate::schema::failed;

/// What the packet of a statement has beside the user and the data of a session.
const PACKET_REST: u64 = 4096;

/// What a server must be like.
pub struct Requirements {
    /// Whether a crash of the server may undo acknowledged changes.
    pub may_lose: bool,
    pub max_state_bytes: u64,
}

impl Requirements {
    /// Checks the server of a connection.
    pub async fn check(&self, conn: &mut Conn, place: &str) -> Result<(), OpenError> {
        let variables = variables(conn, place).await?;
        let get = |name: &str| variables.get(name).map(String::as_str);
        if let Some(setting) = unsafe_setting(&get).filter(|_| !self.may_lose) {
            return Err(OpenError::Unsafe(place.into(), setting));
        }
        let limit = get("max_allowed_packet").and_then(|limit| limit.parse().ok());
        let needed = self.max_state_bytes + PACKET_REST;
        match limit {
            Some(limit) if limit < needed => {
                Err(OpenError::PacketLimit(place.into(), limit, needed))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the variables by their names. The ones that this server does not know are missing,
/// where `SELECT @@name` would fail.
async fn variables(conn: &mut Conn, place: &str) -> Result<HashMap<String, String>, OpenError> {
    let statement = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
                     ('innodb_flush_log_at_trx_commit', 'log_bin', 'max_allowed_packet', \
                     'sync_binlog')";
    let rows = conn.query::<(String, String), _>(statement).await;
    let rows = rows.map_err(|error| failed(place, &error))?;
    Ok(rows.into_iter().collect())
}

/// Returns the first setting that lets a crash undo acknowledged changes.
///
/// With a binary log, InnoDB asks that log at its start which transactions took effect, so that
/// it must be on the disk as well.
fn unsafe_setting<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let has_binary_log = get("log_bin") == Some("ON");
    let names = ["innodb_flush_log_at_trx_commit", "sync_binlog"];
    let relevant = names.into_iter().take(if has_binary_log { 2 } else { 1 });
    relevant
        .filter_map(|name| Some((name, get(name)?)))
        .find(|(_, value)| *value != "1")
        .map(|(name, value)| format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_log_must_be_durable_only_if_there_is_one() {
        let setting = |log_bin, commit, sync| {
            unsafe_setting(&|name| match name {
                "log_bin" => Some(log_bin),
                "sync_binlog" => Some(sync),
                _ => Some(commit),
            })
        };
        assert_eq!(setting("OFF", "1", "0"), None);
        assert_eq!(setting("ON", "1", "1"), None);
        assert_eq!(setting("ON", "1", "0"), Some("sync_binlog=0".into()));
        let commit = Some("innodb_flush_log_at_trx_commit=2".into());
        assert_eq!(setting("OFF", "2", "0"), commit);
    }
}
