//! The operators' commands, run with the real program on real stores.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use fs2::FileExt as _;
use serde_json::{Value, json};
use session3_store::{Clock, Maintenance, SessionId, SessionState, SessionStore, SystemClock};
use session3_store_directory::{DirectoryStore, Options};
use tempfile::TempDir;

use session3_test_program::clock::speed_up;
use session3_test_program::{Browser, Demo, session3};
use session3_test_support::{block_on, files, id, record_in};

/// 2023-11-14T22:13:20.123Z.
const NOW: u64 = 1_700_000_000_123;
const NEVER: u64 = u64::MAX;
const SLOT: u64 = 512;
/// The problem that is reported for the data of these tests, which no manager wrote: their
/// first byte is higher than the version of the manager's encoding.
const NO_CONTENT: &str = "a newer manager wrote the session: use that one";
const COMMANDS: [&str; 21] = [
    "demo",
    "dev",
    "new",
    "encode",
    "list",
    "show",
    "delete",
    "prune",
    "copy",
    "check",
    "stats",
    "key",
    "dashboard",
    "top",
    "completions",
    "man",
    "serve",
    "component",
    "compose",
    "compile",
    "wit",
];

/// A directory of sessions.
struct Store {
    directory: TempDir,
}

/// The exit status and the output of a command.
#[derive(Debug, PartialEq)]
struct Said {
    status: i32,
    out: String,
    err: String,
}

impl Store {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn file(&self, number: u128) -> PathBuf {
        record_in(self.path(), &id(number))
    }

    fn create(&self, number: u128, user: Option<&str>, expires: u64, data: &str) {
        self.create_at(NOW, number, user, expires, data);
    }

    fn create_at(&self, now: u64, number: u128, user: Option<&str>, expires: u64, data: &str) {
        let store = self.open(now);
        let state = SessionState {
            user: user.map(str::to_owned),
            expires,
            data: data.into(),
        };
        block_on(store.create_session(&id(number), &state)).unwrap();
    }

    fn open(&self, now: u64) -> DirectoryStore {
        DirectoryStore::open(self.path(), Options::default().clock(move || now)).unwrap()
    }

    /// Damages a session that was saved once, by inverting a byte of its only slot.
    fn damage(&self, number: u128) {
        let file = open_file(&self.file(number));
        let mut byte = [0];
        file.read_exact_at(&mut byte, SLOT + 9).unwrap();
        file.write_all_at(&[!byte[0]], SLOT + 9).unwrap();
    }

    fn ids(&self) -> Vec<SessionId> {
        let page = block_on(self.open(NOW).iter_sessions(None, 10_000)).unwrap();
        assert_eq!((page.damaged, page.next), (vec![], None));
        page.sessions.iter().map(|session| session.id).collect()
    }

