//! Directories that earlier releases have made: this one opens their sessions, with the same
//! cookies.

use std::fs;
use std::path::{Path, PathBuf};

use session3_components::DEMO;
use session3_test_program::{Browser, Demo, session3};
use session3_test_support::files;

/// Copies the directory of a release, and adds the demo.
fn copy(release: &str) -> tempfile::TempDir {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("releases")
        .join(release);
    let directory = tempfile::tempdir().unwrap();
    for file in files(&source) {
        let copy = directory.path().join(file.strip_prefix(&source).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
    fs::write(directory.path().join("demo.wasm"), DEMO).unwrap();
    directory
}

fn serve(directory: &Path) -> Demo {
    let mut command = session3();
    command
        .current_dir(directory)
        .args(["serve", "demo.wasm", "--grant", "admin"])
        .args(["--config", "policy.toml", "--store", "sessions"]);
    Demo::run(&mut command)
}

fn browser(directory: &Path, name: &str) -> Browser {
    let cookies = fs::read(directory.join("cookies.json")).unwrap();
    let cookies: serde_json::Value = serde_json::from_slice(&cookies).unwrap();
    let mut browser = Browser::new();
    browser.cookie = cookies[name].as_str().unwrap().to_owned();
    browser
}

fn records(directory: &Path) -> Vec<PathBuf> {
    let mut records = files(&directory.join("sessions"));
    records.retain(|file| !file.starts_with(directory.join("sessions/users")));
    records
}

#[test]
fn the_sessions_of_0_1_go_on() {
    let directory = copy("0.1");
    let directory = directory.path();
    let check = session3()
        .args(["check", "sessions"])
        .current_dir(directory)
        .output()
        .unwrap();
    let said = String::from_utf8(check.stdout).unwrap();
    assert!(said.contains("3 sound, 0 damaged"), "{said}");

    let server = serve(directory);
    let mut visitor = browser(directory, "visitor");
    assert_eq!(visitor.look(&server).1, 2);
    visitor.get(&server, "increment");
    assert_eq!(visitor.look(&server).1, 3);

    let mut alice = browser(directory, "alice");
    let page = alice.get(&server, "account");
    for text in ["<b>alice</b>", "hello from 0.1", "(this one)"] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    alice.send(&server, &page, "note", &[("text", "and from now")]);
    assert!(alice.get(&server, "account").text.contains("and from now"));

    let mut bob = browser(directory, "bob");
    assert_eq!(bob.look(&server).1, 3);
    assert!(bob.get(&server, "account").text.contains("<b>bob</b>"));
    assert_eq!(records(directory).len(), 3);
    // The record still knows the tokens that were replaced.
    browser(directory, "bob-replaced").get(&server, "");
    assert_eq!(records(directory).len(), 2);
    assert!(bob.get(&server, "account").text.contains("not logged in"));
}
