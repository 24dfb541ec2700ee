//! The engines: servers with the settings of an operator, and the stores on them.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use session3_store::Maintenance;
use session3_store_mysql::MysqlStore;
use session3_store_postgres::PostgresStore;
use session3_store_redis::RedisStore;
use session3_store_sqlite::SqliteStore;
use session3_test_servers::mariadb::Mariadb;
use session3_test_servers::postgres::Postgres;
use session3_test_servers::redis::Redis;
use session3_test_servers::{mariadb, postgres, redis};
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};

use crate::contest::{Contestant, Local, Ours};
use crate::floor;
use crate::peer::Peer;

/// An engine that runs until this value is dropped.
pub struct Engine {
    /// The name in the tables.
    pub name: &'static str,
    /// The settings that decide about durability and memory.
    pub settings: &'static str,
    kind: Kind,
    runtime: Handle,
}

enum Kind {
    Redis(Redis),
    Postgres(Postgres),
    Mariadb(Mariadb),
    /// The directory of the databases, and the durability.
    Sqlite(TempDir, &'static str),
}

/// How long an operation may wait. The benchmarks wait longer than an application, so that a
/// machine that is busy with something else does not end them.
const TIMEOUT: &str = "timeout=60";

impl Engine {
    /// Starts the engine of this name: several ones for the durabilities of SQLite.
    pub fn start(runtime: &Runtime, name: &str) -> Vec<Self> {
        let new = |name, settings, kind| Self {
            name,
            settings,
            kind,
            runtime: runtime.handle().clone(),
        };
        let sqlite = |name, settings, durability| {
            let directory = tempfile::tempdir().unwrap();
            new(name, settings, Kind::Sqlite(directory, durability))
        };
        match name {
            "redis" => {
                let server = Redis::start(&redis::OPERATED);
                let settings = "appendonly yes, appendfsync everysec";
                vec![new("Redis", settings, Kind::Redis(server))]
            }
            "postgres" => {
                let server = Postgres::start(&postgres::OPERATED);
                let settings =
                    "fsync on, synchronous_commit on, shared_buffers 2 GB; prepare=on in the URL";
                vec![new("PostgreSQL", settings, Kind::Postgres(server))]
            }
            "mariadb" => {
                let server = Mariadb::start(&mariadb::OPERATED);
                let settings = "innodb_flush_log_at_trx_commit 1, innodb_buffer_pool_size 2 GB, \
                                innodb_log_file_size 256 MB";
                vec![new("MariaDB", settings, Kind::Mariadb(server))]
            }
            "sqlite" => vec![
                sqlite("SQLite, process", "durability=process", "process"),
                sqlite("SQLite, disk", "durability=disk", "disk"),
            ],
            _ => panic!("ENGINES has `{name}`, but may have redis, postgres, mariadb and sqlite"),
        }
    }

    /// Returns the URL of the store with this table, prefix or file.
    fn url(&self, table: &str) -> String {
        match &self.kind {
            Kind::Redis(server) => format!("{}&{TIMEOUT}", server.url(table)),
            Kind::Postgres(server) => {
                format!(
                    "{}?table={table}&sslmode=disable&prepare=on&{TIMEOUT}",
                    server.url()
                )
            }
            Kind::Mariadb(server) => {
                format!("{}?table={table}&tls=off&{TIMEOUT}", server.url())
            }
            Kind::Sqlite(directory, durability) => {
                let directory = directory.path().display();
                format!("sqlite:{directory}/{table}.db?durability={durability}&{TIMEOUT}")
            }
        }
    }

    /// Opens the store with this table, prefix or file, and creates it if it is missing.
    pub fn open(&self, table: &str) -> Arc<dyn Maintenance> {
        self.open_url(&self.url(table))
    }

    fn open_url(&self, url: &str) -> Arc<dyn Maintenance> {
        self.runtime.block_on(async {
            match &self.kind {
                Kind::Redis(_) => {
                    let options = session3_store_redis::Options::default().create(true);
                    Arc::new(RedisStore::open(url, options).await.unwrap()) as Arc<dyn Maintenance>
                }
                Kind::Postgres(_) => {
                    let options = session3_store_postgres::Options::default().create(true);
                    Arc::new(PostgresStore::open(url, options).await.unwrap())
                }
                Kind::Mariadb(_) => {
                    let options = session3_store_mysql::Options::default().create(true);
                    Arc::new(MysqlStore::open(url, options).await.unwrap())
                }
                Kind::Sqlite(..) => {
                    let options = session3_store_sqlite::Options::default().create(true);
                    Arc::new(SqliteStore::open(url, options).await.unwrap())
                }
            }
        })
    }

    /// Opens a store whose changes do not wait for the disk, with which it is filled sooner.
    pub fn open_to_fill(&self, table: &str) -> Arc<dyn Maintenance> {
        let url = self.url(table);
        match &self.kind {
            Kind::Redis(_) => self.open_url(&url),
            Kind::Postgres(_) | Kind::Mariadb(_) => self.open_url(&format!("{url}&durability=off")),
            Kind::Sqlite(..) => {
                self.open_url(&url.replace("durability=disk", "durability=process"))
            }
        }
    }

