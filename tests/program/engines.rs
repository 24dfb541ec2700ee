//! The program with its sessions on other engines: the demo's scenarios, several processes at
//! once, the operators' commands, and a server of the engine that ends and comes back.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use session3_test_program::clock::Clock;
use session3_test_program::{Application, Browser, Demo, session3};
use session3_test_servers::Server;
use session3_test_servers::mariadb::Mariadb;
use session3_test_servers::postgres::Postgres;
use session3_test_servers::redis::{Redis, RedisCluster};
use session3_test_support::wait_until;

use crate::http::scenarios;
use crate::place::Directory;
use crate::{dashboard, processes};

/// The demo with its sessions in Redis.
const ON_REDIS: Application = Application::Stored(redis, &Application::Rust);
/// The demo with its sessions in a Cluster of Redis.
const ON_CLUSTER: Application = Application::Stored(cluster, &Application::Rust);
/// The demo with its sessions in PostgreSQL.
const ON_POSTGRES: Application = Application::Stored(postgres, &Application::Rust);
/// The demo with its sessions in MariaDB.
const ON_MARIADB: Application = Application::Stored(mariadb, &Application::Rust);
/// The demo with its sessions in an SQLite file.
const ON_SQLITE: Application = Application::Stored(sqlite, &Application::Rust);

scenarios!(redis_demo, crate::engines::ON_REDIS);
scenarios!(postgres_demo, crate::engines::ON_POSTGRES);
scenarios!(mariadb_demo, crate::engines::ON_MARIADB);
scenarios!(sqlite_demo, crate::engines::ON_SQLITE);

/// Returns the URL of a store in Redis that belongs to a directory.
pub fn redis(directory: &Path) -> String {
    Redis::shared().url(&name_of(directory))
}

fn cluster(directory: &Path) -> String {
    RedisCluster::shared().url(&name_of(directory))
}

fn postgres(directory: &Path) -> String {
    let url = Postgres::shared().url_without_password();
    format!("{url}?table={}", name_of(directory))
}

fn mariadb(directory: &Path) -> String {
    let url = Mariadb::shared().url_without_password();
    format!("{url}?durability=off&table={}", name_of(directory))
}

fn sqlite(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("sessions.db").display())
}

/// Returns a name of lower-case letters and digits that no other directory has.
fn name_of(directory: &Path) -> String {
    let name = directory.file_name().unwrap().as_bytes();
    let digits = name.iter().map(|byte| format!("{byte:02x}"));
    "t".to_owned() + &digits.collect::<String>()
}

/// Runs a test with each engine, and with an empty store of it.
macro_rules! on_each_engine {
    ($($test:ident)*) => {
        mod on_redis {
            $(#[test]
            fn $test() {
                super::with_store(super::ON_REDIS, super::$test);
            })*
        }
        mod on_cluster {
            $(#[test]
            fn $test() {
                super::with_store(super::ON_CLUSTER, super::$test);
            })*
        }
        mod on_postgres {
            $(#[test]
            fn $test() {
                super::with_store(super::ON_POSTGRES, super::$test);
            })*
        }
        mod on_mariadb {
            $(#[test]
            fn $test() {
                super::with_store(super::ON_MARIADB, super::$test);
            })*
        }
        mod on_sqlite {
            $(#[test]
            fn $test() {
                super::with_store(super::ON_SQLITE, super::$test);
            })*
        }
    };
}

on_each_engine! {
    no_increment_of_four_processes_is_lost
    a_log_out_in_another_process_wins
    operators_see_and_end_sessions
    an_operator_opens_the_page_of_the_store
    a_site_moves_to_the_engine_and_back
}

#[test]
fn a_wrong_clock_is_harmless_with_redis() {
    with_store(ON_REDIS, a_wrong_clock_ends_no_session_early_or_late);
}

#[test]
fn a_wrong_clock_is_harmless_with_postgres() {
    with_store(ON_POSTGRES, a_wrong_clock_ends_no_session_early_or_late);
}

#[test]
fn a_wrong_clock_is_harmless_with_mariadb() {
    with_store(ON_MARIADB, a_wrong_clock_ends_no_session_early_or_late);
}

