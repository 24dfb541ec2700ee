//! Thousands of malformed Cookie headers.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use session3::store::{MemoryStore, SessionStore};

use session3_test_harness::manager::Manager;
use session3_test_support::block_on;

const SEED: [u8; 32] = *b"10,000 malformed Cookie headers.";

/// Generates headers: random bytes, combinations of parts of valid headers, and a valid cookie
/// with one byte of its secret changed.
fn header(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "__Host-session",
        "=",
        ";",
        "; ",
        "\"",
        ".",
        "\0",
        "%00",
        "../",
        "\r\n",
        ",",
        "é",
        "0123456789abcdef0123456789abcdef",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "$Version=1",
        "\u{feff}",
    ]);
    let puzzle =
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat().into_bytes());
    let secret_at = good.iter().position(|byte| *byte == b'.').unwrap() + 1;
    let mutated = (secret_at..good.len() - 1, any::<u8>()).prop_map(move |(at, byte)| {
        let mut mutated = good.clone();
        mutated[at] = if mutated[at] == byte { byte ^ 1 } else { byte };
        mutated
    });
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), puzzle, mutated]
}

#[test]
fn ten_thousand_malformed_cookie_headers_act_as_none() {
    println!("seed {SEED:?}");
    block_on(async {
        let store = Arc::new(MemoryStore::default());
        let mut manager = Manager::new(store.clone()).await;
        let good = manager.request(b"", "n", 1).await;
        let id = String::from_utf8_lossy(&good)[15..47].parse().unwrap();
        let before = store.load_session(&id).await;

        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let headers = prop::collection::vec(header(good.clone()), 1..4);
        for _ in 0..10_000 {
            let cookies = headers.new_tree(&mut runner).unwrap().current();
            let shown = format!("{cookies:?}");
            let session = manager.open(cookies).await.unwrap();
            assert!(manager.is_new(session).await, "{shown}");
            let headers = manager.commit(session).await.unwrap();
            assert!(
                headers.iter().all(|header| header.name != "Set-Cookie"),
                "{shown}"
            );
        }
        assert_eq!(store.load_session(&id).await, before);
        let session = manager.open(vec![good]).await.unwrap();
        assert!(
            !manager.is_new(session).await,
            "the valid cookie opens its session"
        );
    });
}
