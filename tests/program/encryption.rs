//! Sealed stores: what their files contain, the keys of the program, rotation, and the way from
//! plain to sealed and back.

use std::fs::{self, File, Permissions};
use std::ops::Deref;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::thread;

use session3_test_program::{Browser, Demo};
use session3_test_support::{all_files, wait_until};

use crate::dashboard;
use crate::http::scenarios;
use crate::place::Directory;

scenarios!(sealed_demo, session3_test_program::Application::Sealed);

const USER: &str = "Eliza Unmistakable";

/// A directory with a key ring, and room for stores and a log.
struct Place(Directory);

impl Deref for Place {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        &self.0
    }
}

impl Place {
    fn new() -> Self {
        let place = Self(Directory::new());
        place.key_ring();
        place
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Returns what a command prints.
    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the only line that a failing command writes to standard error.
    fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    }

    /// Opens the file `log`, to which the servers append.
    fn log(&self) -> File {
        let mut options = File::options();
        let log = options.create(true).append(true).open(self.path("log"));
        log.unwrap()
    }

    /// Serves the demo.
    fn serve(&self, store: &str, arguments: &[&str]) -> Demo {
        let mut command = self.command(&["demo", store]);
        Demo::run(command.args(arguments).stderr(self.log()))
    }

    /// Reloads a server, and waits until the log has this text more often than before.
    fn reload(&self, server: &Demo, expected: &str) {
        let log = || fs::read_to_string(self.path("log")).unwrap();
        let before = log().matches(expected).count();
        server.signal("HUP");
        wait_until(expected, || log().matches(expected).count() > before);
    }

    /// Returns the IDs of the keys of a ring, the newest last.
    fn keys(&self) -> Vec<String> {
        let listed = self.succeed(&["key", "list", "keys"]);
        listed.lines().map(|line| line[..8].to_owned()).collect()
    }
}

fn log_in(browser: &mut Browser, demo: &Demo, user: &str) {
    let page = browser.get(demo, "account");
    let sent = browser.send(demo, &page, "login", &[("user", user)]);
    assert_eq!(sent.status, 302, "{}", sent.text);
}

