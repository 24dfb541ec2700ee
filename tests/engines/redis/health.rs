//! What the log and the metrics say about servers that are away.

use std::sync::Arc;
use std::time::Duration;

use session3_store::SessionStore;
use session3_store::health::{Health, RECONNECTS, STORE_UP};
use session3_store_redis::{Options, RedisStore};
use session3_test_support::id;
use session3_test_support::observer::{Observer, observed};

use crate::servers::{Server, wait_for};

const TIMEOUT: Duration = Duration::from_millis(300);

#[test]
fn the_log_and_the_metrics_say_once_that_the_server_is_away_and_back() {
    let server = Server::start_with(&["--save", "", "--requirepass", "secret-of-the-test"]);
    observed(async |observer: &Observer| {
        let options = Options::default().create(true).timeout(TIMEOUT);
        let url = format!("redis://:secret-of-the-test@127.0.0.1:{}", server.port);
        let store = RedisStore::open(&url, options).await.unwrap();
        assert_eq!(observer.gauges(STORE_UP), [1.0]);
        for round in 1..4 {
            server.kill();
            wait_for("a gauge of 0", async || observer.gauges(STORE_UP) == [0.0]).await;
            wait_for("an error", async || {
                store.load_session(&id(1)).await.is_err()
            })
            .await;
            assert_eq!(observer.lines().len(), 2 * round - 1);
            server.restart();
            wait_for("recovery", async || {
                store.load_session(&id(1)).await.is_ok()
            })
            .await;
            assert_eq!(observer.gauges(STORE_UP), [1.0]);
            assert_eq!(observer.counter(RECONNECTS), round as u64);
            assert_eq!(observer.lines().len(), 2 * round);
        }
        for pair in observer.lines().chunks(2) {
            assert!(pair[0].contains("WARN") && pair[0].contains("Redis cannot be reached"));
            assert!(pair[1].contains("INFO") && pair[1].contains("can be reached again"));
        }
        let log = observer.lines().concat();
        assert!(
            log.contains(&server.port.to_string()) && !log.contains("secret"),
            "{log}"
        );
    });
}

#[test]
fn a_server_that_is_away_at_first_is_an_error_of_opening_and_no_line_of_the_log() {
    observed(async |observer: &Observer| {
        let url = format!("redis://127.0.0.1:{}", crate::servers::free_port());
        let opened = RedisStore::open(&url, Options::default()).await;
        assert!(opened.is_err());
        assert_eq!(observer.lines(), [""; 0]);
    });
}

#[test]
fn a_server_is_away_when_its_last_connection_ended_and_no_longer_counts_when_it_is_not_used() {
    observed(async |observer: &Observer| {
        let health = Arc::new(Health::new("Redis", "host:1".into()));
        let (one, other) = (health.connected(), health.connected());
        drop(one);
        health.is_away("refused");
        assert_eq!(
            (observer.gauges(STORE_UP), observer.lines().len()),
            (vec![1.0], 0)
        );
        drop(other);
        for _ in 0..3 {
            health.is_away("refused");
        }
        assert_eq!(
            (observer.gauges(STORE_UP), observer.lines().len()),
            (vec![0.0], 1)
        );
        drop(health);
        assert!(observer.gauges(STORE_UP)[0].is_nan());
    });
}
