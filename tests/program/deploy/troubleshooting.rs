//! The messages in the chapter "Troubleshooting" are those of the program.

use std::fs;

use session3_test_support::files;

use super::root;

const CHAPTER: &str = include_str!("../../../docs/src/troubleshooting.md");

/// Messages of wasmtime, and metrics, which another test compares.
const OTHERS: [&str; 3] = [
    "failed to make memory executable",
    "session3_instance_wait_seconds",
    "session3_store_seconds",
];

/// Returns the sources of the program as one text, with each string literal on one line.
fn sources() -> String {
    let mut sources = String::new();
    for file in files(&root().join("host")) {
        if file.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&file).unwrap();
            let mut lines = text.split("\\\n");
            sources += lines.next().unwrap();
            lines.for_each(|line| sources += line.trim_start());
        }
    }
    sources
}

/// Returns the spans of code in a cell, which begin and end with as many backticks.
fn messages(cell: &str) -> Vec<&str> {
    let mut messages = Vec::new();
    let mut rest = cell;
    while let Some(start) = rest.find('`') {
        let after = rest[start..].trim_start_matches('`');
        let fence = &rest[start..rest.len() - after.len()];
        let (message, next) = after.split_once(fence).expect(cell);
        messages.push(message.trim());
        rest = next;
    }
    messages
}

#[test]
fn the_messages_in_the_book_are_those_of_the_program() {
    let sources = sources();
    let mut count = 0;
    let rows = CHAPTER.lines().filter(|line| line.starts_with("| "));
    for row in rows {
        let cell = row.split(" | ").next().unwrap();
        for message in messages(cell) {
            let is_message = message.contains(' ') && !OTHERS.contains(&message);
            if !is_message {
                continue;
            }
            for part in message.split('…').map(str::trim) {
                let is_there = part.len() < 4 || sources.contains(part);
                assert!(is_there, "no message of the program has: {part:?}");
            }
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}