    /// Returns the path of a session's entry in the index by user.
    fn entry(&self, number: u128) -> PathBuf {
        let end = format!(".{}", id(number));
        let entries = files(&self.path().join("users")).into_iter();
        let mut entries = entries.filter(|path| path.to_str().unwrap().ends_with(&end));
        entries.next().unwrap()
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut program = session3();
        program.arg(command).arg(self.path()).args(arguments);
        program
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Said {
        run(&mut self.command(command, arguments))
    }
}

fn run(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Said {
        status: output
            .status
            .code()
            .expect("no signal should end the command"),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn fine(out: impl Into<String>) -> Said {
    Said {
        status: 0,
        out: out.into(),
        err: String::new(),
    }
}

/// Returns the output of a command that fails with one line on standard error.
fn failed(err: &str) -> Said {
    Said {
        status: 1,
        out: String::new(),
        err: format!("session3: {err}\n"),
    }
}

fn open_file(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options.open(path).unwrap()
}

fn json_lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap();
    text.lines().map(parse).collect()
}

#[test]
fn a_list_is_a_table() {
    let store = Store::new();
    store.create(1, None, 1_700_000_060_999, "");
    store.create(2, Some("a long name"), NEVER, &"x".repeat(2037));
    let first = "00000000000000000000000000000001";
    let second = "00000000000000000000000000000002";
    let expected = format!(
        "ID                                USER         VERSION  MODIFIED              EXPIRES                     SIZE\n\
         {first}  -                  1  2023-11-14T22:13:20Z  2023-11-14T22:14:20Z         0 B\n\
         {second}  a long name        1  2023-11-14T22:13:20Z  9999-12-30T22:00:00Z    2.00 KiB\n"
    );
    assert_eq!(store.run("list", &[]), fine(expected));
}

#[test]
fn an_empty_store_is_an_empty_table() {
    let store = Store::new();
    for arguments in [&[][..], &["--user", "alice"]] {
        let said = store.run("list", arguments);
        assert_eq!((said.status, said.out.lines().count()), (0, 1), "{said:?}");
    }
    assert_eq!(store.run("list", &["--json"]), fine(""));
}

#[test]
fn a_list_in_json_has_one_object_per_line() {
    let store = Store::new();
    store.create(1, None, 1_700_000_060_999, "abc");
    store.create(2, Some("alice"), NEVER, "");
    let said = store.run("list", &["--json"]);
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    let expected = [
        json!({
            "id": "00000000000000000000000000000001",
            "user": null,
            "version": 1,
            "modified": "2023-11-14T22:13:20.123Z",
            "expires": "2023-11-14T22:14:20.999Z",
            "size": 3,
            "problem": NO_CONTENT,
        }),
        json!({
            "id": "00000000000000000000000000000002",
            "user": "alice",
            "version": 1,
            "modified": "2023-11-14T22:13:20.123Z",
            "expires": "9999-12-30T22:00:00.999Z",
            "size": 5,
            "problem": "the state is empty",
        }),
    ];
    assert_eq!(json_lines(&said.out), expected);
}

#[test]
fn a_list_over_many_pages_has_every_session_once() {
    let store = Store::new();
    let opened = store.open(NOW);
    let mut expected: Vec<_> = (0..2500).map(|number| id(number << 110)).collect();
    block_on(async {
        for id in &expected {
            let state = SessionState::default();
            opened.create_session(id, &state).await.unwrap();
        }
    });
    expected.sort();
    let said = store.run("list", &[]);
    let mut lines = said.out.lines();
    assert!(lines.next().unwrap().starts_with("ID "));
    let listed: Vec<SessionId> = lines.map(|line| line[..32].parse().unwrap()).collect();
    assert_eq!((said.status, listed), (0, expected));
}

#[test]
fn the_sessions_of_a_user_are_those_and_no_others() {
    let store = Store::new();
    store.create(1, Some("alice"), NEVER, "");
    store.create(2, Some("bob"), NEVER, "");
    store.create(3, Some("alice"), NEVER, "");
    store.create(4, None, NEVER, "");
    store.create(5, Some("alice"), NEVER, "");
    fs::remove_file(store.file(5)).unwrap();
    let listed = |user| {
        let said = store.run("list", &["--json", "--user", user]);
        assert_eq!((said.status, said.err.as_str()), (0, ""));
        let lines = json_lines(&said.out);
        let id_of = |line: &Value| line["id"].as_str().unwrap().parse().unwrap();
        lines.iter().map(id_of).collect::<Vec<SessionId>>()
    };
    assert_eq!(listed("alice"), [id(1), id(3)]);
    assert_eq!(listed("bob"), [id(2)]);
    assert!(listed("").is_empty());
    assert!(listed("../users").is_empty());
}

/// `list --user` leaves out a damaged record, since its user cannot be read; `check` fails.
#[test]
fn a_damaged_session_is_no_users() {
    let store = Store::new();
    store.create(1, Some("alice"), NEVER, "");
    store.create(2, Some("alice"), NEVER, "");
    store.damage(1);
    let said = store.run("list", &["--json", "--user", "alice"]);
    assert_eq!((said.status, said.err.as_str()), (0, ""), "{said:?}");
    assert_eq!(json_lines(&said.out).len(), 1);
    assert_eq!(store.run("check", &[]).status, 1);
}

#[test]
fn a_damaged_session_is_one_line_beside_the_list() {
    let store = Store::new();
    store.create(1, None, NEVER, "");
    store.create(2, None, NEVER, "");
    store.create(3, None, NEVER, "");
    store.damage(2);
    let said = store.run("list", &["--json"]);
    assert_eq!(said.status, 1);
    assert_eq!(json_lines(&said.out).len(), 2);
    let expected = failed(&format!(
        "{}: the record is damaged: neither of its two slots is whole",
        id(2)
    ));
    assert_eq!(said.err, expected.err);
}

/// Control characters and right-to-left text in a user's name are escaped in all output.
#[test]
fn no_name_of_a_user_reaches_the_terminal_as_a_command() {
    let names = [
        "\u{1b}[31mred",
        "a\nb\r\tc",
        "\u{9b}2J",
        "\u{202e}drowssap",
        "\u{7f}\u{0}\u{200b}",
    ];
    for name in names {
        let store = Store::new();
        store.create(1, Some(name), NEVER, "");
        let id = id(1).to_string();
        for (command, arguments, lines) in [
            ("list", vec![], 2),
            ("list", vec!["--json"], 1),
            ("show", vec![id.as_str()], 7),
            ("show", vec![&id, "--json"], 1),
        ] {
            let said = store.run(command, &arguments);
            let is_plain = |c: char| c == '\n' || c.is_ascii_graphic() || c == ' ';
            assert!(said.out.chars().all(is_plain), "{said:?}");
            assert_eq!(said.out.lines().count(), lines, "{said:?}");
            if arguments.contains(&"--json") {
                assert_eq!(json_lines(&said.out)[0]["user"], name);
            }
        }
    }
}

#[test]
fn a_long_name_is_cut_in_the_table_only() {
    let store = Store::new();
    let name = "ü".repeat(1000);
    store.create(1, Some(&name), NEVER, "");
    let table = store.run("list", &[]).out;
    assert!(
        table.contains(&format!("  {}…  ", "ü".repeat(63))),
        "{table}"
    );
    assert!(store.run("list", &["--json"]).out.contains(&name));
    assert!(store.run("show", &[&id(1).to_string()]).out.contains(&name));
}

#[test]
fn a_session_that_the_manager_did_not_write_is_shown_without_its_data() {
    let store = Store::new();
    let now = SystemClock.now();
    let text = id(1).to_string();
    store.create_at(now - 185_000, 1, Some("alice"), now + 630_000, "PRIVATE");
    let said = store.run("show", &[&text]);
    let lines: Vec<_> = said.out.lines().collect();
    assert_eq!(lines.len(), 7, "{said:?}");
    assert_eq!(lines[0], format!("ID        {text}"));
    assert_eq!(lines[1], "User      alice");
    assert_eq!(lines[2], "Version   1");
    let is_time = |line: &str, name, distance| {
        let (time, rest) = line.split_once(" (").unwrap();
        time.strip_prefix(name)
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap();
        assert_eq!(rest, distance);
    };
    is_time(lines[3], "Modified  ", "3 minutes ago)");
    is_time(lines[4], "Expires   ", "in 10 minutes)");
    assert_eq!(lines[5], "Size      12 bytes");
    assert_eq!(lines[6], format!("Content   cannot be read: {NO_CONTENT}"));
    let in_json = store.run("show", &[&text, "--json"]);
    assert_eq!(in_json, store.run("list", &["--json"]));
    for said in [said, in_json] {
        assert_eq!((said.status, said.err.as_str()), (0, ""));
        assert!(!said.out.contains("PRIVATE"));
    }
}

/// `show` fails with one line if the session is absent or damaged.
#[test]
fn a_session_that_cannot_be_shown_is_one_line() {
    let store = Store::new();
    let text = id(1).to_string();
    let absent = failed(&format!("{text}: there is no such session"));
    assert_eq!(store.run("show", &[&text]), absent);
    assert_eq!(store.run("show", &[&text, "--json"]), absent);
    store.create(1, None, NEVER, "");
    store.damage(1);
    let damaged = "the record is damaged: neither of its two slots is whole";
    let damaged = failed(&format!("{text}: {damaged}"));
    assert_eq!(store.run("show", &[&text]), damaged);
}

#[test]
fn sessions_are_deleted_and_those_that_were_not_there_are_fine() {
    let store = Store::new();
    for number in 1..=3 {
        store.create(number, Some("alice"), NEVER, "");
    }
    let ids = [1, 9, 3, 1].map(|number| id(number).to_string());
    let [one, nine, three, _] = &ids;
    let said = store.run("delete", &ids.each_ref().map(String::as_str));
    let expected = format!(
        "{one}: deleted\n{nine}: there was no such session\n{three}: deleted\n\
         {one}: there was no such session\n"
    );
    assert_eq!(said, fine(expected));
    assert_eq!(store.ids(), [id(2)]);
    let remaining = block_on(store.open(NOW).sessions_of_user("alice")).unwrap();
    assert_eq!(remaining, [id(2)]);
    let entries = files(&store.path().join("users"));
    assert_eq!(entries.len(), 1, "the index has no surplus entry");
}

#[test]
fn one_wrong_id_and_nothing_is_deleted() {
    let store = Store::new();
    store.create(0xabc, None, NEVER, "");
    let good = id(0xabc).to_string();
    for wrong in ["", "../x", &good.to_uppercase(), &good[1..], "/dev/null"] {
        let wanted = failed(&format!(
            "\"{wrong}\": a session ID has 32 lower-case hexadecimal digits"
        ));
        assert_eq!(store.run("delete", &[&good, wrong]), wanted);
        assert_eq!(store.run("show", &[wrong]), wanted);
    }
    assert_eq!(store.ids(), [id(0xabc)]);
}

#[test]
fn what_cannot_be_deleted_fails_and_the_others_go() {
    let store = Store::new();
    for number in 1..=3 {
        store.create(number, None, NEVER, "");
    }
    fs::remove_file(store.file(2)).unwrap();
    fs::create_dir(store.file(2)).unwrap();
    let ids = [1, 2, 3].map(|number| id(number).to_string());
    let said = store.run("delete", &ids.each_ref().map(String::as_str));
    assert_eq!(said.status, 1);
    assert_eq!(
        said.out,
        format!("{}: deleted\n{}: deleted\n", ids[0], ids[2])
    );
    let how = format!(
        "{}: the record is damaged: it is not a regular file",
        ids[1]
    );
    assert_eq!(said.err, failed(&how).err);
    assert!(!store.file(1).exists() && !store.file(3).exists());
}

/// Creates five sessions, of which `prune --minutes 60` deletes three and keeps two.
fn store_to_prune() -> Store {
    let store = Store::new();
    let now = SystemClock.now();
    let minutes = |minutes: u64| minutes * 60_000;
    store.create_at(now - minutes(61), 1, Some("alice"), NEVER, "");
    store.create_at(now - minutes(59), 2, Some("alice"), NEVER, "");
    store.create_at(now, 3, None, now - 1, "");
    store.create_at(now, 4, None, now + minutes(60), "");
    store.create_at(now - minutes(6000), 0xff << 120, None, NEVER, "");
    store
}

fn bytes(store: &Store) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
    let mut files: Vec<_> = files(store.path()).into_iter().map(read).collect();
    files.sort();
    files
}

#[test]
fn prune_deletes_what_is_old_and_a_dry_run_says_how_many() {
    let store = store_to_prune();
    let before = bytes(&store);
    let dry = store.run("prune", &["--minutes", "60", "--dry-run"]);
    assert_eq!(dry, fine("would delete 3, remaining 2\n"));
    assert_eq!(
        bytes(&store),
        before,
        "a dry run changes and creates no file"
    );
    let said = store.run("prune", &["--minutes", "60"]);
    assert_eq!(said, fine("deleted 3, remaining 2\n"));
    assert_eq!(store.ids(), [id(2), id(4)]);
    let said = store.run("prune", &["--minutes", &u32::MAX.to_string()]);
    assert_eq!(said, fine("deleted 0, remaining 2\n"));
    let said = store.run("prune", &["--minutes", "58"]);
    assert_eq!(said, fine("deleted 1, remaining 1\n"));
}

#[test]
fn prune_without_minutes_deletes_only_what_has_expired_and_0_deletes_all() {
    let store = store_to_prune();
    let dry = store.run("prune", &["--dry-run"]);
    assert_eq!(dry, fine("would delete 1 that had expired, remaining 4\n"));
    let said = store.run("prune", &[]);
    assert_eq!(said, fine("deleted 1 that had expired, remaining 4\n"));
    assert!(!store.ids().contains(&id(3)));
    let said = store.run("prune", &["--minutes", "0"]);
    assert_eq!(
        said,
        fine("deleted 4 that had expired or not, remaining 0\n")
    );
}

/// `prune` looks at the whole store, also where the previous sweep stopped at its time limit.
#[test]
fn prune_looks_at_every_session_although_a_sweep_stopped_half_way() {
    let enough_for_one_file = Duration::ZERO;
    let store = store_to_prune();
    let opened = store.open(SystemClock.now());
    let sweep = opened.delete_old_sessions(u32::MAX, Some(enough_for_one_file));
    assert!(!block_on(sweep).unwrap().complete);
    assert_eq!(block_on(opened.has_unfinished_sweep()), Ok(true));
    let said = store.run("prune", &["--minutes", "60"]);
    assert_eq!(said, fine("deleted 3, remaining 2\n"));
    assert_eq!(block_on(opened.has_unfinished_sweep()), Ok(false));
    assert_eq!(store.ids(), [id(2), id(4)]);
    // A sweep may also have stopped in the index by user.
    fs::write(store.path().join("sweep.lock"), format!("users {:<26}", 7)).unwrap();
    assert_eq!(block_on(opened.has_unfinished_sweep()), Ok(true));
    let said = store.run("prune", &["--minutes", "58"]);
    assert_eq!(said, fine("deleted 1, remaining 1\n"));
}

#[test]
fn while_another_sweep_is_under_way_prune_fails_in_one_line() {
    let store = store_to_prune();
    let sweep = File::create(store.path().join("sweep.lock")).unwrap();
    sweep.lock_exclusive().unwrap();
    let said = store.run("prune", &["--minutes", "60"]);
    let expected = "another sweep of this store is under way: try again later";
    assert_eq!(said, failed(expected));
    assert_eq!(store.ids().len(), 5);
    let dry = store.run("prune", &["--minutes", "60", "--dry-run"]);
    assert_eq!(dry, fine("would delete 3, remaining 2\n"));
}

#[test]
fn prune_leaves_a_damaged_session_and_says_so_without_colours() {
    let store = store_to_prune();
    store.damage(1);
    let dry = store.run("prune", &["--minutes", "60", "--dry-run"]);
    assert_eq!(dry, fine("would delete 2, remaining 3\n"));
    let said = store.run("prune", &["--minutes", "60"]);
    assert_eq!(
        (said.status, said.out.as_str()),
        (0, "deleted 2, remaining 3\n")
    );
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
    assert!(said.err.contains(&id(1).to_string()) && !said.err.contains('\u{1b}'));
    assert!(store.file(1).exists());
}

#[test]
fn a_sound_store_has_no_findings() {
    let store = Store::new();
    store.create(1, Some("alice"), NEVER, "");
    store.create(2, None, NEVER, "");
    let sum = "2 sound, 0 damaged, 0 foreign, 0 leftover, 0 surplus, 0 missing\n";
    assert_eq!(store.run("check", &[]), fine(sum));
}

#[test]
fn check_names_what_does_no_harm_and_is_fine() {
    let store = Store::new();
    store.create(1, Some("alice"), NEVER, "");
    store.create(2, Some("alice"), NEVER, "");
    let surplus = store.entry(2);
    fs::remove_file(store.file(2)).unwrap();
    File::create(store.file(3)).unwrap();
    fs::write(store.path().join("notes\n\u{1b}[31m"), "").unwrap();
    let entry = surplus
        .strip_prefix(store.path())
        .unwrap()
        .to_str()
        .unwrap();
    let expected = |removed| {
        format!(
            "foreign: notes\\n\\u{{1b}}[31m\nleftover: {}\nsurplus: {entry}{removed}\n\
             1 sound, 0 damaged, 1 foreign, 1 leftover, 1 surplus, 0 missing\n",
            id(3)
        )
    };
    assert_eq!(store.run("check", &[]), fine(expected("")));
    assert!(surplus.exists());
    assert_eq!(
        store.run("check", &["--repair"]),
        fine(expected(", removed"))
    );
    assert!(!surplus.exists());
    let said = store.run("check", &[]);
    assert!(
        said.out
            .ends_with("1 foreign, 1 leftover, 0 surplus, 0 missing\n")
    );
    assert!(store.path().join("notes\n\u{1b}[31m").exists());
}

#[test]
fn check_fails_when_a_session_is_damaged_and_repairs_none() {
    let store = Store::new();
    store.create(1, Some("alice"), NEVER, "");
    store.create(2, None, NEVER, "");
    store.damage(1);
    let before = fs::read(store.file(1)).unwrap();
    for arguments in [&[][..], &["--repair"]] {
        let expected = Said {
            status: 1,
            out: format!(
                "damaged: {}: the record is damaged: neither of its two slots is whole\n\
                 1 sound, 1 damaged, 0 foreign, 0 leftover, 0 surplus, 0 missing\n",
                id(1)
            ),
            err: String::new(),
        };
        assert_eq!(store.run("check", arguments), expected);
        assert_eq!(fs::read(store.file(1)).unwrap(), before);
    }
}

#[test]
fn check_fails_when_it_cannot_look_at_something() {
    let store = Store::new();
    store.create(1, Some("alice"), NEVER, "");
    let entry = store.entry(1).with_extension(id(2).to_string());
    fs::create_dir(&entry).unwrap();
    let name = entry.strip_prefix(store.path()).unwrap().display();
    let said = store.run("check", &[]);
    let expected = format!(
        "unreadable: {name}: the record is damaged: it is not a regular file\n\
         1 sound, 0 damaged, 0 foreign, 0 leftover, 0 surplus, 0 missing, 1 unreadable\n"
    );
    assert_eq!((said.status, said.out), (1, expected));
}

#[test]
fn check_names_a_file_that_the_owner_of_the_store_may_not_read() {
    let store = Store::new();
    for number in [1, 2] {
        store.create(number, None, NEVER, "");
    }
    fs::set_permissions(store.file(1), Permissions::from_mode(0o000)).unwrap();
    // For root as the owner, every file can be read.
    let is_root = fs::metadata(store.path()).unwrap().uid() == 0;
    if is_root {
        chown(store.path(), Some(4711), None).unwrap();
        chown(store.file(2), Some(4711), None).unwrap();
    }
    let said = store.run("check", &[]);
    let file = store.file(1);
    let name = file.strip_prefix(store.path()).unwrap().display();
    assert_eq!(said.status, 1);
    assert!(
        said.out.contains(&format!("inaccessible: {name}: ")),
        "{}",
        said.out
    );
    assert!(
        said.out.trim_end().ends_with(" inaccessible"),
        "{}",
        said.out
    );
}

#[test]
fn check_fails_when_the_index_misses_a_session_until_it_is_repaired() {
    let store = Store::new();
    store.create(1, Some("alice"), NEVER, "");
    fs::remove_file(store.entry(1)).unwrap();
    let expected = |status, added| Said {
        status,
        out: format!(
            "missing: {}{added}\n\
             1 sound, 0 damaged, 0 foreign, 0 leftover, 0 surplus, 1 missing\n",
            id(1)
        ),
        err: String::new(),
    };
    assert_eq!(store.run("check", &[]), expected(1, ""));
    assert_eq!(store.run("check", &["--repair"]), expected(0, ", added"));
    let sum = "1 sound, 0 damaged, 0 foreign, 0 leftover, 0 surplus, 0 missing\n";
    assert_eq!(store.run("check", &[]), fine(sum));
    let found = block_on(store.open(NOW).sessions_of_user("alice"));
    assert_eq!(found, Ok(vec![id(1)]));
}

#[test]
fn stats_count_by_age_and_size() {
    const HOUR: u64 = 3_600_000;
    let store = Store::new();
    let now = SystemClock.now();
    for number in 0..4 {
        store.create_at(now - HOUR / 2, number, Some("alice"), NEVER, "");
    }
    store.create_at(now - 30 * HOUR, 4, None, now - 1, &"x".repeat(300));
    store.create_at(now - 999 * HOUR, 5, None, NEVER, &"x".repeat(1 << 20));
    store.create(6, None, NEVER, "");
    store.damage(6);
    let (full, half, quarter) = ("█".repeat(40), "█".repeat(20), "█".repeat(10));
    assert_eq!(half.len(), 2 * quarter.len());
    let expected = format!(
        "Sessions                    6
with a user                 4
without                     2
expired                     1
damaged                     1
Bytes               1,048,896  1.00 MiB

Last used
under a minute              0
under an hour               4  {full}
under a day                 0
under a week                1  {quarter}
under 30 days               0
longer ago                  1  {quarter}

Size
under 256 B                 4  {full}
under 1 KiB                 1  {quarter}
under 4 KiB                 0
under 64 KiB                0
under 1 MiB                 0
larger                      1  {quarter}
"
    );
    assert_eq!(store.run("stats", &[]), fine(expected));
}

/// `check` works for a user who may read the files but does not own them. The kernel refuses
/// such a user to open them with `O_NOATIME`.
#[test]
fn whoever_may_read_somebody_elses_store_can_look_at_it() {
    const NOBODY: u32 = 65534;
    let store = Store::new();
    store.create(1, None, NEVER, "a");
    let file = store.file(1);
    for directory in [store.path(), file.parent().unwrap()] {
        fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let mut command = store.command("check", &[]);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY);
    }
    let said = run(&mut command);
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    assert!(said.out.starts_with("1 sound, 0 damaged"), "{}", said.out);
}

