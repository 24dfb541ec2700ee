//! What an operator should change about the server.

use std::collections::HashMap;

use session3_store::StoreError;

use crate::facts::{Facts, Info};
use crate::link::Link;
use crate::server::Server;

/// The settings of a server that decide what a crash loses. `None` if the server does not say
/// it.
#[derive(Default)]
struct Persistence {
    has_log: bool,
    /// When snapshots are made; empty if never.
    save: Option<String>,
    appendfsync: Option<String>,
}

/// Returns a sentence for each thing about the server by which sessions may get lost.
pub(crate) async fn warnings(server: &Server) -> Result<Vec<String>, StoreError> {
    let mut warnings = Vec::new();
    for node in server.nodes().await? {
        let info = Info::ask(server, &node).await?;
        let persistence = Persistence {
            has_log: info.value("aof_enabled") == "1",
            save: setting(server, &node, "save").await,
            appendfsync: setting(server, &node, "appendfsync").await,
        };
        let found = [of_persistence(&persistence), of_eviction(&info.facts())];
        let name = node.name();
        let found = found.into_iter().flatten();
        warnings.extend(found.map(|warning| format!("{name}: {warning}")));
    }
    Ok(warnings)
}

/// Returns a setting. Managed services refuse `CONFIG`.
async fn setting(server: &Server, node: &Link, name: &str) -> Option<String> {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg(name);
    let answer = server.ask(node, command).await.ok()?;
    let mut settings: HashMap<String, String> = redis::from_redis_value(answer).ok()?;
    settings.remove(name)
}

fn of_persistence(persistence: &Persistence) -> Option<String> {
    if !persistence.has_log {
        let loss = match persistence.save.as_deref() {
            Some("") => "it has no persistence, so that a restart loses all sessions",
            Some(_) => "a crash loses all changes since its latest snapshot",
            None => {
                "a crash loses all changes since its latest snapshot, or all sessions if it makes \
                 none"
            }
        };
        return Some(format!("{loss}: set appendonly to yes"));
    }
    let loss = match persistence.appendfsync.as_deref()? {
        "always" => return None,
        "everysec" => "a second or two",
        _ => "half a minute",
    };
    Some(format!(
        "a crash of its machine loses the changes of about {loss}: to prevent that, set \
         appendfsync to always"
    ))
}

fn of_eviction(facts: &Facts) -> Option<String> {
    let policy = &facts.eviction;
    if facts.evicts_sessions() {
        return Some(format!(
            "maxmemory-policy is {policy}, which deletes sessions in silence when the memory is \
             full: set it to noeviction"
        ));
    }
    policy.starts_with("volatile-").then(|| {
        format!(
            "maxmemory-policy is {policy}, which may end the locks of exclusive requests early \
             when the memory is full: set it to noeviction"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_refuses_config_is_judged_by_the_rest() {
        let warning = of_persistence(&Persistence::default()).unwrap_or_default();
        assert!(
            warning.contains("or all sessions if it makes none"),
            "{warning}"
        );
        let persistence = Persistence {
            has_log: true,
            ..Persistence::default()
        };
        assert_eq!(of_persistence(&persistence), None);
    }
}
