//! The page of the book with all commands and options, which is made from the program.

use std::fs;
use std::path::PathBuf;

use session3_test_program::session3;

/// The commands in the order of `session3 --help`.
fn commands(help: &str) -> Vec<String> {
    let Some((_, rest)) = help.split_once("Commands:\n") else {
        return Vec::new();
    };
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let is_name = |name: &&str| !name.is_empty() && *name != "help";
    names.filter(is_name).map(str::to_owned).collect()
}

fn help(arguments: &[&str]) -> String {
    let output = session3().args(arguments).arg("--help").output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned()
}

fn page() -> String {
    let all = help(&[]);
    let mut page = format!(
        "# Commands and options\n\nThis page is what the program prints with `--help`. Options of \
         `session3 serve` may\nstand in a file: see [Operating a server](operating.md).\n\n\
         ```text\n{all}\n```\n"
    );
    for command in commands(&all) {
        let of_command = help(&[&command]);
        page += &format!("\n## session3 {command}\n\n```text\n{of_command}\n```\n");
        for below in commands(&of_command) {
            let help = help(&[&command, &below]);
            page += &format!("\n### session3 {command} {below}\n\n```text\n{help}\n```\n");
        }
    }
    page
}

/// With `UPDATE=1`, writes the page.
#[test]
fn the_page_of_all_commands_is_what_the_program_prints() {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/src/commands.md"
    ));
    let page = page();
    assert!(page.matches("\n## session3 ").count() > 10, "{page}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/src/commands.md is not up to date: run the test \
         the_page_of_all_commands_is_what_the_program_prints with UPDATE=1"
    );
}