/// Files that root creates in a store, for example from its crontab, belong to the owner of the
/// store, so that an unprivileged server can write them.
#[test]
fn what_root_makes_in_a_store_is_its_owners() {
    let store = Store::new();
    // Without root, the test passes in any case: all files belong to the current user.
    let is_root = rustix::process::geteuid().is_root();
    let mine = fs::metadata(store.path()).unwrap();
    let owner = if is_root {
        (4711, 4712)
    } else {
        (mine.uid(), mine.gid())
    };
    if is_root {
        chown(store.path(), Some(owner.0), Some(owner.1)).unwrap();
    }
    // `check --repair` adds the missing entry of a session. `prune` creates a file to lock while
    // it removes the surplus entry of an absent session.
    store.create(1, Some("alice"), NEVER, "a");
    fs::remove_file(store.entry(1)).unwrap();
    fs::remove_dir_all(store.path().join("users")).unwrap();
    assert_eq!(store.run("check", &["--repair"]).status, 0);
    let surplus = store.entry(1).with_extension(id(9 << 120).to_string());
    fs::write(&surplus, "").unwrap();
    assert_eq!(store.run("prune", &["--minutes", "4000000000"]).status, 0);
    assert!(!surplus.exists());
    let mut made = files(store.path());
    made.extend(["00", "09", "users"].map(|name| store.path().join(name)));
    made.push(store.entry(1).parent().unwrap().to_owned());
    made.push(store.path().join("sweep.lock"));
    for path in made {
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid()), owner, "{path:?}");
    }
}

