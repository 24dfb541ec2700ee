//! The chapter "Moving to another store" of the book, whose commands run as an operator types
//! them, while visitors use the site.

use std::fs;

use session3_test_program::Browser;
use session3_test_servers::free_port;
use session3_test_servers::postgres::{PASSWORD, Postgres};
use session3_test_support::wait_until;

use crate::book::{Shell, blocks};

const CHAPTER: &str = include_str!("../../docs/src/moving.md");

/// What ends the processes that the shell has not started by itself.
const END: &str = "nginx -p \"$PWD\" -c nginx.conf -s stop";

#[test]
fn an_operator_moves_a_site_by_the_commands_of_the_book() {
    let directory = tempfile::tempdir().unwrap();
    let postgres = Postgres::shared();
    fs::write(directory.path().join("password"), PASSWORD).unwrap();
    let ports = [(); 3].map(|()| free_port().to_string());
    let store = postgres.url_without_password() + "?table=moved";
    // The addresses of the example become those of this machine.
    let here = |text: &str| {
        text.replace("postgres://web@10.0.0.6/shop", &store)
            .replace("8080", &ports[0])
            .replace("8081", &ports[1])
            .replace("8082", &ports[2])
    };
    let [nginx] = blocks(CHAPTER, "nginx")[..] else {
        panic!("one file for nginx")
    };
    // nginx writes its process ID and its logs where this test may.
    let nginx = "pid nginx.pid; error_log stderr;\n".to_owned() + &here(nginx);
    let nginx = nginx.replace("http {", "http { access_log off;");
    fs::write(directory.path().join("nginx.conf"), nginx).unwrap();
    let site = format!("http://127.0.0.1:{}/", ports[0]);
    let mut shell = Shell::new(directory.path(), END);
    let blocks = blocks(CHAPTER, "sh")
        .into_iter()
        .map(here)
        .collect::<Vec<_>>();
    let [variables, before, proxy, first, pause, after] = &blocks[..] else {
        panic!("the chapter has other blocks of commands: {blocks:?}");
    };
    shell.run(variables);
    shell.run(before);
    shell.run(proxy);
    let wait = || wait_until("the site", || Browser::new().get(&site, "").status == 200);
    wait();
    let mut visitors: Vec<_> = (0..5).map(|_| Browser::new()).collect();
    for visitor in &mut visitors {
        visitor.get(&site, "keep");
    }
    let mut leaving = visitors.pop().unwrap();

    let said = shell.run(first);
    assert!(
        said.contains("copied 5, updated 0, unchanged 0, deleted 0"),
        "{said}"
    );
    for visitor in &mut visitors {
        visitor.get(&site, "increment");
    }
    leaving.get(&site, "logout");
    let said = shell.run(pause);
    assert!(
        said.contains("copied 0, updated 4, unchanged 0, deleted 1"),
        "{said}"
    );
    wait();
    shell.run(after);

    // Both servers answer, and only the user who logged out is logged out.
    for visitor in &mut visitors {
        for expected in 1..5 {
            assert_eq!(visitor.look(&site).1, expected);
            visitor.get(&site, "increment");
        }
    }
    assert_eq!(leaving.look(&site).0, "None");
}
