//! Benchmarks of whole requests over HTTP with the stores on other engines, beside the same page with
//! a directory and without sessions.

use std::path::Path;

use session3_components::DEMO;
use session3_test_fixtures::PLAIN;
use session3_test_program::Demo;
use session3_test_servers::mariadb::{self, Mariadb};
use session3_test_servers::postgres::{self, Postgres};
use session3_test_servers::redis::{self, Redis};
use session3_test_support::directory::Directory;

use crate::Plan;
use crate::page::{self, Page, line, serve, visitors};

/// The servers of the engines, which run until this is dropped.
struct Servers {
    redis: Redis,
    postgres: Postgres,
    mariadb: Mariadb,
}

impl Servers {
    fn start() -> Self {
        Self {
            redis: Redis::start(&redis::OPERATED),
            postgres: Postgres::start(&postgres::OPERATED),
            mariadb: Mariadb::start(&mariadb::OPERATED),
        }
    }

    /// Returns the names and the URLs of the stores. The first is the directory.
    fn stores(&self, directory: &Path) -> [(&'static str, String); 5] {
        let directory = directory.display();
        let postgres = format!("{}?sslmode=disable&prepare=on", self.postgres.url());
        [
            ("a directory", format!("dir:{directory}/sessions")),
            ("SQLite", format!("sqlite:{directory}/sessions.db")),
            ("Redis", self.redis.url("s3")),
            ("PostgreSQL", postgres),
            ("MariaDB", format!("{}?tls=off", self.mariadb.url())),
        ]
    }
}

/// Measures the counter page with each store.
pub fn measure(plan: &Plan, place: &Path) {
    let directory = Directory::new(place, "engines");
    let directory = directory.path();
    page::print_head(plan, place);
    let servers = Servers::start();
    let stores = servers.stores(directory);
    let unused = format!("dir:{}/plain", directory.display());
    let plain = serve(directory, "plain", PLAIN, &unused, &[]);
    let demos = stores.iter();
    let demos = demos.map(|(name, url)| serve(directory, name, DEMO, url, &[]));
    let demos: Vec<_> = demos.collect();
    let mut all = pages(directory, &stores, &plain, &demos);
    page::measure(plan, &mut all);
    let (without, with) = all.split_first().unwrap();
    for what in 0..2 {
        // Each store has two pages.
        let of_a_directory = &with[what];
        for page in with.iter().skip(what).step_by(2) {
            let name = &page.name;
            line(&format!("{name}: to none"), &page.to(without), 2);
            let to_directory = page.to(of_a_directory);
            line(&format!("{name}: to a directory"), &to_directory, 2);
        }
    }
}

/// Returns the page without sessions, and then the page and the change of each store.
fn pages(
    directory: &Path,
    stores: &[(&'static str, String)],
    plain: &Demo,
    demos: &[Demo],
) -> Vec<Page> {
    let mut pages = Vec::new();
    for ((name, _), demo) in stores.iter().zip(demos) {
        let cookies = visitors(demo, "keep", directory.join(format!("{name}.cookies")));
        if pages.is_empty() {
            pages.push(Page::new("without sessions", &plain.url, "", &cookies));
        }
        pages.push(Page::new(
            &format!("{name}, the page"),
            &demo.url,
            "",
            &cookies,
        ));
        let adds = format!("{name}, add 1");
        pages.push(Page::new(&adds, &demo.url, "increment", &cookies));
    }
    pages
}
