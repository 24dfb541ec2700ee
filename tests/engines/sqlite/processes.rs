//! Several processes with one file, and processes that are killed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use session3_store::{SessionId, SessionState, SessionStore, StoreError};
use session3_store_sqlite::{Options, SqliteStore};
use session3_test_support::dice::Dice;
use session3_test_support::random::seed;
use session3_test_support::{block_on, id, state};

use crate::support::{Place, SOON, until, url};

/// Returns the command that starts a process with a role at a database.
pub fn command(role: &str, url: &str, me: u64, number: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session3-test-sqlite-process"));
    command.args([role, url, &me.to_string(), &number.to_string()]);
    command
}

/// A process, which is killed when this is dropped.
pub struct Process(Child);

impl Process {
    /// Starts a process with a role at a database.
    pub fn start(role: &str, url: &str, me: u64, number: u64) -> Self {
        Self::start_with(Stdio::piped(), role, url, me, number)
    }

    /// Starts a process that writes to a file. A pipe would block it while the test does not
    /// read.
    fn start_with(output: impl Into<Stdio>, role: &str, url: &str, me: u64, number: u64) -> Self {
        let child = command(role, url, me, number).stdout(output).spawn();
        Self(child.unwrap())
    }

    /// Waits for lines of the process, and returns them.
    pub fn lines(&mut self, count: usize) -> Vec<String> {
        let output = BufReader::new(self.0.stdout.as_mut().unwrap());
        let lines: Vec<_> = output.lines().take(count).map(Result::unwrap).collect();
        assert_eq!(lines.len(), count, "the process failed");
        lines
    }

    /// Kills the process, which must not have ended before.
    fn kill(&mut self) {
        assert!(self.0.try_wait().unwrap().is_none(), "the process ended");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits until the process ends, and returns what it wrote.
    pub fn result(mut self) -> String {
        let mut written = String::new();
        let mut output = self.0.stdout.take().unwrap();
        output.read_to_string(&mut written).unwrap();
        assert!(self.0.wait().unwrap().success(), "the process failed");
        written
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the state that a session has in a version, as the processes write it.
fn content(id: &SessionId, version: u64) -> SessionState {
    SessionState {
        user: Some(format!("user{}", version % 3)),
        expires: version,
        data: format!("{id} {version} ")
            .repeat(version as usize * 20)
            .into(),
    }
}

/// What a process wrote about a session.
#[derive(Default)]
struct Fate {
    /// The version that was acknowledged; 0 for none.
    done: u64,
    /// The version of a change that may or may not have been made.
    tried: Option<u64>,
}

fn fates(written: &str) -> BTreeMap<SessionId, Fate> {
    let mut fates = BTreeMap::<_, Fate>::new();
    // The kill may have cut the last line.
    let whole = written.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        let [what, id, version] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line:?}");
        };
        let (fate, version) = (
            fates.entry(id.parse().unwrap()).or_default(),
            version.parse(),
        );
        match what {
            "try" => fate.tried = Some(version.unwrap()),
            _ => (fate.done, fate.tried) = (version.unwrap(), None),
        }
    }
    fates
}

/// Checks that each session has the version that was acknowledged or tried. Returns how many
/// of the changes without an acknowledgement were made, and how many there are.
async fn check_fates(store: &SqliteStore, fates: &BTreeMap<SessionId, Fate>) -> (u64, u64) {
    let (mut made, mut undecided) = (0, 0);
    for (id, Fate { done, tried }) in fates {
        let loaded = store.load_session(id).await.unwrap();
        let version = loaded.as_ref().map_or(0, |session| session.version);
        let is_made = *tried == Some(version);
        assert!(
            is_made || version == *done,
            "{id}: {version}, not {done} or {tried:?}"
        );
        if let Some(session) = loaded {
            assert_eq!(session.state, content(id, version));
        }
        made += u64::from(is_made);
        undecided += u64::from(tried.is_some());
    }
    (made, undecided)
}

