//! The directory store beside the bare system calls, natively and through the
//! component, with states of 700 bytes; in one run, so that the ratios hold.
//!
//! The bare calls, with std: load is openat, pread, close; save is openat,
//! flock, fstat, pread, pwrite, close; create is openat with O_EXCL, flock,
//! pwrite, close; delete is openat, flock, pwrite, unlinkat, close.
#![expect(clippy::unwrap_used, reason = "a failing benchmark panics")]

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "support/component.rs"]
mod component;

use std::fs::{File, OpenOptions, create_dir, remove_file};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fs2::FileExt as _;
use session3::store::{DirectoryStore, SessionId, SessionState, SessionStore};
use wasmtime_wasi::WasiCtx;

/// Sessions, and operations of each kind in a round.
const SESSIONS: u128 = 2000;
const ROUNDS: usize = 15;
const SIZE: usize = 700;

/// Microseconds for one operation: the median of the rounds.
fn median(mut rounds: Vec<Duration>) -> f64 {
    rounds.sort();
    rounds[rounds.len() / 2].as_secs_f64() * 1e6 / SESSIONS as f64
}

fn id(number: u128) -> SessionId {
    // Spread over the subdirectories, as random ones are.
    SessionId::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn path(directory: &Path, number: u128) -> PathBuf {
    let name = id(number).to_string();
    directory.join(&name[..2]).join(name)
}

fn open(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap()
}

/// The four operations with nothing but system calls.
fn bare(directory: &Path, bytes: &[u8]) -> [Duration; 4] {
    let each = |operation: &dyn Fn(&Path)| {
        let paths: Vec<_> = (0..SESSIONS)
            .map(|number| path(directory, number))
            .collect();
        let start = Instant::now();
        paths.iter().for_each(|path| operation(path));
        start.elapsed()
    };
    let create = each(&|path| {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).open(path).unwrap();
        file.lock_exclusive().unwrap();
        file.write_all_at(bytes, 0).unwrap();
    });
    let load = each(&|path| {
        let mut buffer = [0; 4096];
        black_box(File::open(path).unwrap().read_at(&mut buffer, 0).unwrap());
    });
    let save = each(&|path| {
        let file = open(path);
        file.lock_exclusive().unwrap();
        black_box(file.metadata().unwrap());
        let mut buffer = [0; 4096];
        black_box(file.read_at(&mut buffer, 0).unwrap());
        file.write_all_at(bytes, 0).unwrap();
    });
    let delete = each(&|path| {
        let file = open(path);
        file.lock_exclusive().unwrap();
        file.write_all_at(&[255; 8], 32).unwrap();
        remove_file(path).unwrap();
    });
    [load, save, create, delete]
}

async fn native(store: &DirectoryStore, state: &SessionState) -> [Duration; 4] {
    let ids: Vec<_> = (0..SESSIONS).map(id).collect();
    let start = Instant::now();
    for id in &ids {
        store.create_session(id, state).await.unwrap();
    }
    let create = start.elapsed();
    let start = Instant::now();
    for id in &ids {
        black_box(store.load_session(id).await.unwrap());
    }
    let load = start.elapsed();
    let start = Instant::now();
    for id in &ids {
        store.save_session(id, state, 1).await.unwrap();
    }
    let save = start.elapsed();
    let start = Instant::now();
    for id in &ids {
        store.delete_session(id).await.unwrap();
    }
    [load, save, create, start.elapsed()]
}

/// A request that loads, adds and commits, through the component; and the load
/// and the save that it makes, natively.
async fn requests(store: Arc<DirectoryStore>) -> (f64, f64) {
    let wasi = WasiCtx::builder().build();
    let mut manager = component::Manager::with(store.clone(), wasi, |_| ()).await;
    let mut cookies = Vec::new();
    for _ in 0..SESSIONS {
        cookies.push(manager.request(b"", "n", 1).await);
    }
    let ids: Vec<SessionId> = cookies
        .iter()
        .map(|cookie| {
            std::str::from_utf8(&cookie[15..47])
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    let (mut through, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for cookie in &cookies {
            manager.request(cookie, "n", 1).await;
        }
        through.push(start.elapsed());
        let start = Instant::now();
        for id in &ids {
            let session = store.load_session(id).await.unwrap().unwrap();
            let saved = store.save_session(id, &session.state, session.version);
            saved.await.unwrap();
        }
        alone.push(start.elapsed());
    }
    (median(through), median(alone))
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (ours, floor) = (
        directory.path().join("ours"),
        directory.path().join("floor"),
    );
    for path in [&ours, &floor] {
        create_dir(path).unwrap();
        for number in 0..256 {
            create_dir(path.join(format!("{number:02x}"))).unwrap();
        }
    }
    let store = Arc::new(DirectoryStore::open(&ours, Default::default()).unwrap());
    let state = SessionState {
        user: None,
        expires: 0,
        data: vec![1; SIZE],
    };
    let bytes = vec![1; SIZE];
    let (mut floors, mut natives) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(bare(&floor, &bytes));
        natives.push(native(&store, &state).await);
    }
    println!("{SESSIONS} sessions of {SIZE} bytes, µs, median of {ROUNDS} rounds");
    println!("{:<8} {:>8} {:>8} {:>7}", "", "bare", "native", "ratio");
    for (index, name) in ["load", "save", "create", "delete"].into_iter().enumerate() {
        let pick = |rounds: &[[Duration; 4]]| median(rounds.iter().map(|r| r[index]).collect());
        let (bare, native) = (pick(&floors), pick(&natives));
        let ratio = native / bare;
        println!("{name:<8} {bare:>8.1} {native:>8.1} {ratio:>7.2}");
    }
    let (through, alone) = requests(store).await;
    let added = through - alone;
    println!("get-session, add and commit through the component: {through:.1},");
    println!("its load and save natively: {alone:.1}, the component adds {added:.1}");
}