fn with_store(application: Application, test: fn(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    test(&application.store(directory.path()));
}

fn no_increment_of_four_processes_is_lost(store: &Path) {
    processes::count_in_four_processes(store);
}

fn a_log_out_in_another_process_wins(store: &Path) {
    processes::log_out_while_others_save(store);
    assert_eq!(
        run(&["list"], store).lines().count(),
        1,
        "only the headings"
    );
}

/// Runs a command of operators, which has to succeed, and returns what it prints.
fn run(words: &[&str], store: &Path) -> String {
    let output = session3()
        .arg(words[0])
        .arg(store)
        .args(&words[1..])
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    assert_eq!(output.stderr, b"", "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a session whose counter is this number. Returns its ID and its browser.
fn visit(demo: &Demo, counter: i64) -> (String, Browser) {
    let mut browser = Browser::new();
    browser.get(demo, "keep");
    for _ in 0..counter {
        browser.get(demo, "increment");
    }
    let (id, found) = browser.look(demo);
    assert_eq!(found, counter);
    (id, browser)
}

fn operators_see_and_end_sessions(store: &Path) {
    let demo = Demo::start(store);
    let (first, mut browser) = visit(&demo, 2);
    let (second, _) = visit(&demo, 0);
    let list = run(&["list"], store);
    assert!(list.contains(&first) && list.contains(&second), "{list}");
    assert!(run(&["show", &first], store).contains("counter = 2"));
    let stats = run(&["stats"], store);
    assert!(
        stats.starts_with("Sessions                    2\n"),
        "{stats}"
    );
    let check = run(&["check", "--repair"], store);
    assert!(check.ends_with("2 sound, 0 damaged, 0 foreign, 0 leftover, 0 surplus, 0 missing\n"));
    // A check of sealed sessions takes each of them from the check of the engine.
    let place = Directory::new();
    let keys = place.key_ring();
    let sealed = ["check", "--key-file", &keys, "--accept-plain"];
    let check = run(&sealed, store);
    assert!(
        check.starts_with("2 sound, ") && check.ends_with(", 2 not sealed\n"),
        "{check}"
    );
    assert_eq!(
        run(&["prune", "--dry-run", "--minutes", "1"], store),
        "would delete 0, remaining 2\n"
    );
    let deleted = run(&["delete", &first, &"0".repeat(32)], store);
    let absent = format!("{}: there was no such session\n", "0".repeat(32));
    assert_eq!(deleted, format!("{first}: deleted\n{absent}"));
    assert_eq!(browser.look(&demo).0, "None");
    assert_eq!(run(&["prune", "--minutes", "0"], store).lines().count(), 1);
}

fn an_operator_opens_the_page_of_the_store(store: &Path) {
    let demo = Demo::start(store);
    let (first, mut browser) = visit(&demo, 2);
    let (second, _) = visit(&demo, 0);
    let (dashboard, link) = dashboard::start(store, &[]);
    let mut operator = Browser::new();
    assert_eq!(operator.get(&dashboard, &link).status, 200);
    wait_until("the figures", || {
        let page = operator.get(&dashboard, "").text;
        page.contains("<dt>Sessions</dt><dd>2</dd>") && page.contains("<dt>Damaged</dt><dd>0</dd>")
    });
    let page = operator.get(&dashboard, "sessions").text;
    assert!(page.contains(&first) && page.contains(&second), "{page}");
    let page = operator.get(&dashboard, "check");
    operator.send(&dashboard, &page, "/check", &[("repair", "true")]);
    wait_until("the check", || {
        let page = operator.get(&dashboard, "check").text;
        page.contains("2 sessions are sound, 0 are damaged. It found no problem.")
    });
    let question = operator.get(&dashboard, &format!("end?session={first}"));
    operator.send(&dashboard, &question, "/end", &[]);
    assert_eq!(browser.look(&demo).0, "None");
    let question = operator.get(&dashboard, "end?everyone=true");
    operator.send(&dashboard, &question, "/end", &[]);
    wait_until("the end of all sessions", || {
        run(&["list"], store).lines().count() == 1
    });
}

fn a_site_moves_to_the_engine_and_back(store: &Path) {
    let place = tempfile::tempdir().unwrap();
    let (before, after) = (place.path().join("before"), place.path().join("after"));
    let demo = Demo::start(&before);
    let (kept, _) = visit(&demo, 1);
    let (changed, mut busy) = visit(&demo, 1);
    let (ended, mut leaving) = visit(&demo, 1);
    let copy = |arguments: &[&str]| {
        let words: Vec<_> = ["copy"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        run(&words, &before)
    };
    let to = store.to_str().unwrap();
    assert_eq!(
        copy(&[to, "--dry-run"]),
        "would be: copied 3, updated 0, unchanged 0, deleted 0, not copied 0\n"
    );
    assert_eq!(
        copy(&[to]),
        "copied 3, updated 0, unchanged 0, deleted 0, not copied 0\n"
    );
    busy.get(&demo, "increment");
    leaving.get(&demo, "logout");
    let (new, _) = visit(&demo, 0);
    demo.stop();
    let last = "copied 1, updated 1, unchanged 1, deleted 1, not copied 0\n";
    assert_eq!(
        copy(&[to, "--final", "--dry-run"]),
        format!("would be: {last}")
    );
    assert_eq!(copy(&[to, "--final"]), last);
    let same = "copied 0, updated 0, unchanged 3, deleted 0, not copied 0\n";
    assert_eq!(copy(&[to, "--final"]), same);
    let sessions = |store: &Path| {
        let list = run(&["list", "--json"], store);
        let mut lines: Vec<_> = list.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let expected = sessions(&before);
    assert_eq!(sessions(store), expected);
    for id in [&kept, &changed, &new] {
        assert!(expected.iter().any(|line| line.contains(id)));
    }
    assert!(!expected.iter().any(|line| line.contains(&ended)));
    // The users go on there.
    let demo = Demo::start(store);
    assert_eq!(busy.look(&demo), (changed, 2));
    assert_eq!(leaving.look(&demo).0, "None");
    busy.get(&demo, "increment");
    demo.stop();
    assert_eq!(
        run(&["copy", after.to_str().unwrap()], store),
        "copied 3, updated 0, unchanged 0, deleted 0, not copied 0\n"
    );
    assert_eq!(busy.look(&Demo::start(&after)).1, 3);
}

#[test]
fn a_site_outlives_mariadb() {
    outlive(Mariadb::start(&[]));
}

#[test]
fn a_site_outlives_redis() {
    // Every change is on the disk before it is acknowledged.
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    outlive(Redis::start(&durable));
}

#[test]
fn a_site_outlives_postgres() {
    outlive(Postgres::start(&[]));
}

/// Kills the server of a store and starts it again, while a site serves. What needs a session
/// is answered 503 meanwhile, everything else as before.
fn outlive(mut server: impl Server) {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log");
    let mut command = session3();
    command
        .args(["demo", &server.url(), "--metrics", "127.0.0.1:0"])
        .stderr(File::create(&log).unwrap());
    let demo = Demo::run(&mut command);
    let metrics = demo.greeting.iter().find_map(|line| {
        line.strip_prefix("Metrics are at ")?
            .strip_suffix("metrics.")
            .map(str::to_owned)
    });
    let metrics = metrics.unwrap();
    let ready = || status_of(&format!("{metrics}readyz"));
    let (id, mut browser) = visit(&demo, 1);
    assert_eq!(ready(), 200);

    server.kill();
    wait_until("the site to notice it", || ready() == 503);
    assert_eq!(status_of(&format!("{metrics}healthz")), 200);
    assert_eq!(browser.clone().get(&demo, "increment").status, 503);
    assert_eq!(
        Browser::new().get(&demo, "").status,
        200,
        "no session is needed"
    );
    // It fails at once, and not after a time limit of each request.
    for _ in 0..20 {
        assert_eq!(browser.clone().get(&demo, "").status, 503);
    }

    server.restart();
    wait_until("the site to reconnect", || ready() == 200);
    assert_eq!(browser.get(&demo, "increment").status, 302);
    assert_eq!(browser.look(&demo), (id, 2));
    let export = body_of(&format!("{metrics}metrics"));
    assert!(export.contains("session3_store_up{"), "{export}");
    assert!(
        export.contains("session3_store_reconnects_total{"),
        "{export}"
    );
    let log = fs::read_to_string(log).unwrap();
    let lines = |text| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("so that its sessions cannot be used"), 1, "{log}");
    assert_eq!(lines("can be reached again"), 1, "{log}");
    // And not one for each of the requests.
    assert!(lines("the store failed") < 5, "{log}");
}

fn status_of(url: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into();
    agent.get(url).call().unwrap().status().as_u16()
}

fn body_of(url: &str) -> String {
    ureq::get(url)
        .call()
        .unwrap()
        .into_body()
        .read_to_string()
        .unwrap()
}

/// Returns a path under which no store exists.
fn absent() -> PathBuf {
    PathBuf::from("/nonexistent/sessions")
}

#[test]
fn what_cannot_be_opened_is_one_line_that_says_what_to_do() {
    let server = Redis::shared();
    let wrong = format!("redis://u:secret@127.0.0.1:{}", server.port);
    let unknown = server.url("x&durability=on");
    let missing = server.url("missing");
    let postgres = Postgres::shared();
    let refused = format!("postgres://postgres:secret@127.0.0.1:{}/x", postgres.port);
    let database = postgres.url().replace("/postgres", "/absent");
    let database = database.replace("//absent", "//postgres");
    let table = format!("{}?table=missing", postgres.url());
    let sqlite = format!("sqlite:{}", absent().display());
    let cases: [(&str, &str); 11] = [
        ("sqlit:x", "dir:PATH"),
        (
            &absent().display().to_string(),
            "name one that has sessions",
        ),
        (&sqlite, "name one that has sessions"),
        ("redis://127.0.0.1:1", "start it"),
        ("postgres://127.0.0.1:1/x", "start it"),
        (&wrong, "password"),
        (&refused, "password"),
        (&unknown, "the parameters are"),
        (&missing, "name one that has sessions"),
        (&table, "name one that has sessions"),
        (&database, "absent"),
    ];
    for (url, advice) in cases {
        let output = session3().args(["list", url]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{url}: {error}");
        assert_eq!(error.lines().count(), 1, "{url}: {error}");
        assert!(error.contains(advice), "{url}: {error}");
        assert!(!error.contains("secret"), "{url}: {error}");
    }
}

/// The site has two servers, and the clock of one of them is wrong. The time is that of the
/// engine's server.
fn a_wrong_clock_ends_no_session_early_or_late(store: &Path) {
    let right = Demo::start(store);
    // The sessions of the demo end after half an hour without use.
    for ahead in [3600, -3600] {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = session3();
        command.arg("demo").arg(store).stderr(log.reopen().unwrap());
        let _clock = Clock::ahead_by(&mut command, ahead);
        let wrong = Demo::run(&mut command);
        let text = || fs::read_to_string(log.path()).unwrap();
        wait_until("a warning", || text().contains("set it right"));
        let (id, mut browser) = visit(&right, 1);
        assert_eq!(browser.look(&wrong), (id, 1));
        let (id, mut browser) = visit(&wrong, 1);
        assert_eq!(browser.look(&right), (id, 1));

        let mut prune = session3();
        prune.arg("prune").arg(store);
        let _clock = Clock::ahead_by(&mut prune, ahead);
        let said = String::from_utf8(prune.output().unwrap().stdout).unwrap();
        assert!(said.starts_with("deleted 0 "), "{said}");
    }
}

#[test]
fn a_password_may_be_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    fs::write(
        &file,
        format!("{}\n", session3_test_servers::postgres::PASSWORD),
    )
    .unwrap();
    let port = Postgres::shared().port;
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?table=with_file");
    let session3 = || {
        let mut command = session3();
        command.env_remove("PGPASSWORD");
        command
    };
    let mut command = session3();
    command.args(["demo", &url, "--password-file"]).arg(&file);
    let demo = Demo::run(&mut command);
    visit(&demo, 1);
    let listed = session3()
        .args(["list", &url])
        .env("SESSION3_STORE_PASSWORD_FILE", &file)
        .output()
        .unwrap();
    assert_eq!(listed.stdout.split(|byte| *byte == b'\n').count(), 3);
    fs::write(&file, "").unwrap();
    let output = session3()
        .args(["list", &url, "--password-file"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("is empty"));
}

#[test]
fn a_copy_never_deletes_what_may_be_the_only_copy() {
    let place = tempfile::tempdir().unwrap();
    let (full, empty) = (place.path().join("full"), place.path().join("empty"));
    let demo = Demo::start(&full);
    visit(&demo, 1);
    let other = Demo::start(&empty);
    let exchanged = session3()
        .arg("copy")
        .args([&empty, &full])
        .arg("--final")
        .output()
        .unwrap();
    assert!(!exchanged.status.success());
    let error = String::from_utf8(exchanged.stderr).unwrap();
    assert!(error.contains("FROM has none"), "{error}");
    assert_eq!(run(&["list"], &full).lines().count(), 2);
    // A session that a server has changed in TO already is named.
    run(&["copy", empty.to_str().unwrap()], &full);
    let (id, mut browser) = visit(&other, 0);
    run(&["copy", full.to_str().unwrap()], &empty);
    browser.get(&demo, "increment");
    thread::sleep(Duration::from_millis(2));
    let output = session3()
        .arg("copy")
        .args([&empty, &full])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(&id) && error.contains("later version"),
        "{error}"
    );
}
