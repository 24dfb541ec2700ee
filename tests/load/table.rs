//! The figures of a run as a table, and whether they are good enough.

use crate::run::{CACHED_FILES, Outcome};

/// The largest share of honest requests that may fail.
const MAX_FAILED: f64 = 0.001;
/// How many times as long as in the calm a request may take in the attack, at the 99th
/// percentile.
const MAX_SLOWDOWN: f64 = 10.0;
/// How many times as much memory as in the second quarter the server may use in the last one.
const MAX_GROWTH: f64 = 1.2;

/// A line of the table: what was measured, how, and what must hold.
struct Line {
    name: &'static str,
    /// The figure as text, and whether it is good enough.
    measure: fn(&Outcome) -> (String, bool),
}

const LINES: [Line; 18] = [
    Line {
        name: "honest requests in the calm",
        measure: |outcome| fine(outcome.honest.get("calm requests")),
    },
    Line {
        name: "honest requests in the attack",
        measure: |outcome| {
            let count = outcome.honest.get("attack requests");
            (count.to_string(), count > 0)
        },
    },
    Line {
        name: "of them failed: at most 0.1 %",
        measure: |outcome| {
            let all = outcome.honest.get("attack requests");
            let share = outcome.honest.get("attack failed") as f64 / all.max(1) as f64;
            (format!("{:.3} %", share * 100.0), share <= MAX_FAILED)
        },
    },
    Line {
        name: "of them sent again, as the connection was closed",
        measure: |outcome| fine(outcome.honest.get("attack repeated")),
    },
    Line {
        name: "50th percentile in calm and attack",
        measure: |outcome| {
            let (calm, attack) = latencies(outcome, "p50");
            (format!("{calm:.1} and {attack:.1} ms"), true)
        },
    },
    Line {
        name: "99th percentile in calm and attack: at most tenfold",
        measure: |outcome| {
            let (calm, attack) = latencies(outcome, "p99");
            let text = format!("{calm:.1} and {attack:.1} ms");
            (text, attack <= calm * MAX_SLOWDOWN)
        },
    },
    Line {
        name: "99.9th percentile in calm and attack",
        measure: |outcome| {
            let (calm, attack) = latencies(outcome, "p999");
            (format!("{calm:.1} and {attack:.1} ms"), true)
        },
    },
    Line {
        name: "longest in calm and attack",
        measure: |outcome| {
            let (calm, attack) = latencies(outcome, "max");
            (format!("{calm:.0} and {attack:.0} ms"), true)
        },
    },
    Line {
        name: "sessions with a lost or surplus increment: none",
        measure: |outcome| {
            let lost: u64 = ["lost", "surplus"]
                .iter()
                .flat_map(|kind| outcome.honest.below(kind))
                .map(|(_, count)| count)
                .sum();
            (lost.to_string(), lost == 0)
        },
    },
    Line {
        name: "visits that failed after the attack: none",
        measure: |outcome| {
            let failed = outcome.honest.get("end failed");
            (failed.to_string(), failed == 0)
        },
    },
    Line {
        name: "hostile connections",
        measure: |outcome| {
            let named = outcome.hostile.below("");
            let counts = named.filter(|(name, _)| !name.contains("error"));
            let count: u64 = counts.map(|(_, count)| count).sum();
            (count.to_string(), count > 0)
        },
    },
    Line {
        name: "memory in the quarters of the attack: last at most 1.2 times second",
        measure: |outcome| {
            let [.., last] = outcome.memory;
            let second = outcome.memory[1];
            let text: Vec<_> = outcome
                .memory
                .iter()
                .map(|kilobytes| mebibytes(*kilobytes))
                .collect();
            (
                format!("{} MiB", text.join(", ")),
                last as f64 <= second as f64 * MAX_GROWTH,
            )
        },
    },
    Line {
        name: "most memory",
        measure: |outcome| (format!("{} MiB", mebibytes(outcome.largest.memory)), true),
    },
    Line {
        name: "most memory of the system for TCP, and connections without a process",
        measure: |outcome| {
            let largest = outcome.largest;
            let text = format!("{} MiB, {}", mebibytes(largest.tcp_memory), largest.orphans);
            (text, true)
        },
    },
    Line {
        name: "most open files",
        measure: |outcome| fine(outcome.largest.descriptors as u64),
    },
    Line {
        name: "open files before and after: at most 1024 more",
        measure: |outcome| {
            let (before, after) = outcome.descriptors;
            (
                format!("{before} and {after}"),
                after <= before + CACHED_FILES,
            )
        },
    },
    Line {
        name: "processor time of the server in calm and attack",
        measure: |outcome| {
            let (calm, attack) = outcome.processor;
            (format!("{calm} and {attack} % of a core"), true)
        },
    },
    Line {
        name: "every page answers, and the server stops: yes",
        measure: |outcome| match &outcome.pages {
            Ok(()) if outcome.has_stopped => ("yes".into(), true),
            Ok(()) => ("it does not stop".into(), false),
            Err(problem) => (problem.clone(), false),
        },
    },
];

fn fine(count: u64) -> (String, bool) {
    (count.to_string(), true)
}

/// Returns a latency in calm and attack, in milliseconds.
fn latencies(outcome: &Outcome, name: &str) -> (f64, f64) {
    let milliseconds = |phase: &str| outcome.honest.get(&format!("{phase} {name}")) as f64 / 1000.0;
    (milliseconds("calm"), milliseconds("attack"))
}

fn mebibytes(kilobytes: u64) -> String {
    (kilobytes >> 10).to_string()
}

/// Prints the figures of the runs. Returns what is not good enough.
pub fn print(outcomes: &[Outcome]) -> Vec<String> {
    let mut failures = Vec::new();
    for outcome in outcomes {
        println!("\n--max-instance-reuse {}", outcome.reuse);
        for (text, count) in outcome.hostile.below("") {
            println!("  {count:>9} {text}");
        }
        for part in ["calm", "attack", "end"] {
            let kinds = outcome.honest.below(part);
            for (kind, count) in kinds.filter(|(name, _)| name.starts_with(" kind")) {
                println!("  {count:>9} {part}:{}", kind.trim_start_matches(" kind"));
            }
            let problems = outcome.honest.below(part);
            for (problem, count) in problems.filter(|(name, _)| name.starts_with(" problem")) {
                println!("  {count:>9} {part}:{problem}");
            }
        }
        for kind in ["lost", "surplus"] {
            for (text, count) in outcome.honest.below(kind).take(10) {
                println!("  {count:>9} {kind}{text}");
            }
        }
    }
    println!();
    for Line { name, measure } in LINES {
        let mut columns = Vec::new();
        for outcome in outcomes {
            let (text, is_good) = measure(outcome);
            if !is_good {
                let reuse = outcome.reuse;
                failures.push(format!("--max-instance-reuse {reuse}: {name}: {text}"));
            }
            columns.push(format!("{text}{}", if is_good { "" } else { " (!)" }));
        }
        println!("| {name} | {} |", columns.join(" | "));
    }
    failures
}
