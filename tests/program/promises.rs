//! The book promises nothing that no test shows.

use std::fs;
use std::path::Path;

use session3_test_support::files;

#[test]
fn each_promise_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let features = fs::read_to_string(root.join("docs/src/promises.md")).unwrap();
    let sources = ["tests", "guest/manager", "host"].map(|directory| root.join(directory));
    let sources = sources.iter().flat_map(|directory| files(directory));
    let is_rust = |file: &std::path::PathBuf| file.extension().is_some_and(|e| e == "rs");
    let code: String = sources
        .filter(is_rust)
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let rows = features
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(2);
    let mut named = 0;
    for row in rows {
        let shown_by = row.rsplit(" | ").next().unwrap();
        for name in shown_by.split('`').skip(1).step_by(2) {
            let is_there = match name.starts_with("tests/") {
                true => root.join(name).exists(),
                false => code.contains(&format!("fn {name}")),
            };
            assert!(is_there, "{name}");
            named += 1;
        }
    }
    assert!(named > 25, "{named}");
    for item in 1..=28 {
        assert!(code.contains(&format!("fn checklist_{item:02}_")), "{item}");
    }
}