#[test]
fn no_command_makes_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let file = directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    let id = id(1).to_string();
    let commands: [(&str, &[&str]); 6] = [
        ("list", &[]),
        ("show", &[&id]),
        ("delete", &[&id]),
        ("prune", &["--minutes", "1"]),
        ("check", &["--repair"]),
        ("stats", &[]),
    ];
    for (command, arguments) in commands {
        let say = |path: &Path| run(session3().arg(command).arg(path).args(arguments));
        let said = say(&missing);
        let path = missing.display();
        let expected = format!("{path}: there is no such directory; name one that has sessions");
        assert_eq!(said, failed(&expected));
        assert!(!missing.exists());
        let said = say(&file);
        let path = file.display();
        let expected = format!("{path}: not a directory; name another one for the sessions");
        assert_eq!(said, failed(&expected));
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_path_that_a_terminal_would_obey_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("no\n\u{1b}[2J such");
    let said = run(session3().arg("list").arg(path));
    assert_eq!((said.status, said.err.lines().count()), (1, 1), "{said:?}");
    assert!(said.err.contains("/no\\n\\u{1b}[2J such"), "{said:?}");
}

#[test]
fn wrong_arguments_are_status_2_and_change_nothing() {
    let store = store_to_prune();
    let wrong: [(&str, &[&str]); 10] = [
        ("prune", &["--minutes", "-1"]),
        ("prune", &["--minutes=-1"]),
        ("prune", &["--minutes", "4294967296"]),
        ("prune", &["--minutes", "1.5"]),
        ("prune", &["--minutes", ""]),
        ("delete", &[]),
        ("show", &[]),
        ("list", &["--user"]),
        ("check", &["--fix"]),
        ("stats", &["--json"]),
    ];
    for (command, arguments) in wrong {
        let said = store.run(command, arguments);
        assert_eq!((said.status, said.out.as_str()), (2, ""), "{said:?}");
        assert!(said.err.contains("--help"), "{said:?}");
    }
    assert_eq!(store.ids().len(), 5);
    let wrong = [
        &["completions"][..],
        &["completions", "tcsh"],
        &["demo", "d", "--durability", "none"],
        &["demo", "d", "--lock-timeout", "-1"],
    ];
    for arguments in wrong {
        assert_eq!(run(session3().args(arguments)).status, 2, "{arguments:?}");
    }
}

