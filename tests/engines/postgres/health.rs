//! What the log and the metrics say about servers that are away.

use session3_store::SessionStore;
use session3_store::health::{RECONNECTS, STORE_UP};
use session3_test_engines::calls::eventually;
use session3_test_engines::proxy::Proxy;
use session3_test_support::id;
use session3_test_support::observer::{Observer, observed};

use crate::faults::{connect_all, open};
use crate::server::{PASSWORD, Server};

#[test]
fn the_log_and_the_metrics_say_once_that_the_server_is_away_and_back() {
    observed(async |observer: &Observer| {
        let server = Server::start(&[]);
        let proxy = Proxy::new(server.port).await;
        let store = open(&server, &proxy).await;
        for round in 1..4 {
            connect_all(&server, &store).await;
            let before = observer.counter(RECONNECTS);
            proxy.refuse();
            eventually("an error", async || {
                store.load_session(&id(1)).await.is_err()
            })
            .await;
            assert_eq!(observer.gauges(STORE_UP), [0.0]);
            assert_eq!(observer.lines().len(), 2 * round - 1);
            proxy.accept();
            connect_all(&server, &store).await;
            // The first attempt of a connection may have ended with the others, so that its second
            // one is no reconnection.
            eventually("reconnections", async || {
                observer.counter(RECONNECTS) >= before + 3
            })
            .await;
            assert_eq!(observer.gauges(STORE_UP), [1.0]);
            assert_eq!(observer.lines().len(), 2 * round);
        }
        for pair in observer.lines().chunks(2) {
            assert!(pair[0].contains("WARN") && pair[0].contains("PostgreSQL cannot be reached"));
            assert!(pair[1].contains("INFO") && pair[1].contains("can be reached again"));
        }
        let log = observer.lines().concat();
        assert!(
            log.contains(&proxy.port.to_string()) && !log.contains(PASSWORD),
            "{log}"
        );
    });
}
