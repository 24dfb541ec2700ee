//! The picture in the chapter "Speed" of the book, which shows a table of the chapter.

use std::fs;

use session3_test_program::project::root;
use session3_test_support::picture::{Server, of_servers};

const CHAPTER: &str = include_str!("../../docs/src/speed.md");

/// Returns the servers of the table, whose columns are their names and the two rates.
fn servers() -> Vec<Server> {
    let (_, table) = CHAPTER.split_once("\n| server | pages a second |").unwrap();
    let lines = table.lines().skip(2);
    let lines = lines.take_while(|line| line.starts_with('|'));
    let server = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [pages, additions] = [cells[2], cells[3]].map(|cell| cell.replace(',', ""));
        Server {
            name: cells[1].to_owned(),
            pages: pages.parse().unwrap(),
            additions: additions.parse().unwrap(),
        }
    };
    lines.map(server).collect()
}

/// With `UPDATE=1`, draws the picture.
#[test]
fn the_picture_of_the_book_shows_its_table() {
    let servers = servers();
    assert!(servers.len() > 8);
    let (file, expected) = (
        root().join("docs/src/images/servers.svg"),
        of_servers(&servers).svg(),
    );
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &expected).unwrap();
    }
    let drawn = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        drawn == expected,
        "the picture is old: run the test the_picture_of_the_book_shows_its_table with UPDATE=1"
    );
    assert!(CHAPTER.contains("](images/servers.svg)"));
}