/// `list` ends with status 0 if the reader closes the pipe before the output is complete.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    const MANY: u128 = 3000;
    let store = Store::new();
    let opened = store.open(NOW);
    let user = Some("a user with a name of some length".repeat(2));
    let state = SessionState {
        user,
        ..SessionState::default()
    };
    block_on(async {
        for number in 0..MANY {
            opened.create_session(&id(number), &state).await.unwrap();
        }
    });
    for arguments in [&[][..], &["--json"]] {
        let mut command = store.command("list", arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        drop(reader);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
    }
}

/// A closed pipe as standard error, as with `2>&1 | head -1`, does not change what a command
/// does or its status.
#[test]
fn a_closed_standard_error_stops_nothing() {
    let store = store_to_prune();
    store.damage(1);
    for (command, arguments, expected) in [
        ("list", &[][..], 1),
        ("show", &["x"], 1),
        ("prune", &["--minutes", "60"], 0),
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut program = store.command(command, arguments);
        let status = program
            .stdout(Stdio::null())
            .stderr(writer)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(expected), "{command}");
    }
    assert!(!store.file(3).exists());
}

#[test]
fn what_was_asked_for_is_done_although_nobody_reads_the_answer() {
    let store = store_to_prune();
    fs::remove_file(store.entry(2)).unwrap();
    let closed = |command, arguments: &[&str]| {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut program = store.command(command, arguments);
        let output = program
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
    };
    closed("check", &["--repair"]);
    assert!(store.entry(2).exists());
    let ids: Vec<_> = (1..500).map(|number| id(number).to_string()).collect();
    closed(
        "delete",
        &ids.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    assert_eq!(store.ids(), [id(0xff << 120)]);
    closed("prune", &["--minutes", "60"]);
    assert!(store.ids().is_empty());
    closed("stats", &[]);
    for command in [&["completions", "bash"][..], &["man"]] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let status = session3().args(command).stdout(writer).status().unwrap();
        assert_eq!(status.code(), Some(0), "{command:?}");
    }
}

