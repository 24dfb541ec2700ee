//! The stock `wasmtime serve`, which has no support for sessions. It serves the demo, composed
//! with the manager and the store component for WASI's file system, on a directory that
//! `session3` uses before and after.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use crate::middleware;
use session3_test_fixtures::CURRENT;
use session3_test_program::{Browser, Demo, session3};

const WASMTIME: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/tools/bin/wasmtime"
);

/// The demo, composed with commands like those in the README.
static COMPOSED: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = directory("stock");
    run(&directory, "component demo -o application.wasm");
    run(&directory, "component store-filesystem -o store.wasm");
    let compose = "compose application.wasm --grant admin --store-component store.wasm";
    run(&directory, &format!("{compose} -o composed.wasm"));
    directory.join("composed.wasm")
});

/// An application for WASI 0.3 behind the middleware.
static BEHIND: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = directory("stock-middleware");
    fs::write(directory.join("application.wasm"), CURRENT).unwrap();
    fs::write(directory.join("policy.toml"), middleware::POLICY).unwrap();
    run(&directory, "component store-filesystem -o store.wasm");
    let compose = "compose application.wasm --middleware --config policy.toml";
    let store = "--store-component store.wasm";
    run(&directory, &format!("{compose} {store} -o composed.wasm"));
    directory.join("composed.wasm")
});

fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Runs `session3` in a directory. `line` has its arguments, separated by spaces.
fn run(directory: &Path, line: &str) {
    let mut command = session3();
    command.current_dir(directory).args(line.split(' '));
    assert!(command.status().unwrap().success(), "{line}");
}

/// Serves the demo on a free port.
fn serve(directory: &Path) -> Demo {
    serve_component(&COMPOSED, directory)
}

fn serve_behind(directory: &Path) -> Demo {
    serve_component(&BEHIND, directory)
}

fn serve_component(component: &Path, directory: &Path) -> Demo {
    assert!(
        Path::new(WASMTIME).exists(),
        "{WASMTIME} is missing: run make test-hosts"
    );
    // `wasmtime` does not create the directory.
    fs::create_dir_all(directory).unwrap();
    let mut command = Command::new(WASMTIME);
    command
        .args(["serve", "-Scli", "--addr", "127.0.0.1:0"])
        // A composed component needs about two dozen core instances and as many tables, and
        // by default the pool has a thousand of each.
        .arg("-Opooling-total-core-instances=5000,pooling-total-tables=5000")
        .arg("--dir")
        .arg(format!("{}::/sessions", directory.display()))
        .arg(component);
    Demo::run_other(&mut command, "Serving HTTP on ")
}

/// Runs scenarios that hold under `session3` as well.
macro_rules! scenarios {
    ($serve:expr => $($scenario:ident)*) => {
        $(#[test]
        #[ignore = "needs the wasmtime program: make test-hosts"]
        fn $scenario() {
            crate::http::$scenario(session3_test_program::Application::Other($serve));
        })*
    };
}

scenarios! {
    serve =>
    keep
    increment
    increment_with_failure
    log_out
    log_out_with_failure
    log_out_without_a_session
    methods_other_than_get_and_head_are_refused
    a_cookie_that_is_stale_forged_or_malformed_acts_as_none
    a_cookie_may_come_in_one_of_several_headers
}

/// The scenarios for the application behind the middleware.
mod behind {
    use super::*;

    scenarios! {
        serve_behind =>
        keep
        increment
        increment_with_failure
        log_out
        log_out_with_failure
    }

    /// Parallel requests see their own session only, although this host would reuse an instance
    /// and let it serve several requests at once, if the middleware allowed that.
    #[test]
    #[ignore = "needs the wasmtime program: make test-hosts"]
    fn current_is_never_somebody_elses() {
        let directory = tempfile::tempdir().unwrap();
        middleware::fifty_users_see_themselves(&serve_behind(directory.path()));
    }
}

const SOUND: &str = "1 sound, 0 damaged, 0 foreign, 0 leftover, 0 surplus, 0 missing\n";

/// Runs a command of `session3` on a directory and returns its output.
fn session3_says(command: &str, directory: &Path) -> String {
    let output = session3().arg(command).arg(directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs the wasmtime program: make test-hosts"]
fn requests_in_parallel_lose_no_addition() {
    let directory = tempfile::tempdir().unwrap();
    let server = serve(directory.path());
    let mut browser = Browser::new();
    browser.get(&server, "keep");
    thread::scope(|scope| {
        for _ in 0..8 {
            let (server, mut browser) = (&server, browser.clone());
            scope.spawn(move || {
                for _ in 0..10 {
                    assert_eq!(browser.get(server, "increment").status, 302);
                }
            });
        }
    });
    assert_eq!(browser.look(&server).1, 80);
    drop(server);
    let said = session3_says("check", directory.path());
    assert!(said.ends_with(SOUND), "{said}");
}

#[test]
#[ignore = "needs the wasmtime program: make test-hosts"]
fn session3_uses_the_directory_before_and_after() {
    let directory = tempfile::tempdir().unwrap();
    let mut browser = Browser::new();
    let demo = Demo::start(directory.path());
    browser.get(&demo, "keep");
    let (id, _) = browser.look(&demo);
    drop(demo);
    for (start, counter) in [serve, Demo::start, serve, Demo::start]
        .into_iter()
        .zip(1..)
    {
        let server = start(directory.path());
        browser.get(&server, "increment");
        assert_eq!(browser.look(&server), (id.clone(), counter));
        drop(server);
        let said = session3_says("list", directory.path());
        assert!(said.contains(&id), "{said}");
        let said = session3_says("check", directory.path());
        assert!(said.ends_with(SOUND), "{said}");
    }
    let server = serve(directory.path());
    assert_eq!(browser.look(&server), (id.clone(), 4));
    let mut stolen = browser.clone();
    browser.get(&server, "logout");
    assert_eq!(stolen.look(&server).0, "None");
    let log = server.log();
    let ended = format!("INFO ended session={id} reason=\"expired-by-application\"");
    assert!(log.contains(&ended), "{log}");
    let (_, secret) = stolen.cookie.split_once('.').unwrap();
    assert!(!log.contains(secret), "{log}");
}
