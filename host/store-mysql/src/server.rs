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
        let variables = conn.query::<(String, String), _>(VARIABLES).await;
        let variables = variables.map_err(|error| failed(place, &error))?;
        let variables: Variables = variables.into_iter().collect();
        if let Some(setting) = unsafe_setting(&variables).filter(|_| !self.may_lose) {
            return Err(OpenError::Unsafe(place.into(), setting));
        }
        let limit = variables.get("max_allowed_packet");
        let limit = limit.and_then(|limit| limit.parse().ok());
        let needed = self.max_state_bytes + PACKET_REST;
        match limit {
            Some(limit) if limit < needed => {
                Err(OpenError::PacketLimit(place.into(), limit, needed))
            }
            _ => Ok(()),
        }
    }
}

/// The settings of a server by their names.
pub type Variables = HashMap<String, String>;

/// Asks for the settings. The ones that a server does not know are missing in its answer, where
/// `SELECT @@name` would fail.
pub const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
                             ('binlog_format', 'innodb_flush_log_at_trx_commit', 'log_bin', \
                             'max_allowed_packet', 'sync_binlog')";

/// Returns the first setting that lets a crash undo acknowledged changes.
///
/// With a binary log, InnoDB asks that log at its start which transactions took effect, so that
/// it must be on the disk as well.
pub fn unsafe_setting(variables: &Variables) -> Option<String> {
    let names = ["innodb_flush_log_at_trx_commit", "sync_binlog"];
    let relevant = names
        .into_iter()
        .take(if has_binary_log(variables) { 2 } else { 1 });
    relevant
        .filter_map(|name| Some((name, variables.get(name)?)))
        .find(|(_, value)| *value != "1")
        .map(|(name, value)| format!("{name}={value}"))
}

/// Returns whether the server refuses each write, since its binary log has statements and not
/// rows.
pub fn refuses_writes(variables: &Variables) -> bool {
    let format = variables.get("binlog_format").map(String::as_str);
    has_binary_log(variables) && format == Some("STATEMENT")
}

fn has_binary_log(variables: &Variables) -> bool {
    variables.get("log_bin").is_some_and(|value| value == "ON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_log_must_be_durable_only_if_there_is_one() {
        let setting = |log_bin: &str, commit: &str, sync: &str| {
            let variables = [
                ("log_bin", log_bin),
                ("sync_binlog", sync),
                ("innodb_flush_log_at_trx_commit", commit),
            ];
            let variables = variables.map(|(name, value)| (name.into(), value.into()));
            unsafe_setting(&Variables::from(variables))
        };
        assert_eq!(setting("OFF", "1", "0"), None);
        assert_eq!(setting("ON", "1", "1"), None);
        assert_eq!(setting("ON", "1", "0"), Some("sync_binlog=0".into()));
        let commit = Some("innodb_flush_log_at_trx_commit=2".into());
        assert_eq!(setting("OFF", "2", "0"), commit);
    }
}