#[test]
fn a_full_disk_is_one_line() {
    let store = store_to_prune();
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let commands: [(&str, &[&str]); 4] = [
        ("list", &[]),
        ("check", &[]),
        ("stats", &[]),
        ("prune", &["--minutes", "60"]),
    ];
    for (command, arguments) in commands {
        let mut program = store.command(command, arguments);
        let output = program
            .stdout(full())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1));
        assert!(said.starts_with("session3: "), "{said}");
    }
}

/// Creates a store whose first session takes seconds to read, as on a slow disk: a reader of a
/// damaged record waits for the lock.
fn slow_store() -> Store {
    let store = Store::new();
    store.create(0, None, NEVER, "");
    store.create(0xff << 120, None, NEVER, "");
    store.damage(0);
    store
}

/// Runs commands at the same time. Returns the standard output and error of each.
fn run_all(commands: Vec<Command>) -> Vec<String> {
    let spawn = |mut command: Command| {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program should be installed")
    };
    let children: Vec<Child> = commands.into_iter().map(spawn).collect();
    let said = |child: Child| {
        let output = child.wait_with_output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    children.into_iter().map(said).collect()
}

/// Returns a command that runs `command` on a terminal, with `script` from util-linux.
fn on_a_terminal(command: &Command) -> Command {
    let quote = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(quote).collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let variables = command.get_envs();
    script.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    script.env("TERM", "xterm");
    script
}

#[test]
fn what_takes_long_has_a_progress_bar_on_a_terminal_and_only_there() {
    let slow = slow_store();
    let command = |name| {
        let mut command = slow.command(name, &[]);
        speed_up(&mut command, 10);
        command
    };
    let both = |name| {
        let lock = open_file(&slow.file(0));
        lock.lock_exclusive().unwrap();
        // Three seconds of the program's, less than the lock timeout.
        let held = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            drop(lock);
        });
        let said = run_all(vec![on_a_terminal(&command(name)), command(name)]);
        held.join().unwrap();
        said
    };
    // On a busy machine, a command may start too late to wait for the lock.
    for (name, bar) in [("check", " %"), ("stats", " sessions")] {
        let said = (0..100)
            .map(|_| both(name))
            .find(|said| said[0].contains(bar));
        let said = said.expect("one of 100 slow commands should show a progress bar");
        assert!(!said[1].contains(bar), "{said:?}");
    }
}