/// Returns whether a file of a store contains a text.
fn contain(files: &[PathBuf], text: &str) -> bool {
    let has = |file: &PathBuf| {
        let bytes = fs::read(file).unwrap();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    files.iter().any(has)
}

/// Uses the demo in all ways, and returns the files of its store while it runs.
fn files_of(place: &Place, url: &str, arguments: &[&str]) -> Vec<PathBuf> {
    let demo = place.serve(url, arguments);
    let mut browser = Browser::new();
    browser.get(&demo, "keep");
    log_in(&mut browser, &demo, USER);
    for _ in 0..3 {
        browser.get(&demo, "increment");
    }
    assert!(browser.get(&demo, "account").text.contains(USER));
    assert_eq!(browser.look(&demo).1, 3);
    let files = all_files(&place.path("store"));
    assert!(!files.is_empty());
    let named = files
        .iter()
        .any(|file| file.to_string_lossy().contains(USER));
    assert!(!named);
    assert_eq!(contain(&files, USER), arguments.is_empty(), "{url}");
    assert_eq!(contain(&files, "counter"), arguments.is_empty(), "{url}");
    files
}

#[test]
fn no_file_of_a_sealed_store_contains_a_user_or_an_attribute() {
    for url in ["store", "sqlite:store/sessions.db"] {
        let (plain, sealed): (&[&str], &[&str]) = (&[], &["--key-file", "keys"]);
        for arguments in [plain, sealed] {
            let place = Place::new();
            if url != "store" {
                fs::create_dir(place.path("store")).unwrap();
            }
            files_of(&place, url, arguments);
            let listed = place.run(&[&["list", url, "--user", USER][..], arguments].concat());
            let listed = String::from_utf8(listed.stdout).unwrap();
            assert_eq!(listed.matches(USER).count(), 1, "{listed}");
        }
    }
}

#[test]
fn the_commands_of_an_operator_open_a_sealed_store() {
    let place = Place::new();
    let demo = place.serve("store", &["--key-file", "keys"]);
    let mut browser = Browser::new();
    browser.get(&demo, "keep");
    log_in(&mut browser, &demo, USER);
    let (id, _) = browser.look(&demo);
    let shown = place.succeed(&["show", "store", &id, "--key-file", "keys"]);
    assert!(shown.contains(USER), "{shown}");
    let by_command = ["show", "store", &id, "--key-command", "cat keys"];
    assert_eq!(place.succeed(&by_command), shown);
    let mut by_variable = place.command(&["show", "store", &id]);
    let by_variable = by_variable.env("SESSION3_KEY_FILE", "keys").output();
    assert_eq!(
        String::from_utf8(by_variable.unwrap().stdout).unwrap(),
        shown
    );
    let checked = place.succeed(&["check", "store", "--key-file", "keys"]);
    assert!(checked.starts_with("1 sound, 0 damaged"), "{checked}");
    // Without the keys, the session is there and cannot be read.
    let listed = place.succeed(&["list", "store"]);
    assert!(listed.contains(&id) && !listed.contains(USER), "{listed}");
    let shown = place.succeed(&["show", "store", &id]);
    assert!(shown.contains("the session is sealed"), "{shown}");
    // Nor does a log-out need them.
    place.succeed(&["delete", "store", &id]);
    assert_eq!(browser.look(&demo).0, "None");
}

#[test]
fn a_key_file_that_others_can_use_is_refused() {
    let place = Place::new();
    let mode = |mode| fs::set_permissions(place.path("keys"), Permissions::from_mode(mode));
    for (bits, who) in [
        (0o604, "other users"),
        (0o602, "other users"),
        (0o620, "the users of its group"),
    ] {
        mode(bits).unwrap();
        let said = place.fail(&["list", "store", "--key-file", "keys"]);
        let expected = format!(
            "the key file keys: can be used by {who}, who could then read all sessions: run \
             chmod 600 on it"
        );
        assert!(said.contains(&expected), "{said}");
        let served = place.run(&["demo", "store", "--port", "0", "--key-file", "keys"]);
        let said = String::from_utf8(served.stderr).unwrap();
        assert!(said.contains(&expected), "{said}");
        place.fail(&["key", "new", "keys"]);
    }
    // The group of root's files may read them, as systemd and Kubernetes hand over secrets.
    let nobody = 65_534;
    mode(0o440).unwrap();
    assert!(place.succeed(&["key", "list", "keys"]).contains("seals"));
    chown(place.path("keys"), Some(nobody), None).unwrap();
    let said = place.fail(&["key", "list", "keys"]);
    assert!(said.contains("the users of its group"), "{said}");
    // root reads the files of the users of its services.
    mode(0o400).unwrap();
    place.succeed(&["key", "list", "keys"]);
}

#[test]
fn a_key_ring_that_cannot_be_used_is_named() {
    let place = Place::new();
    let written = fs::read_to_string(place.path("keys")).unwrap();
    let secret = written.split_whitespace().last().unwrap().to_owned();
    let cut = &written[..written.len() - 9];
    for (text, expected) in [
        ("", "exactly one line begins with `seal`, but 0 do"),
        (cut, "line 3: a key has 64 lower-case hexadecimal digits"),
    ] {
        fs::write(place.path("keys"), text).unwrap();
        let said = place.fail(&["list", "store", "--key-file", "keys"]);
        assert!(
            said.contains(&format!("the key file keys: {expected}")),
            "{said}"
        );
        assert!(!said.contains(&secret[..40]), "{said}");
    }
    let said = place.fail(&["list", "store", "--key-file", "missing"]);
    assert!(
        said.contains("the key file missing: cannot be read"),
        "{said}"
    );
    let said = place.fail(&["list", "store", "--key-command", "exit 3"]);
    assert!(
        said.contains("--key-command: has failed: exit status: 3"),
        "{said}"
    );
    let said = place.fail(&["list", "store", "--accept-plain"]);
    assert!(said.contains("--accept-plain has no effect"), "{said}");
    let said = place.fail(&["key", "rotate", "store"]);
    assert!(said.contains("name the key ring with --key-file"), "{said}");
}

/// Commands that write the ID of a process that has to be killed to a file.
const ENDLESS: [(&str, &str); 4] = [
    ("silent", "echo $$ > silent; sleep 1000; true"),
    ("printing", "echo $$ > printing; cat keys; sleep 1000; true"),
    (
        "closed",
        "echo $$ > closed; cat keys; exec >&-; sleep 1000; true",
    ),
    ("left", "sleep 1000 & echo $! > left; cat keys"),
];

#[test]
fn a_key_command_that_does_not_end_is_killed() {
    let place = Place::new();
    let is_running = |name: &str| {
        let id = fs::read_to_string(place.path(name)).unwrap();
        // A process that its parent has not waited for yet has an empty command line.
        let line = fs::read(format!("/proc/{}/cmdline", id.trim()));
        line.is_ok_and(|line| !line.is_empty())
    };
    thread::scope(|scope| {
        for (name, command) in ENDLESS {
            let (place, is_running) = (&place, &is_running);
            scope.spawn(move || {
                let said = place.fail(&["list", "store", "--key-command", command]);
                let expected = "--key-command: was stopped, because it had not ended after 10s";
                assert!(said.contains(expected), "{name}: {said}");
                wait_until(name, || !is_running(name));
            });
        }
    });
}

#[test]
fn a_key_command_that_prints_without_an_end_is_stopped() {
    let place = Place::new();
    let said = place.fail(&["list", "store", "--key-command", "yes"]);
    let expected = "--key-command: printed more than 65536 bytes, which is no key ring";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_new_ring_belongs_to_its_owner_alone_and_a_change_keeps_owner_and_mode() {
    let place = Place::new();
    let mode = || {
        fs::metadata(place.path("keys"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(), 0o600);
    fs::set_permissions(place.path("keys"), Permissions::from_mode(0o400)).unwrap();
    let first = place.keys();
    let said = place.succeed(&["key", "new", "keys", "--standby"]);
    assert_eq!((mode(), place.keys().len()), (0o400, 2), "{said}");
    let second = place.keys()[1].clone();
    let sealing = || {
        let listed = place.succeed(&["key", "list", "keys"]);
        let line = listed
            .lines()
            .find(|line| line.ends_with("  seals"))
            .unwrap();
        line[..8].to_owned()
    };
    assert_eq!(sealing(), first[0]);
    place.succeed(&["key", "use", "keys"]);
    assert_eq!(sealing(), second);
    let said = place.fail(&["key", "remove", "keys", &second]);
    assert!(said.contains("choose another one first"), "{said}");
    place.succeed(&["key", "remove", "keys", &first[0]]);
    assert_eq!(place.keys(), [second]);
}

#[test]
fn keys_rotate_while_visitors_use_the_site() {
    let place = Place::new();
    let arguments = ["--key-file", "keys"];
    let demo = place.serve("store", &arguments);
    let mut browsers: Vec<_> = (0..5).map(|_| Browser::new()).collect();
    for browser in &mut browsers {
        browser.get(&demo, "keep");
        log_in(browser, &demo, USER);
        browser.get(&demo, "increment");
    }
    place.succeed(&["key", "new", "keys"]);
    let [old, new] = &place.keys()[..] else {
        panic!("two keys");
    };
    place.reload(&demo, &format!("the key {new} seals"));
    browsers[0].get(&demo, "increment");
    let rotate = ["key", "rotate", "store", "--key-file", "keys"];
    let said = place.succeed(&rotate);
    assert_eq!(said, "sealed 4, unchanged 1, not sealed 0\n");
    assert_eq!(
        place.succeed(&rotate),
        "sealed 0, unchanged 5, not sealed 0\n"
    );
    place.succeed(&["key", "remove", "keys", old]);
    place.reload(&demo, &format!("the key {new} seals"));
    for (number, browser) in browsers.iter_mut().enumerate() {
        let counter = if number == 0 { 2 } else { 1 };
        assert_eq!(browser.look(&demo).1, counter);
        assert!(browser.get(&demo, "account").text.contains(USER));
    }
    let listed = place.succeed(&["list", "store", "--user", USER, "--key-file", "keys"]);
    assert_eq!(listed.matches(USER).count(), 5, "{listed}");
}

#[test]
fn a_dashboard_opens_sealed_sessions_and_reads_the_key_ring_again() {
    let place = Place::new();
    let demo = place.serve("store", &["--key-file", "keys"]);
    log_in(&mut Browser::new(), &demo, USER);
    let mut command = place.command(&["dashboard", "store", "--key-file", "keys"]);
    let (dashboard, link) = dashboard::run(command.stdin(Stdio::null()).stderr(place.log()));
    let mut operator = Browser::new();
    assert_eq!(operator.get(&dashboard, &link).status, 200);
    assert!(operator.get(&dashboard, "sessions").text.contains(USER));

    place.succeed(&["key", "new", "keys"]);
    let reloaded = format!("the key {} seals", place.keys()[1]);
    place.reload(&demo, &reloaded);
    log_in(&mut Browser::new(), &demo, "Another Unmistakable");
    let page = operator.get(&dashboard, "sessions");
    assert!(!page.text.contains("Another Unmistakable"), "{}", page.text);
    place.reload(&dashboard, &reloaded);
    let page = operator.get(&dashboard, "sessions");
    assert!(page.text.contains("Another Unmistakable"), "{}", page.text);
    assert!(page.text.contains(USER), "{}", page.text);
}

#[test]
fn a_key_that_is_gone_logs_nobody_out() {
    let place = Place::new();
    let arguments = ["--key-file", "keys"];
    let demo = place.serve("store", &arguments);
    let mut browser = Browser::new();
    browser.get(&demo, "keep");
    browser.get(&demo, "increment");
    let (id, _) = browser.look(&demo);
    let saved = place.path("saved");
    fs::copy(place.path("keys"), &saved).unwrap();
    place.succeed(&["key", "new", "keys"]);
    let gone = place.keys()[0].clone();
    place.succeed(&["key", "remove", "keys", &gone]);
    place.reload(&demo, "the key ring was loaded anew");
    let page = browser.get(&demo, "");
    assert_eq!((page.status, page.set_cookie), (503, None), "{}", page.text);
    let why = format!("the key {gone}, which sealed the session, is not in the key ring");
    wait_until("the log to name the key", || {
        fs::read_to_string(place.path("log"))
            .unwrap()
            .contains(&why)
    });
    let checked = place.run(&["check", "store", "--key-file", "keys"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains(&format!("unreadable: {id}: {why}")), "{said}");
    assert_eq!(checked.status.code(), Some(1));
    let rotated = place.run(&["key", "rotate", "store", "--key-file", "keys"]);
    assert!(String::from_utf8(rotated.stderr).unwrap().contains(&why));
    // A ring that cannot be read changes nothing.
    fs::write(place.path("keys"), "nonsense").unwrap();
    place.reload(&demo, "the key ring was not loaded anew");
    fs::copy(saved, place.path("keys")).unwrap();
    place.reload(&demo, &format!("the key {gone} seals"));
    assert_eq!(browser.look(&demo), (id, 1));
}

#[test]
fn a_site_moves_from_plain_to_sealed_and_back() {
    let place = Place::new();
    let mut browsers: Vec<_> = (0..3).map(|_| Browser::new()).collect();
    let mut visit = |demo: &Demo, count| {
        for browser in &mut browsers {
            match count {
                1 => {
                    browser.get(demo, "keep");
                    log_in(browser, demo, USER);
                }
                _ => assert_eq!(browser.look(demo).1, count - 1),
            }
            browser.get(demo, "increment");
        }
    };
    let demo = place.serve("store", &[]);
    visit(&demo, 1);
    demo.stop();

    // Without permission, a plain session cannot be opened, and no user is logged out.
    let keys = ["--key-file", "keys"];
    let checked = place.run(&["check", "store", "--key-file", "keys"]);
    assert_eq!(checked.status.code(), Some(1));
    let demo = place.serve("store", &["--key-file", "keys", "--accept-plain"]);
    visit(&demo, 2);
    let moved = [&["store"][..], &keys, &["--accept-plain"]].concat();
    place.succeed(&[&["check"][..], &moved[..]].concat());
    let sealed = place.succeed(&[&["key", "rotate"][..], &moved[..]].concat());
    assert_eq!(sealed, "sealed 0, unchanged 3, not sealed 0\n");
    demo.stop();
    let demo = place.serve("store", &keys);
    visit(&demo, 3);
    demo.stop();

    let copied = place.succeed(&["copy", "store", "plain", "--from-key-file", "keys"]);
    assert!(copied.starts_with("copied 3"), "{copied}");
    let demo = place.serve("plain", &[]);
    visit(&demo, 4);
    demo.stop();
    assert!(contain(&all_files(&place.path("plain")), "counter"));

    // Sealed sessions move as they are, and a copy can seal.
    let copied = place.succeed(&["copy", "store", "sqlite:moved.db"]);
    assert!(copied.starts_with("copied 3"), "{copied}");
    let copied = place.succeed(&["copy", "plain", "again", "--to-key-file", "keys"]);
    assert!(copied.starts_with("copied 3"), "{copied}");
    for store in ["sqlite:moved.db", "again"] {
        let checked = place.succeed(&["check", store, "--key-file", "keys"]);
        assert!(checked.starts_with("3 sound, 0 damaged"), "{checked}");
    }
}

#[test]
fn a_rotation_seals_what_is_plain_and_says_what_is_left() {
    let place = Place::new();
    let demo = place.serve("store", &[]);
    let mut browser = Browser::new();
    browser.get(&demo, "keep");
    browser.get(&demo, "increment");
    demo.stop();
    let plain = ["check", "store", "--key-file", "keys", "--accept-plain"];
    let said = place.succeed(&plain);
    assert!(said.contains(", 1 not sealed"), "{said}");
    let rotated = place.run(&["key", "rotate", "store", "--key-file", "keys"]);
    assert_eq!(rotated.status.code(), Some(1), "{rotated:?}");
    let refused = place.serve("store", &["--key-file", "keys"]);
    let page = browser.get(&refused, "");
    assert_eq!((page.status, page.set_cookie), (503, None));
    refused.stop();
    let rotate = [
        "key",
        "rotate",
        "store",
        "--key-file",
        "keys",
        "--accept-plain",
    ];
    assert_eq!(
        place.succeed(&rotate),
        "sealed 1, unchanged 0, not sealed 0\n"
    );
    let said = place.succeed(&["check", "store", "--key-file", "keys"]);
    assert!(!said.contains("not sealed"), "{said}");
    let demo = place.serve("store", &["--key-file", "keys"]);
    assert_eq!(browser.look(&demo).1, 1);
}

/// A server that has lost its option must not take a sealed session for a damaged one.
#[test]
fn a_server_without_the_keys_logs_nobody_out() {
    let place = Place::new();
    let demo = place.serve("store", &["--key-file", "keys"]);
    let mut browser = Browser::new();
    browser.get(&demo, "keep");
    demo.stop();
    let demo = place.serve("store", &[]);
    let page = browser.get(&demo, "");
    assert_eq!((page.status, page.set_cookie), (503, None), "{}", page.text);
}

#[test]
fn a_key_ring_without_a_store_is_refused() {
    let place = Place::new();
    fs::write(place.path("a.wasm"), "").unwrap();
    fs::write(place.path("s.wasm"), "").unwrap();
    let said = place.fail(&[
        "serve",
        "a.wasm",
        "--store-component",
        "s.wasm",
        "--key-file",
        "keys",
    ]);
    assert!(
        said.contains("a key ring seals the sessions of --store"),
        "{said}"
    );
}

#[test]
fn a_second_key_leaves_the_first_one() {
    let place = Place::new();
    let first = place.keys();
    place.succeed(&["key", "new", "keys"]);
    assert_eq!(place.keys()[..1], first);
    assert!(!place.path("keys.new").exists());
}
