//! What a run does.

use std::env;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use session3_test_support::random::seed;

/// The numbers of clients and the times of a run.
pub struct Plan {
    /// How many connections all clients have together.
    pub connections: usize,
    /// How long the hostile clients stay, for each value of `reuse`.
    pub attack: Duration,
    /// How long there are honest visitors only.
    pub calm: Duration,
    /// In which time the visitors come.
    pub arrival: Duration,
    /// The values for `--max-instance-reuse`.
    pub reuse: Vec<u32>,
    /// The seed of all random choices.
    pub seed: u64,
}

/// How many visitors of each kind come.
pub struct Visitors {
    /// Those who request a page every few seconds.
    pub active: usize,
    /// Those who request a page every 30 to 60 seconds.
    pub idle: usize,
    /// Those who download.
    pub downloads: usize,
    /// Those who upload.
    pub uploads: usize,
}

impl Plan {
    /// Reads the plan from the environment.
    pub fn from_environment() -> Self {
        let reuse: Option<u32> = variable("LOAD_REUSE");
        let reuse = reuse.map_or(vec![1, 100], |reuse| vec![reuse]);
        let seconds: u64 = variable("LOAD_SECONDS").unwrap_or(600);
        let attack = Duration::from_secs(seconds) / u32::try_from(reuse.len()).unwrap();
        Self {
            connections: variable("LOAD_CONNECTIONS").unwrap_or(10_000),
            attack,
            calm: attack.clamp(Duration::from_secs(3), Duration::from_secs(60)),
            arrival: (attack / 4).min(Duration::from_secs(20)),
            reuse,
            seed: seed(),
        }
    }

    /// Returns how many of the connections are hostile.
    pub fn hostile(&self) -> usize {
        Self::hostile_of(self.connections)
    }

    /// Returns the honest visitors.
    pub fn visitors(&self) -> Visitors {
        Self::visitors_of(self.connections)
    }

    /// Returns how many of so many connections are hostile.
    pub fn hostile_of(connections: usize) -> usize {
        connections / 3
    }

    /// Returns the honest visitors of so many connections.
    pub fn visitors_of(connections: usize) -> Visitors {
        let all = connections - Self::hostile_of(connections);
        let (active, downloads, uploads) = (all / 20, all / 100, all / 100);
        Visitors {
            active,
            idle: all - active - downloads - uploads,
            downloads,
            uploads,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Visitors {
            active,
            idle,
            downloads,
            uploads,
        } = self.visitors();
        writeln!(
            formatter,
            "{} connections: {} hostile, {active} active, {idle} mostly idle, {downloads} that \
             download, {uploads} that upload",
            self.connections,
            self.hostile(),
        )?;
        write!(
            formatter,
            "{} s without and {} s with hostile clients for each of --max-instance-reuse {:?}",
            self.calm.as_secs(),
            self.attack.as_secs(),
            self.reuse,
        )
    }
}

/// Returns the value of a variable of the environment, if it is set.
fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = env::var(name).ok()?;
    let Ok(value) = value.parse() else {
        panic!("{name}={value} is not a number");
    };
    Some(value)
}
