//! Benchmark of a sweep that deletes half of the sessions, in slices with and without saves.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session3_store::SweepReport;
use tokio::runtime::Runtime;

use crate::contest::{Operation, Use};
use crate::engine::Engine;
use crate::many::Sessions;
use crate::sessions::{id, state};
use crate::targets::Targets;
use crate::{Plan, median, table};

/// The time of a slice of the sweep, which has many steps with their pauses, as a multiple of
/// that of a slice of saves.
const SLICE: u32 = 20;
/// The most saves in a slice.
const SAVES: usize = 20_000;
/// How much the memory of this process may grow during a sweep, in MiB.
const MEMORY: f64 = 16.0;
/// The largest quotient of the times of saves during a sweep and without one.
const SLOWER: f64 = 1.05;

/// Sweeps a store, and returns the columns of the table: the microseconds for each session, those
/// of saves without and during the sweep, their quotient, and the growth of the memory in MiB.
pub fn measure(
    plan: &Plan,
    runtime: &Runtime,
    engine: &Engine,
    mut sessions: Sessions,
    targets: &mut Targets,
) -> Vec<String> {
    let mut deleted = 0;
    let (mut swept, mut sweeping) = (0, Duration::ZERO);
    let (mut alone, mut during) = (Vec::new(), Vec::new());
    let before = memory(true);
    let mut is_complete = false;
    for turn in 0.. {
        // A slice of the sweep alone, one with saves, and one of saves alone.
        match turn % 3 {
            0 if !is_complete => {
                let start = Instant::now();
                let report = runtime.block_on(sweep(&sessions, plan.window * SLICE));
                sweeping += start.elapsed();
                swept += report.deleted + report.remaining;
                (deleted, is_complete) = (deleted + report.deleted, report.complete);
            }
            1 if !is_complete => {
                let (time, report) = save_during_sweep(plan, runtime, &mut sessions);
                during.extend(time);
                (deleted, is_complete) = (deleted + report.deleted, report.complete);
            }
            2 => {
                alone.extend(save_alone(plan, runtime, &mut sessions));
                if is_complete {
                    break;
                }
            }
            _ => {}
        }
    }
    let memory = memory(false).saturating_sub(before) as f64 / 1024.0;
    assert_eq!(deleted, plan.sessions / 2);

    let what = format!("MiB of memory during the sweep, {}", engine.name);
    let is_flat = targets.at_most(&what, memory, MEMORY);
    let each = sweeping.as_secs_f64() * 1e6 / swept as f64;
    let mut row = vec![format!("{each:.1}")];
    match during.is_empty() {
        true => row.extend([String::new(), String::new(), String::new()]),
        false => {
            let ratios = during
                .iter()
                .zip(&alone)
                .map(|(during, alone)| during / alone);
            let ratio = median(ratios.collect());
            let what = format!("saves during the sweep, {}", engine.name);
            let is_met = targets.at_most(&what, ratio, SLOWER);
            row.extend([alone, during].map(|times| format!("{:.1}", median(times))));
            row.push(table::marked(ratio, is_met));
        }
    }
    row.push(table::marked(memory, is_flat));
    row
}

async fn sweep(sessions: &Sessions, window: Duration) -> SweepReport {
    // No session was idle for that long, so the sweep deletes only those that have expired.
    let swept = sessions.store.delete_old_sessions(u32::MAX, Some(window));
    swept.await.unwrap()
}

/// Saves sessions one after another until the flag is set. Returns the microseconds of a save.
async fn save(sessions: &mut Sessions, is_over: &AtomicBool, window: Duration) -> Option<f64> {
    let state = state(false);
    let start = Instant::now();
    let mut count = 0;
    while count < SAVES && !is_over.load(Ordering::Relaxed) && start.elapsed() < window {
        let batch = sessions.batch(Operation::Save, 1);
        let Use { number, version } = batch.uses[0];
        let id = id(number);
        let saved = sessions.store.save_session(&id, &state, version);
        saved.await.unwrap();
        count += 1;
    }
    (count > 0).then(|| start.elapsed().as_secs_f64() * 1e6 / count as f64)
}

fn save_alone(plan: &Plan, runtime: &Runtime, sessions: &mut Sessions) -> Option<f64> {
    runtime.block_on(save(sessions, &AtomicBool::new(false), plan.window))
}

fn save_during_sweep(
    plan: &Plan,
    runtime: &Runtime,
    sessions: &mut Sessions,
) -> (Option<f64>, SweepReport) {
    let is_over = AtomicBool::new(false);
    let store = sessions.store.clone();
    let slice = plan.window * SLICE;
    runtime.block_on(async {
        let sweep = tokio::spawn(async move {
            store
                .delete_old_sessions(u32::MAX, Some(slice))
                .await
                .unwrap()
        });
        let finished = async {
            let report = sweep.await.unwrap();
            is_over.store(true, Ordering::Relaxed);
            report
        };
        // A slice in which the sweep ends early still has saves that ran beside it.
        tokio::join!(save(sessions, &is_over, Duration::MAX), finished)
    })
}

/// Returns the peak of the memory of this process in KiB, after setting it to what is used now.
fn memory(is_reset: bool) -> u64 {
    if is_reset {
        fs::write("/proc/self/clear_refs", "5").unwrap();
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = line.unwrap().trim().trim_end_matches(" kB").parse();
    peak.unwrap()
}
