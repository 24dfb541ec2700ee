//! Statements that connections prepare, as the log of the server shows them.

use session3_store::SessionStore;
use session3_test_support::{block_on, id, state};

use crate::server::{Server, new_table, open};

/// The number of connections of a store.
const CONNECTIONS: usize = 4;

/// How often the statement of a load was parsed under a name, parsed without one, and executed.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    named: usize,
    unnamed: usize,
    executed: usize,
}

/// Loads a session this many times, with these parameters of the URL.
async fn load(times: usize, parameters: &str) -> Counts {
    let server = Server::start(&["log_min_duration_statement = 0"]);
    let store = open(&format!("{}{parameters}", new_table(&server))).await;
    store.create_session(&id(1), &state("a")).await.unwrap();
    for _ in 0..times {
        assert!(store.load_session(&id(1)).await.unwrap().is_some());
    }
    let log = server.log();
    let loads = log
        .lines()
        .filter_map(|line| line.split_once(": SELECT id, version,"));
    let steps: Vec<_> = loads.map(|(step, _)| step).collect();
    let count = |is_counted: fn(&str) -> bool| steps.iter().filter(|step| is_counted(step)).count();
    Counts {
        named: count(|step| step.contains(" parse ") && !step.ends_with("<unnamed>")),
        unnamed: count(|step| step.ends_with(" parse <unnamed>")),
        executed: count(|step| step.contains(" execute ")),
    }
}

#[test]
fn each_connection_prepares_a_statement_once_if_the_url_says_so() {
    block_on(async {
        let counts = load(20, "&prepare=on").await;
        assert!((1..=CONNECTIONS).contains(&counts.named), "{counts:?}");
        assert_eq!((counts.unnamed, counts.executed), (0, 20));
    });
}

#[test]
fn no_statement_is_prepared_unless_the_url_says_so() {
    block_on(async {
        for parameters in ["", "&prepare=off"] {
            let expected = Counts {
                named: 0,
                unnamed: 20,
                executed: 20,
            };
            assert_eq!(load(20, parameters).await, expected);
        }
    });
}
