//! The check: which sessions are damaged, which keys are foreign, and whether the indexes are
//! right.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use redis::Value;
use session3_store::{CheckObserver, CheckReport, Finding, StoreError};

use crate::index::{Indexes, parse_entry};
use crate::keys::{Owner, Tag};
use crate::link::Link;
use crate::server::Server;
use crate::{outcome, record, walk};

/// The number of keys that one step of a scan looks through.
const SCANNED: usize = 1000;
/// The number of sessions or entries that are examined at once.
const BATCH: usize = 64;

/// Reads all sessions and all indexes.
pub(crate) async fn check(
    server: &Server,
    repair: bool,
    observer: &mut dyn CheckObserver,
) -> Result<CheckReport, StoreError> {
    let mut check = Check {
        server,
        indexes: Indexes { server, repair },
        observer,
        report: CheckReport::default(),
    };
    let nodes = server.nodes().await?;
    for (index, node) in nodes.iter().enumerate() {
        let share = |done| (index as f64 + done) / nodes.len() as f64;
        check.keys(node, |done| share(done) / 2.0).await?;
    }
    for digits in 0..=u8::MAX {
        check.observer.progress(0.5 + f64::from(digits) / 512.0);
        let (ids, users) = (server.keys.ids(digits), server.keys.users(digits));
        let checked = check.sessions(digits, &ids).await;
        check.unless_of_another_type(ids, checked)?;
        let checked = check.entries(digits, &users).await;
        check.unless_of_another_type(users, checked)?;
    }
    Ok(check.report)
}

struct Check<'a> {
    server: &'a Server,
    indexes: Indexes<'a>,
    observer: &'a mut dyn CheckObserver,
    report: CheckReport,
}

impl Check<'_> {
    /// Looks through all keys of a node for foreign ones, and for sessions that an index lacks.
    /// Unlike a walk through the IDs, this also finds sessions whose list of IDs was evicted.
    /// `progress` returns how much of the check is done when this much of the node is.
    async fn keys(&mut self, node: &Link, progress: impl Fn(f64) -> f64) -> Result<(), StoreError> {
        let size = count_keys(self.server, node).await?;
        let mut steps = 0;
        // A scan may return a key twice.
        let (mut foreign, mut missing) = (BTreeSet::new(), BTreeSet::new());
        let mut cursor = b"0".to_vec();
        loop {
            let done = (steps * SCANNED) as f64 / size.max(1) as f64;
            self.observer.progress(progress(done.min(1.0)));
            steps += 1;
            let (next, keys) = scan(self.server, node, &cursor).await?;
            let mut ids = Vec::new();
            for key in keys {
                match self.server.keys.owner(&key) {
                    Owner::Session(id) => ids.push(id),
                    Owner::Foreign if foreign.insert(key.clone()) => {
                        let name = String::from_utf8_lossy(&key).into_owned();
                        self.observer.found(Finding::Foreign(name));
                    }
                    _ => {}
                }
            }
            for ids in ids.chunks(BATCH) {
                for id in self.indexes.missing(ids).await? {
                    if missing.insert(id) {
                        self.observer.found(Finding::Missing(id));
                    }
                }
            }
            if next == b"0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Reads the sessions whose IDs begin with these digits.
    async fn sessions(&mut self, digits: u8, key: &str) -> Result<(), StoreError> {
        let mut last = None;
        loop {
            let members = members(self.server, digits, key, last).await?;
            let (mut ids, mut foreign) = (Vec::new(), Vec::new());
            for member in &members {
                match walk::id(member).filter(|id| id.prefix() == digits) {
                    Some(id) => ids.push(id),
                    None => foreign.push(format!("{key}: {}", member.escape_ascii())),
                }
            }
            for name in foreign {
                self.observer.found(Finding::Foreign(name));
            }
            let loads = ids
                .iter()
                .map(async |id| walk::load_listed(self.server, id).await);
            for (id, loaded) in ids.iter().zip(try_join_all(loads).await?) {
                match loaded {
                    Ok(Some(session)) => {
                        self.report.sessions += 1;
                        self.observer.read(session);
                    }
                    // Another process deleted it meanwhile.
                    Ok(None) => {}
                    Err(error) => {
                        self.report.damaged += 1;
                        self.observer
                            .found(Finding::Damaged(*id, error.to_string()));
                    }
                }
            }
            last = members.last().cloned();
            if members.len() < BATCH {
                return Ok(());
            }
        }
    }

    /// Looks for entries of the index by user that no session needs.
    async fn entries(&mut self, digits: u8, key: &str) -> Result<(), StoreError> {
        let mut last = None;
        loop {
            let members = members(self.server, digits, key, last).await?;
            for member in self.indexes.surplus(digits, key, &members).await? {
                let name = entry_name(key, member);
                self.observer.found(Finding::Surplus(name));
            }
            last = members.last().cloned();
            if members.len() < BATCH {
                return Ok(());
            }
        }
    }

    /// Reports a key that the server refuses to read because it is no sorted set.
    fn unless_of_another_type(
        &mut self,
        key: String,
        checked: Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match checked {
            Err(error) if record::is_of_another_type(&error) => {
                let why = "it is not a sorted set; delete the key, then run the repair".to_owned();
                self.observer.found(Finding::Unreadable(key, why));
                Ok(())
            }
            checked => checked,
        }
    }
}

/// Returns the number of keys of a node, also of those that are not the store's.
async fn count_keys(server: &Server, node: &Link) -> Result<u64, StoreError> {
    match server.ask(node, redis::cmd("DBSIZE")).await? {
        Value::Int(size) => Ok(size.try_into().unwrap_or_default()),
        _ => Err(outcome::unexpected()),
    }
}

/// Returns the next cursor, which is `0` at the end, and some keys of the store.
async fn scan(
    server: &Server,
    node: &Link,
    cursor: &[u8],
) -> Result<(Vec<u8>, Vec<Vec<u8>>), StoreError> {
    let mut command = redis::cmd("SCAN");
    command
        .arg(cursor)
        .arg("MATCH")
        .arg(server.keys.pattern())
        .arg(("COUNT", SCANNED));
    let answer = server.ask(node, command).await?;
    let parts = match answer {
        Value::Array(parts) => <[Value; 2]>::try_from(parts).ok(),
        _ => None,
    };
    match parts {
        Some([Value::BulkString(next), keys]) => Ok((next, walk::members_of(keys).collect())),
        _ => Err(outcome::unexpected()),
    }
}

/// Returns some members of a sorted set, after this one.
async fn members(
    server: &Server,
    digits: u8,
    key: &str,
    after: Option<Vec<u8>>,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let first = after.map_or(b"-".to_vec(), |after| [b"(", &after[..]].concat());
    let mut command = redis::cmd("ZRANGE");
    command
        .arg(key)
        .arg(first)
        .arg("+")
        .arg("BYLEX")
        .arg(("LIMIT", 0, BATCH));
    let members = server.read(Tag::Sessions(digits), command).await?;
    Ok(walk::members_of(members).collect())
}

/// Returns the name of an entry of the index by user.
fn entry_name(key: &str, member: &[u8]) -> String {
    match parse_entry(member) {
        Some((_, id)) => format!("{key}: session {id}"),
        None => format!("{key}: {}", member.escape_ascii()),
    }
}