#[test]
fn what_takes_no_second_has_no_progress_bar() {
    let store = Store::new();
    store.create(0, None, NEVER, "");
    let check = || run(&mut on_a_terminal(&store.command("check", &[])));
    // On a busy machine, a check may take longer than a second and show the bar.
    let quick = (0..1000).find_map(|_| {
        let start = Instant::now();
        let said = check();
        (start.elapsed() < Duration::from_secs(1)).then_some(said)
    });
    let quick = quick.expect("one of 1000 checks should take less than a second");
    assert_eq!(quick.status, 0);
    assert!(
        quick.out.contains("1 sound, ") && !quick.out.contains('%'),
        "{quick:?}"
    );
}

#[test]
fn every_help_has_examples() {
    let help = run(session3().arg("--help"));
    assert!(
        help.out.contains("Exit status: 0 fine, 1 failed"),
        "{help:?}"
    );
    for command in COMMANDS {
        assert!(help.out.contains(&format!("\n  {command} ")), "{help:?}");
        let said = run(session3().args([command, "--help"]));
        assert_eq!((said.status, said.err.as_str()), (0, ""));
        let (_, examples) = said.out.split_once("Example").expect(command);
        assert!(
            examples.contains(&format!("  session3 {command}")),
            "{said:?}"
        );
    }
}

