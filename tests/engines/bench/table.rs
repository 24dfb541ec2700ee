//! The tables of results, in Markdown.

use crate::contest::Operation;
use crate::engine::Engine;
use crate::increments::Lost;
use crate::operations::{Line, Times};
use crate::sessions::SIZE;
use crate::{Plan, TASKS};
use session3_test_support::directory::file_system;
use session3_test_support::thousands;

/// Prints what was set.
pub fn print_head(plan: &Plan, engines: &[Engine]) {
    println!("## The stores on other engines\n");
    let Plan { rounds, few, .. } = plan;
    println!(
        "States of {SIZE} bytes, in a store with {} other sessions; medians of up to {rounds} \
         slices, of which those of all contestants take turns. All data are on {}.\n",
        thousands(*few),
        file_system(&std::env::temp_dir())
    );
    for engine in engines {
        println!("- {}: {}", engine.name, engine.settings);
    }
    println!();
}

/// Prints the head of the table of operations.
pub fn print_operations_head() {
    println!(
        "Microseconds for each operation. *Floor* is the same script or statement through the same \
         client library; *ratio* is the median of the quotients of neighbouring slices of session3 \
         and of the floor; **bold** ratios miss their bound. With {TASKS} at a time, the figure is \
         the time divided by the number of operations.\n"
    );
    let columns = ["floor", "session3", "ratio"];
    let mut head = vec!["engine".to_owned(), "operation".to_owned()];
    for tasks in [1, TASKS] {
        head.extend(columns.map(|column| format!("{column}, {tasks}")));
    }
    print_table_head(&head, 2);
}

/// Prints how long a flush took before and after a part of the run.
pub fn print_flushes(flushes: &[(&str, [f64; 2])]) {
    println!("\nMicroseconds of an fdatasync of the same file system, before and after:\n");
    for (engine, [before, after]) in flushes {
        println!("- {engine}: {before:.0}, {after:.0}");
    }
}

/// Prints a line of the table of operations.
pub fn print_operation(line: &Line) {
    let mut row = vec![line.engine.to_owned(), line.name.clone()];
    for times in &line.times {
        let Times {
            floor,
            ours,
            ratio,
            is_met,
            ..
        } = times;
        row.extend([floor, ours].map(|time| format!("{time:.1}")));
        row.push(marked(*ratio, *is_met));
    }
    print_row(&row);
}

/// Prints the table of session3 and its peers. `lost` has the lost increments of each engine.
pub fn print_peers(lines: &[Line], lost: &[Lost]) {
    let all = lost.first().map_or(0, |lost| lost.all);
    println!(
        "\nOther session stores on the same servers, in the same slices; and how many were lost of \
         {all} increments of one session that eight tasks made at once.\n"
    );
    let mut head = vec!["engine".to_owned(), "store".to_owned()];
    for operation in SHARED {
        head.extend([1, TASKS].map(|tasks| format!("{operation}, {tasks}")));
    }
    head.push("lost".into());
    print_table_head(&head, 2);
    let engines = lines.chunk_by(|one, other| one.engine == other.engine);
    for (lines, lost) in engines.zip(lost) {
        print_store(lines, "session3", lost.ours, |times| times.ours);
        for (index, (name, lost)) in lines[0].peers.iter().zip(&lost.peers).enumerate() {
            print_store(lines, name, *lost, |times| times.peers[index]);
        }
    }
}

/// The operations of the table of peers.
const SHARED: [Operation; 2] = [Operation::Load, Operation::Save];

fn print_store(lines: &[Line], name: &str, lost: u64, time: impl Fn(&Times) -> f64) {
    let mut row = vec![lines[0].engine.to_owned(), name.to_owned()];
    for operation in SHARED {
        let operation = operation.to_string();
        let line = lines.iter().find(|line| line.name == operation).unwrap();
        row.extend(line.times.iter().map(|times| format!("{:.1}", time(times))));
    }
    row.push(lost.to_string());
    print_row(&row);
}

/// Prints the head of the table with many sessions.
pub fn print_many_head(plan: &Plan) {
    let (few, many) = (thousands(plan.few), thousands(plan.sessions));
    println!(
        "\nWith {many} sessions, and a sweep that deletes half of them. Times are in microseconds: \
         of loads and saves of random sessions, one at a time; of the sweep, with its pauses, for each session; and \
         of saves without and beside the sweep. Memory is what the peak of the benchmark's process \
         grew by during the sweep.\n"
    );
    let mut head = vec!["engine".to_owned(), "bytes each".to_owned()];
    for operation in ["load", "save"] {
        head.extend([&few, &many].map(|count| format!("{operation}, {count}")));
        head.push(format!("growth of {operation}"));
    }
    let rest = [
        "HOT updates, %",
        "sweep",
        "save",
        "save beside the sweep",
        "ratio",
        "memory, MiB",
    ];
    head.extend(rest.map(str::to_owned));
    print_table_head(&head, 1);
}

/// Prints the head of a table, whose first columns are text and whose others are numbers.
fn print_table_head(columns: &[String], texts: usize) {
    print_row(columns);
    let line = |index| if index < texts { "---" } else { "--:" };
    let lines: Vec<_> = (0..columns.len()).map(|index| line(index).into()).collect();
    print_row(&lines);
}

/// Prints a line of a table.
pub fn print_row(columns: &[String]) {
    println!("| {} |", columns.join(" | "));
}

/// Formats a figure, in bold if it misses its bound.
pub fn marked(figure: f64, is_met: bool) -> String {
    match is_met {
        true => format!("{figure:.2}"),
        false => format!("**{figure:.2}**"),
    }
}