    /// Returns the operations of a store as a contestant.
    pub fn ours(&self, store: &Arc<dyn Maintenance>) -> Box<dyn Contestant> {
        Box::new(Local::new(&self.runtime, Ours(store.clone())))
    }

    /// Returns the bare statements on the sessions of a store, which must exist.
    pub fn floor(&self, table: &str) -> Box<dyn Contestant> {
        let runtime = &self.runtime;
        match &self.kind {
            Kind::Redis(server) => {
                let floor = runtime.block_on(floor::redis::Floor::connect(server.port, table));
                Box::new(Local::new(runtime, floor))
            }
            Kind::Postgres(server) => {
                let floor = runtime.block_on(floor::postgres::Floor::connect(&server.url(), table));
                Box::new(Local::new(runtime, floor))
            }
            Kind::Mariadb(server) => {
                let floor = runtime.block_on(floor::mysql::Floor::connect(&server.url(), table));
                Box::new(Local::new(runtime, floor))
            }
            Kind::Sqlite(directory, durability) => {
                let path = directory.path().join(format!("{table}.db"));
                let floor = floor::sqlite::Floor::open(&path, *durability == "disk");
                Box::new(Local::new(runtime, floor))
            }
        }
    }

    /// Starts the other session stores that use this engine, on the same server.
    pub fn peers(&self) -> Vec<Peer> {
        match &self.kind {
            Kind::Redis(server) => {
                let url = format!("redis://127.0.0.1:{}", server.port);
                vec![Peer::tower_sessions(&url), Peer::connect_redis(&url)]
            }
            Kind::Postgres(server) => {
                let url = server.url();
                vec![Peer::tower_sessions(&url), Peer::cached_db(&url)]
            }
            Kind::Mariadb(server) => vec![Peer::tower_sessions(&server.url())],
            Kind::Sqlite(directory, durability) => {
                let directory = directory.path().display();
                let url = format!("sqlite:{directory}/peer.db?durability={durability}");
                vec![Peer::tower_sessions(&url)]
            }
        }
    }

    /// Makes the commits of MariaDB wait for the disk, or not.
    pub fn set_waiting(&self, waits: bool) {
        if let Kind::Mariadb(server) = &self.kind {
            let statement = format!(
                "SET GLOBAL innodb_flush_log_at_trx_commit = {}",
                u8::from(waits)
            );
            self.runtime
                .block_on(floor::mysql::execute(&server.url(), &statement));
        }
    }

    /// Brings the statistics of a table up to date, of which MariaDB's figures are made.
    pub fn analyze(&self, table: &str) {
        if let Kind::Mariadb(server) = &self.kind {
            let statement = format!("ANALYZE TABLE `{table}`");
            self.runtime
                .block_on(floor::mysql::execute(&server.url(), &statement));
        }
    }

    /// Returns the factor by which slices are larger. Those of fast engines would otherwise be
    /// shorter than what happens now and then, such as a checkpoint of SQLite's write-ahead log.
    pub fn scale(&self) -> usize {
        match &self.kind {
            Kind::Redis(_) | Kind::Sqlite(..) => 5,
            Kind::Postgres(_) | Kind::Mariadb(_) => 1,
        }
    }

    /// Returns the largest factor by which a load or a save may take longer with many sessions.
    pub fn growth(&self) -> f64 {
        match &self.kind {
            Kind::Redis(_) | Kind::Postgres(_) => 1.3,
            Kind::Mariadb(_) | Kind::Sqlite(..) => 1.5,
        }
    }

    /// Returns how many bytes a store has for its sessions, by its figures.
    pub fn bytes(&self, store: &Arc<dyn Maintenance>) -> u64 {
        let figure = |name| self.figure(store, name).unwrap_or_default();
        match &self.kind {
            Kind::Redis(_) => figure("memory used"),
            Kind::Postgres(_) => figure("table") + figure("indexes"),
            Kind::Mariadb(_) => figure("data") + figure("indexes"),
            Kind::Sqlite(..) => figure("database") - figure("unused"),
        }
    }

    /// Returns the share of the updates of PostgreSQL that changed no index, in percent.
    pub fn hot_share(&self, store: &Arc<dyn Maintenance>) -> Option<f64> {
        let Kind::Postgres(_) = &self.kind else {
            return None;
        };
        // The statistics lag behind by about a second.
        thread::sleep(Duration::from_millis(1500));
        let share = self.figure(store, "HOT updates, %");
        share.map(|share| share as f64)
    }

    /// Returns a figure of a store.
    fn figure(&self, store: &Arc<dyn Maintenance>, name: &str) -> Option<u64> {
        let figures = self.runtime.block_on(store.figures()).unwrap();
        let figure = figures.iter().find(|figure| figure.name == name);
        figure.map(|figure| figure.value)
    }
}