/// The examples in the help of these commands succeed as they are written, except those with a
/// pipe, and those that do not end.
#[test]
fn examples_of_help_run_as_they_stand() {
    for command in ["list", "prune", "check", "stats"] {
        let store = store_to_prune();
        let help = run(session3().args([command, "--help"])).out;
        let start = format!("  session3 {command} /tmp/sessions");
        let examples = help.lines().filter_map(|line| line.strip_prefix(&start));
        let ends = |rest: &&str| !rest.contains('|') && !rest.contains("--watch");
        let arguments: Vec<_> = examples.filter(ends).collect();
        assert!(!arguments.is_empty(), "{help}");
        for arguments in arguments {
            let arguments: Vec<_> = arguments.split_whitespace().collect();
            let said = store.run(command, &arguments);
            assert_eq!((said.status, said.err.as_str()), (0, ""), "{said:?}");
        }
    }
}

#[test]
fn completions_are_scripts_of_their_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = run(session3().args(["completions", shell]));
        assert_eq!((said.status, said.err.as_str()), (0, ""));
        for command in COMMANDS {
            assert!(said.out.contains(command), "{shell}: {command}");
        }
        assert!(said.out.contains("durability"), "{shell}");
    }
    let script = run(session3().args(["completions", "bash"])).out;
    let mut bash = Command::new("bash");
    let mut bash = bash.arg("-n").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = bash.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    drop(stdin);
    assert!(bash.wait().unwrap().success());
}

#[test]
fn there_is_a_manual_page_of_every_command() {
    let is_page = |page: &str| page.lines().any(|line| line.starts_with(".TH session3"));
    let said = run(session3().arg("man"));
    assert_eq!((said.status, said.err.as_str()), (0, ""));
    assert!(is_page(&said.out), "{}", said.out);
    let directory = tempfile::tempdir().unwrap();
    let written = run(session3().arg("man").arg("-o").arg(directory.path()));
    assert_eq!(written, fine(""));
    let main = fs::read_to_string(directory.path().join("session3.1")).unwrap();
    assert!(is_page(&main));
    for command in COMMANDS {
        let path = directory.path().join(format!("session3-{command}.1"));
        let page = fs::read_to_string(path).expect(command);
        assert!(is_page(&page), "{page}");
        assert!(page.contains(&format!("  session3 {command}")), "{page}");
    }
    // One more for the program, and for each command of `session3 key`.
    assert_eq!(files(directory.path()).len(), COMMANDS.len() + 1 + 5);
    let missing = directory.path().join("missing");
    let said = run(session3().arg("man").arg("-o").arg(&missing));
    assert_eq!((said.status, said.err.lines().count()), (1, 1), "{said:?}");
    assert!(said.err.contains(missing.to_str().unwrap()), "{said:?}");
}

/// A record notes its durable version only with `--durability disk`.
#[test]
fn the_demo_keeps_sessions_as_durably_as_it_is_told() {
    for (arguments, is_durable) in [
        (&[][..], false),
        (&["--durability", "process"], false),
        (&["--durability", "disk"], true),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let demo = Demo::start_with(directory.path(), arguments);
        Browser::new().get(&demo, "keep");
        let record = &files(directory.path())[0];
        let note = &fs::read(record).unwrap()[168..184];
        assert_eq!(*note != [0; 16], is_durable, "{arguments:?}");
    }
}

#[test]
fn the_demo_waits_for_a_lock_as_long_as_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = session3();
    command.arg("demo").arg(directory.path());
    command.args(["--lock-timeout", "3600"]);
    let demo = Demo::run(speed_up(&mut command, 20));
    let mut browser = Browser::new();
    browser.get(&demo, "keep");
    let record = open_file(&files(directory.path())[0]);
    record.lock_exclusive().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            // Seven seconds of the program's: longer than the default lock timeout of five, and
            // shorter than the time limit of ten.
            thread::sleep(Duration::from_millis(350));
            record.unlock().unwrap();
        });
        assert_eq!(browser.get(&demo, "increment").status, 302);
    });
}