/// Checks that the index by user has exactly what a walk finds.
async fn check_index(store: &SqliteStore) {
    let mut of_users = BTreeMap::<String, Vec<SessionId>>::new();
    let mut cursor = None;
    loop {
        let page = store.iter_sessions(cursor.as_deref(), 1000).await.unwrap();
        assert_eq!(page.damaged, []);
        for session in page.sessions {
            let user = session.state.user.unwrap();
            of_users.entry(user).or_default().push(session.id);
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    for user in ["user0", "user1", "user2"] {
        let mut ids = store.sessions_of_user(user).await.unwrap();
        ids.sort();
        assert_eq!(ids, of_users.remove(user).unwrap_or_default());
    }
}

fn check_integrity(place: &Place) {
    let check = "PRAGMA integrity_check";
    let found: String = place
        .sqlite()
        .query_row(check, (), |row| row.get(0))
        .unwrap();
    assert_eq!(found, "ok");
}

fn is_long() -> bool {
    std::env::var_os("TORTURE").is_some_and(|value| value == "long")
}

#[test]
fn acknowledged_changes_survive_a_kill() {
    let seed = seed();
    println!("SEED={seed}");
    let mut dice = Dice::new(seed);
    let place = Place::new();
    let rounds = if is_long() { 300 } else { 20 };
    let (mut changes, mut made, mut undecided) = (0, 0, 0);
    for round in 0..rounds {
        let durability = if round % 2 == 0 { "process" } else { "disk" };
        let url = format!("{}?durability={durability}", url(&place.path()));
        let output = |me| place.0.path().join(format!("output{me}"));
        let start = |me| {
            let file = File::create(output(me)).unwrap();
            Process::start_with(file, "change", &url, round * 2 + me, seed ^ round)
        };
        let mut processes = [start(0), start(1)];
        std::thread::sleep(Duration::from_millis(50 + dice.below(250) as u64));
        processes.iter_mut().for_each(Process::kill);
        block_on(async {
            let store = place.store(Options::default()).await;
            for me in [0, 1] {
                let written = fs::read_to_string(output(me)).unwrap();
                changes += written
                    .lines()
                    .filter(|line| line.starts_with("did"))
                    .count();
                let counts = check_fates(&store, &fates(&written)).await;
                made += counts.0;
                undecided += counts.1;
            }
            check_index(&store).await;
        });
        check_integrity(&place);
    }
    println!(
        "{} processes killed after {changes} changes; of {undecided} under way, {made} were made",
        rounds * 2
    );
    assert!(changes > 100);
}

#[test]
fn no_update_of_several_processes_is_lost_and_none_starves() {
    for durability in ["process", "disk"] {
        let place = Place::new();
        let url = format!("{}?durability={durability}", url(&place.path()));
        block_on(async {
            let store = place.store(Options::default()).await;
            store.create_session(&id(1), &state("0")).await.unwrap();
        });
        let time = if is_long() { 20_000 } else { 2000 };
        let start = |me| Process::start("add", &url, me, time);
        let processes = [start(0), start(1), start(2)];
        let mut sum = 0;
        for process in processes {
            let (mut count, mut longest) = (0, 0);
            for line in process.result().lines() {
                let (counted, time) = line.split_once(' ').unwrap();
                count += counted.parse::<u64>().unwrap();
                longest = longest.max(time.parse::<u64>().unwrap());
            }
            println!("{durability}: {count} saves, the longest took {longest} ms");
            assert!(count > 0);
            sum += count;
        }
        block_on(async {
            let store = place.store(Options::default()).await;
            let session = store.load_session(&id(1)).await.unwrap().unwrap();
            assert_eq!(session.state, state(&sum.to_string()));
            assert_eq!(session.version, sum + 1);
        });
    }
}

#[test]
fn processes_that_create_the_database_at_once_all_open_it() {
    for _ in 0..5 {
        let place = Place::new();
        let start = |me| Process::start("open", &url(&place.path()), me, 0);
        let processes: Vec<_> = (0..8).map(start).collect();
        for process in processes {
            assert_eq!(process.result(), "open\n");
        }
        let setting = |name: &str| -> i64 {
            let query = format!("PRAGMA {name}");
            place
                .sqlite()
                .query_row(&query, (), |row| row.get(0))
                .unwrap()
        };
        assert_eq!(setting("auto_vacuum"), 2);
        assert_eq!(setting("user_version"), 1);
    }
}

/// Whether a file is ours must be seen at one moment, also while another connection creates
/// the tables.
#[test]
fn stores_that_create_the_database_at_once_all_recognise_it() {
    for _ in 0..100 {
        let place = Place::new();
        block_on(async {
            let open = |_| {
                let path = place.path();
                tokio::spawn(async move {
                    let options = Options::default().create(true);
                    SqliteStore::open(&url(&path), options).await.map(drop)
                })
            };
            let opened: Vec<_> = (0..8).map(open).collect();
            for opened in opened {
                opened.await.unwrap().unwrap();
            }
        });
    }
}

#[test]
fn the_lease_of_a_killed_process_ends_at_its_time() {
    let place = Place::new();
    block_on(async {
        let options = Options::default().lock_timeout(SOON);
        let store = place.store(options).await;
        let patient = Duration::from_secs(2);
        let mut holder = Process::start("hold", &url(&place.path()), 0, 2000);
        let begun = Instant::now();
        holder.lines(1);
        holder.kill();
        let impatient = place
            .store(Options::default().lock_timeout(Duration::ZERO))
            .await;
        let refused = impatient.lock_session(&id(1), SOON).await.map(drop);
        assert_eq!(refused, Err(StoreError::Busy));
        let lock = store.lock_session(&id(1), SOON).await.unwrap();
        assert!(lock.is_held() && begun.elapsed() >= patient);
    });
}

#[test]
fn a_lease_excludes_other_processes() {
    let place = Place::new();
    block_on(async {
        let store = place.store(Options::default()).await;
        store.create_session(&id(1), &state("0")).await.unwrap();
    });
    let start = |me| Process::start("exclude", &url(&place.path()), me, 10);
    for process in [start(0), start(1), start(2)] {
        process.result();
    }
    block_on(async {
        let store = place.store(Options::default()).await;
        let session = store.load_session(&id(1)).await.unwrap().unwrap();
        assert_eq!(session.state, state("240"));
    });
}

#[test]
fn sweeps_of_several_processes_delete_each_session_once_and_none_that_is_used() {
    const SESSIONS: u128 = 5000;
    let place = Place::new();
    let deleted: u64 = block_on(async {
        let store = place.store(Options::default()).await;
        for number in 0..SESSIONS {
            let expired = SessionState {
                expires: 1,
                ..state("x")
            };
            store.create_session(&id(number), &expired).await.unwrap();
        }
        let start = |me| Process::start("sweep", &url(&place.path()), me, 1);
        let processes = [start(0), start(1)];
        // Those that are touched or saved before a sweep reaches them must stay.
        let mut used = Vec::new();
        for number in (0..SESSIONS).rev().step_by(10) {
            let done = match number % 20 {
                9 => store.touch_session(&id(number), u64::MAX, 1).await,
                _ => {
                    let alive = SessionState {
                        expires: u64::MAX,
                        ..state("y")
                    };
                    store.save_session(&id(number), &alive, 1).await.map(drop)
                }
            };
            match done {
                Ok(()) => used.push(number),
                Err(error) => assert_eq!(error, StoreError::Absent),
            }
        }
        assert!(!used.is_empty());
        let of_process = |process: Process| -> u64 { process.result().trim().parse().unwrap() };
        let deleted = processes.map(of_process).iter().sum::<u64>();
        for number in &used {
            assert_eq!(store.has_session(&id(*number)).await, Ok(true), "{number}");
        }
        assert_eq!(deleted, SESSIONS as u64 - used.len() as u64);
        deleted
    });
    println!("{deleted} of {SESSIONS} deleted");
    check_integrity(&place);
}

#[test]
fn a_sweep_continues_after_its_process_was_killed() {
    const SESSIONS: u128 = 20_000;
    let place = Place::new();
    // The lease of a killed sweep ends by the clock of the store.
    let later = || u64::MAX;
    block_on(async {
        let store = place.store(Options::default()).await;
        for number in 0..SESSIONS {
            let expired = SessionState {
                expires: 1,
                ..state("x")
            };
            store.create_session(&id(number), &expired).await.unwrap();
        }
        let mut sweeper = Process::start("sweep", &url(&place.path()), 0, 60_000);
        let count = || -> u128 {
            let query = "SELECT count(*) FROM sessions";
            let count: i64 = place
                .sqlite()
                .query_row(query, (), |row| row.get(0))
                .unwrap();
            count as u128
        };
        until(async || count() < SESSIONS).await;
        sweeper.0.kill().unwrap();
        sweeper.0.wait().unwrap();
        let left = count();
        let store = place.store(Options::default().clock(later)).await;
        let report = store.delete_old_sessions(u32::MAX, None).await.unwrap();
        assert!(report.complete);
        // The sweep goes on where the killed one was, and finds everything after that.
        assert_eq!((u128::from(report.deleted), count()), (left, 0));
    });
}

#[test]
fn a_full_disk_fails_creates_and_nothing_else() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_session3-test-sqlite-process");
    // The largest size of a file, in blocks of 512 or 1024 bytes, and no signal at that size.
    let script = "trap '' XFSZ; ulimit -f 4096; exec \"$@\"";
    let output = Command::new("sh")
        .args([
            "-c",
            script,
            "sh",
            program,
            "fill",
            &url(&place.path()),
            "0",
            "20000",
        ])
        .output()
        .unwrap();
    let (written, errors) = (output.stdout, output.stderr);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&errors)
    );
    let written = String::from_utf8(written).unwrap();
    let (count, error) = written.trim().split_once(' ').unwrap();
    assert!(
        error.starts_with("the store failed: ") && !error.contains('\n'),
        "{error}"
    );
    assert!(error.contains("sessions.db: "), "{error}");
    println!("after {count} sessions: {error}");
    check_integrity(&place);
    block_on(async {
        // With space again, everything works.
        let store = place.store(Options::default()).await;
        let count: u128 = count.parse().unwrap();
        assert_eq!(store.create_session(&id(count), &state("x")).await, Ok(1));
        for number in 0..=count {
            assert_eq!(store.delete_session(&id(number)).await, Ok(true));
        }
    });
}

#[test]
fn the_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    block_on(async {
        let store = place.store(Options::default()).await;
        store.create_session(&id(1), &state("x")).await.unwrap();
        for name in ["sessions.db", "sessions.db-wal", "sessions.db-shm"] {
            let path: &Path = &place.0.path().join(name);
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    });
}
