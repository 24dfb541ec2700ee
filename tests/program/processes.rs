//! Several processes on one session at once.

use std::path::Path;
use std::thread;

use session3_test_program::{Browser, Demo};
use session3_test_support::files;

#[test]
fn four_processes_with_500_increments_each_count_to_2000() {
    let directory = tempfile::tempdir().unwrap();
    count_in_four_processes(directory.path());
}

/// Increments the counter of one session 500 times in each of four processes.
pub fn count_in_four_processes(store: &Path) {
    let demos: Vec<_> = (0..4).map(|_| Demo::start(store)).collect();
    let mut browser = Browser::new();
    browser.get(&demos[0], "keep");
    thread::scope(|scope| {
        for demo in &demos {
            let mut browser = browser.clone();
            scope.spawn(move || {
                for _ in 0..500 {
                    assert_eq!(browser.get(demo, "increment").status, 302);
                }
            });
        }
    });
    assert_eq!(browser.look(&demos[0]).1, 2000);
}

#[test]
fn a_log_out_in_another_process_wins_against_saves_under_way() {
    let directory = tempfile::tempdir().unwrap();
    log_out_while_others_save(directory.path());
    let remaining = files(directory.path());
    assert!(remaining.is_empty(), "{remaining:?}");
}

/// Logs out in one process while another one saves the session. Requests that are under way
/// there get 409 or find no session, and none of them revives the session.
pub fn log_out_while_others_save(store: &Path) {
    let demos: Vec<_> = (0..2).map(|_| Demo::start(store)).collect();
    for _ in 0..30 {
        let mut browser = Browser::new();
        browser.get(&demos[0], "keep");
        thread::scope(|scope| {
            for _ in 0..3 {
                let mut browser = browser.clone();
                let demo = &demos[0];
                scope.spawn(move || {
                    let statuses = (0..20).map(|_| browser.get(demo, "increment").status);
                    for status in statuses {
                        assert!([302, 409].contains(&status), "{status}");
                    }
                });
            }
            assert_eq!(browser.clone().get(&demos[1], "logout").status, 302);
        });
        assert_eq!(browser.look(&demos[0]), ("None".into(), 0));
        assert_eq!(browser.look(&demos[1]), ("None".into(), 0));
    }
}
