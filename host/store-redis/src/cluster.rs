//! The nodes of a Cluster: which one has a slot, and a link to each that was needed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use redis::{Pipeline, Value};
use tokio::time::{Instant, timeout};

use crate::ConnectError;
use crate::address::{Host, Place};
use crate::connect::{Login, greet, refusal};
use crate::link::Link;
use crate::stream::connect_tcp;

/// The shortest time between two questions for the map of slots.
const REFRESH_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Cluster {
    seeds: Vec<Host>,
    login: Login,
    is_logged: bool,
    links: Mutex<HashMap<Host, Arc<Link>>>,
    map: Mutex<Map>,
    refreshed: tokio::sync::Mutex<Option<Instant>>,
}

/// Which primary has which slots.
#[derive(Default)]
struct Map {
    ranges: Vec<(u16, u16, Host)>,
    /// Slots that moved since the map was read.
    moved: HashMap<u16, Host>,
    /// Every node, also replicas.
    nodes: BTreeSet<(String, u16)>,
}

impl Cluster {
    pub(crate) fn new(seeds: Vec<Host>, login: Login, is_logged: bool) -> Self {
        Self {
            seeds,
            login,
            is_logged,
            links: Mutex::default(),
            map: Mutex::default(),
            refreshed: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the link to the primary that has a slot, if one is known.
    pub(crate) fn link_of(&self, slot: u16) -> Option<Arc<Link>> {
        let host = {
            let map = self.map.lock();
            let moved = map.moved.get(&slot);
            let has_slot = |(first, last, _): &&(u16, u16, Host)| (*first..=*last).contains(&slot);
            let ranges = || map.ranges.iter().find(has_slot).map(|(_, _, host)| host);
            moved.or_else(ranges).cloned()
        };
        Some(self.link(&host?))
    }

    /// Returns the link to a node.
    pub(crate) fn link(&self, host: &Host) -> Arc<Link> {
        let new = || {
            let place = Place::Tcp(host.clone());
            // Requests ask for another node at once.
            let patience = Duration::ZERO;
            let link = Link::new(place, self.login.clone(), patience, self.is_logged);
            Arc::new(link)
        };
        let mut links = self.links.lock();
        links.entry(host.clone()).or_insert_with(new).clone()
    }

    /// Notes that a node has a slot now.
    pub(crate) fn set_moved(&self, slot: u16, host: Host) {
        self.map.lock().moved.insert(slot, host);
    }

    /// Returns the links to all primaries.
    pub(crate) fn primaries(&self) -> Vec<Arc<Link>> {
        let hosts: HashSet<_> = {
            let map = self.map.lock();
            map.ranges.iter().map(|(_, _, host)| host.clone()).collect()
        };
        hosts.iter().map(|host| self.link(host)).collect()
    }

    /// Reads the map of slots again, from the first node that answers.
    pub(crate) async fn refresh(&self) -> Result<(), ConnectError> {
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_some_and(|at| at.elapsed() < REFRESH_INTERVAL) {
            return Ok(());
        }
        let map = self.ask_nodes().await?;
        let primaries: Vec<_> = map.ranges.iter().map(|(_, _, host)| host).collect();
        self.links
            .lock()
            .retain(|host, _| primaries.contains(&host));
        *self.map.lock() = map;
        *refreshed = Some(Instant::now());
        Ok(())
    }

    async fn ask_nodes(&self) -> Result<Map, ConnectError> {
        let known = self.map.lock().nodes.clone();
        let known = known.into_iter().map(|(name, port)| Host { name, port });
        let mut asked = BTreeSet::new();
        let hosts: Vec<_> = known
            .chain(self.seeds.iter().cloned())
            .filter(|host| asked.insert((host.name.clone(), host.port)))
            .collect();
        let mut answers: FuturesUnordered<_> =
            hosts.iter().map(|host| self.ask_in_time(host)).collect();
        let mut last = ConnectError::Refused("there is no host".into());
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(map) => return Ok(map),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask_in_time(&self, host: &Host) -> Result<Map, ConnectError> {
        let limit = self.login.timeout / 2;
        let asked = timeout(limit, self.ask(host)).await;
        asked.unwrap_or(Err(ConnectError::Timeout(limit)))
    }

    async fn ask(&self, host: &Host) -> Result<Map, ConnectError> {
        let stream = connect_tcp(host, self.login.tls.as_ref()).await?;
        let (mut connection, driver) = greet(stream, &self.login.settings()).await?;
        let mut pipeline = Pipeline::new();
        pipeline.cmd("CLUSTER").arg("INFO");
        pipeline.cmd("CLUSTER").arg("SLOTS");
        let (info, slots): (String, Value) = tokio::select! {
            answer = pipeline.query_async(&mut connection) => answer.map_err(refusal)?,
            () = driver => {
                return Err(ConnectError::Refused("it closed the connection".into()));
            }
        };
        // A node that was separated from the others has an old map.
        if !info.contains("cluster_state:ok") {
            return Err(ConnectError::Refused("the Cluster is down".into()));
        }
        let unreadable = || ConnectError::Refused("CLUSTER SLOTS cannot be read".into());
        read_map(slots, host).ok_or_else(unreadable)
    }
}

/// Reads the answer to `CLUSTER SLOTS` of a node.
fn read_map(slots: Value, asked: &Host) -> Option<Map> {
    let mut map = Map::default();
    for range in list(slots)? {
        let mut parts = list(range)?.into_iter();
        let (first, last) = (integer(parts.next()?)?, integer(parts.next()?)?);
        let mut nodes = parts.filter_map(|node| read_node(node, asked));
        let primary = nodes.next()?;
        map.nodes.insert((primary.name.clone(), primary.port));
        map.nodes.extend(nodes.map(|host| (host.name, host.port)));
        map.ranges.push((first, last, primary));
    }
    Some(map)
}

fn read_node(node: Value, asked: &Host) -> Option<Host> {
    let mut parts = list(node)?.into_iter();
    let name = match parts.next()? {
        Value::BulkString(name) => String::from_utf8(name).ok()?,
        _ => String::new(),
    };
    let port = integer(parts.next()?)?;
    // A node that does not know its address leaves it out.
    let name = match name.as_str() {
        "" | "?" => asked.name.clone(),
        _ => name,
    };
    Some(Host { name, port })
}

fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn integer(value: Value) -> Option<u16> {
    match value {
        Value::Int(number) => number.try_into().ok(),
        _ => None,
    }
}
