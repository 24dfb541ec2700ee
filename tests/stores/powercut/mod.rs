//! Simulated power cuts: whatever the medium holds afterwards, the store finds what it
//! promised.
//!
//! A recorder notes each system call of a run of a few hundred operations. The power may fail
//! after every prefix of these calls. What was flushed is on the medium. For the rest, the
//! simulation chooses among what happened since the last flush of the file or directory:
//!
//! - each sector of 512 bytes has its content of some moment, since a system may write back
//!   at any time and in any order;
//! - the size of a file is that of some moment: the file may end before its data, or after
//!   its data, in zeros;
//! - each name in a directory is missing, present, or leads to the file that it led to before.
//!
//! Every prefix is examined with none of the unflushed changes on the medium, and with all of
//! them. Then follow [`IMAGES`] images at random moments, with each sector, size and name
//! chosen at random. There are far more combinations; this is a sample. An image holds one
//! session, which is its record, its entries of the index and the directories that lead there,
//! since two sessions share nothing else. If the same image comes up again with the same
//! states allowed, it is counted and not opened again. One image in `examination::WHOLE` holds
//! the whole directory, which is opened and walked through.
//!
//! The next run begins on one of these images: it opens a store there, as after a restart.
//!
//! Some operations of a run are cut short: the process is killed at any call, and a new store
//! goes on with what the system has in its cache; or a flush fails. Such an operation was not
//! acknowledged, so a power cut may undo it, until an acknowledged operation builds on it. The
//! pages of a failed flush count as written from then on, unless they are written again.
//!
//! Under `process`, the system writes everything back now and then, as it does every 30
//! seconds. What was saved by then is not lost, with one exception, which no store without
//! flushes can avoid: two saves since then have overwritten both slots, and the medium may
//! have neither of them, or just the slot that was the older one then. The same holds for
//! two touches and the two cells of touches.
//!
//! Three things are not simulated: a torn sector, which disks rule out (the header of a
//! record, which has no checksum of its own, relies on that); a later write to a sector
//! without an earlier one to the same sector, since systems write back whole pages of their
//! cache; and disks that report a flush which they did not make.

mod examination;
mod history;
mod materialised;
mod medium;
mod recorder;
mod run;

use std::fs;
use std::sync::Arc;

use session3_store::{SessionState, SessionStore};
use session3_store_directory::{DirectoryStore, Durability, Options};
use session3_test_support::dice::Dice;
use session3_test_support::id;
use session3_test_support::layer::Layer;
use session3_test_support::random::{is_long, seed};

use examination::Examination;
use history::Steps;
use medium::{Event, Image, SECTOR};
use recorder::Recorder;
use run::Run;

/// The number of random images in each of the four tests, which `TORTURE=long` multiplies by
/// ten.
const IMAGES: usize = 100_000;

/// The number of runs. Each begins on an image that a power cut in the one before left.
const RUNS: usize = 20;

/// The IDs of the sessions. Two of them share a subdirectory.
const SESSIONS: [u128; 5] = [1, 2, 3 << 120, 4 << 120, 5 << 120];

/// Under `disk`, a session has the state of its last acknowledged change or of the change that
/// was under way, and no session misses its entry of the index.
#[test]
fn a_power_cut_under_disk_takes_back_nothing_that_was_acknowledged() {
    torture("disk", &[Durability::Disk], Layer::Plain);
}

/// Under `process`, a session has a state that it had since the system last wrote everything
/// back. If two saves came since then, it may also be reported as damaged.
#[test]
fn a_power_cut_under_process_leaves_states_that_were_saved() {
    torture("process", &[Durability::Process], Layer::Plain);
}

/// A change that a store under `disk` acknowledged is durable, also if a store under `process`
/// created the file or saved before.
#[test]
fn a_power_cut_under_both_takes_back_nothing_that_disk_acknowledged() {
    let both = [Durability::Disk, Durability::Process];
    torture("both", &both, Layer::Plain);
}

/// The same holds for a sealed store: each image that is no damaged record can be opened.
#[test]
fn a_power_cut_takes_back_nothing_that_a_sealed_store_acknowledged() {
    let both = [Durability::Disk, Durability::Process];
    torture("sealed", &both, Layer::Sealed);
}

fn torture(name: &str, durabilities: &[Durability], layer: Layer) {
    let mut dice = Dice::new(seed());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut examination = Examination::new(&runtime, durabilities[0], layer);
    let mut image = Image::new();
    let mut steps = Steps::new();
    let runs = if is_long() { 10 * RUNS } else { RUNS };
    for _ in 0..runs {
        let run = Run::new(&runtime, &image, steps, (durabilities, layer), &mut dice);
        image = examination.examine(&run, &image, &mut dice);
        steps = run.steps;
    }
    println!("power cut, {name}: {}", examination.figures());
}

/// A version is used again if a power cut took back its save. A touch of the lost save that
/// reached the medium must not count for the next save of that version, so the store erases
/// the touch from the medium before the next save or touch.
#[test]
fn a_touch_of_a_lost_save_does_not_count_for_the_next() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let expiring = |expires| SessionState {
        expires,
        ..SessionState::default()
    };
    for touches_first in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Arc::new(Recorder::default());
        let open = || {
            let options = Options::default().watch(recorder.clone());
            DirectoryStore::open(directory.path(), options).unwrap()
        };
        let path = directory.path().join(format!("00/{}", id(1)));
        let (session, store) = (id(1), open());
        runtime.block_on(async {
            store.create_session(&session, &expiring(10)).await.unwrap();
            let before = fs::read(&path).unwrap();
            let saved = store.save_session(&session, &expiring(20), 1).await;
            assert_eq!(saved, Ok(2));
            store.touch_session(&session, 99, 2).await.unwrap();
            let header = fs::read(&path).unwrap()[..SECTOR].to_vec();
            fs::write(&path, [&header, &before[SECTOR..]].concat()).unwrap();

            let store = open();
            let loaded = store.load_session(&session).await.unwrap().unwrap();
            assert_eq!((loaded.version, loaded.state.expires), (1, 10));
            recorder.events.lock().unwrap().clear();
            if touches_first {
                store.touch_session(&session, 15, 1).await.unwrap();
            }
            let saved = store.save_session(&session, &expiring(30), 1).await;
            assert_eq!(saved, Ok(2));
            let loaded = store.load_session(&session).await.unwrap().unwrap();
            assert_eq!((loaded.version, loaded.state.expires), (2, 30));
        });
        let events = recorder.events.lock().unwrap();
        let is_forgotten = |event: &Event| matches!(event, Event::Write(_, 88, _));
        let is_zero =
            |event: &Event| matches!(event, Event::Write(_, 88, cell) if *cell == [0; 40]);
        assert!(is_forgotten(&events[0]), "{events:?}");
        assert!(matches!(events[1], Event::Flush(_)), "{events:?}");
        assert!(is_zero(&events[2]), "{events:?}");
        // A kill before the flush must leave a touch that still has to be erased.
        assert!(!is_zero(&events[0]), "{events:?}");
    }
}
