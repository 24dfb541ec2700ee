//! What a server says about itself in its answer to `INFO`.

use session3_store::StoreError;

use crate::link::Link;
use crate::outcome;
use crate::server::Server;

/// An answer to `INFO`.
pub(crate) struct Info(String);

impl Info {
    /// Asks a server.
    pub(crate) async fn ask(server: &Server, node: &Link) -> Result<Self, StoreError> {
        let answer = server.ask(node, redis::cmd("INFO")).await?;
        let text = redis::from_redis_value(answer);
        Ok(Self(text.map_err(|_| outcome::unexpected())?))
    }

    /// Returns a value, which is empty if the server does not say it.
    pub(crate) fn value(&self, name: &str) -> &str {
        value(&self.0, name)
    }

    /// Returns a number, which is 0 if the server does not say it.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.value(name).parse().unwrap_or(0)
    }

    pub(crate) fn facts(&self) -> Facts {
        Facts::read(&self.0)
    }
}

fn value<'a>(info: &'a str, name: &str) -> &'a str {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(found, _)| *found == name);
    found.map_or("", |(_, value)| value.trim())
}

/// The parts of the answer to `INFO` that matter to the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The version of Redis that the server is compatible with.
    pub(crate) version: String,
    pub(crate) is_primary: bool,
    pub(crate) is_cluster: bool,
    /// Whether the server still reads its data from a disk.
    pub(crate) is_loading: bool,
    pub(crate) eviction: String,
}

impl Facts {
    pub(crate) fn read(info: &str) -> Self {
        let value = |name| value(info, name);
        Self {
            version: value("redis_version").to_owned(),
            is_primary: value("role") == "master",
            is_cluster: value("cluster_enabled") == "1",
            is_loading: value("loading") == "1",
            eviction: value("maxmemory_policy").to_owned(),
        }
    }

    /// Returns whether the server has the commands that the store uses.
    pub(crate) fn is_new_enough(&self) -> bool {
        let mut parts = self
            .version
            .split('.')
            .map(|part| part.parse().unwrap_or(0));
        let version: (u32, u32) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        version >= (6, 2)
    }

    /// Returns whether the server deletes sessions when its memory is full.
    pub(crate) fn evicts_sessions(&self) -> bool {
        self.eviction.starts_with("allkeys-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_found_among_the_other_lines() {
        let info = "# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\n\
            maxmemory_policy:allkeys-lru\r\n# Replication\r\nrole:master\r\n\
            # Cluster\r\ncluster_enabled:0\r\n";
        let facts = Facts::read(info);
        let expected = Facts {
            version: "7.0.15".into(),
            is_primary: true,
            is_cluster: false,
            is_loading: false,
            eviction: "allkeys-lru".into(),
        };
        assert_eq!(facts, expected);
        assert!(facts.is_new_enough() && facts.evicts_sessions());
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, is_new_enough) in [
            ("10.0.0", true),
            ("6.2.0", true),
            ("6.0.20", false),
            ("5.0.14", false),
            ("", false),
        ] {
            let facts = Facts {
                version: version.into(),
                ..Facts::default()
            };
            assert_eq!(facts.is_new_enough(), is_new_enough, "{version}");
        }
    }
}
