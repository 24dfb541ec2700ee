//! Histories, which must be linearizable whatever happens to the connections and the server.

use std::sync::Arc;

use session3_test_history::{Plan, Recorder, Subject, amount, record};
use session3_test_servers::Server;
use session3_test_support::dice::Dice;
use session3_test_support::{block_on, random};

use crate::calls::TIMEOUT;
use crate::proxy::Proxy;
use crate::{Engine, new_url, table};

/// The number of stores that the clients of a test share, as if each was a process.
const STORES: usize = 3;

/// Opens the stores that the clients of a test share.
pub async fn open_all<E: Engine>(url: &str) -> Vec<Arc<dyn Subject>> {
    let mut stores = Vec::<Arc<dyn Subject>>::new();
    for _ in 0..STORES {
        stores.push(E::open(url, TIMEOUT).await);
    }
    stores
}

pub fn what_clients_of_several_stores_see_has_an_order<E: Engine>() {
    let seed = random::seed();
    block_on(async {
        let plan = Plan {
            drops: 5,
            ..Plan::new(seed)
        };
        let stores = open_all::<E>(&new_url::<E>()).await;
        let history = record(plan, stores, async |recorder| {
            recorder.progress(amount(5000)).await;
        });
        history.await.assert_linearizable();
    });
}

pub fn what_clients_see_has_an_order_although_connections_are_lost_and_silent<E: Engine>() {
    let seed = random::seed();
    block_on(async {
        let proxy = Proxy::new(E::shared_port()).await;
        let table = table();
        let mut stores = open_all::<E>(&E::url(proxy.port, &table)).await;
        stores.push(E::open(&E::url(E::shared_port(), &table), TIMEOUT).await);
        let history = record(Plan::with_lost_answers(seed), stores, async |recorder| {
            let mut dice = Dice::new(seed);
            for _ in 0..amount(60) {
                disturb(&proxy, recorder, &mut dice).await;
            }
        });
        // A touch that is repeated may undo another one.
        history.await.without_expiry().assert_linearizable();
    });
}

/// Disturbs the connections once, in a random way.
async fn disturb(proxy: &Proxy, recorder: &Recorder, dice: &mut Dice) {
    match dice.below(10) {
        // The clients of the store without the proxy go on.
        0 => proxy.set_silent(true),
        1 => proxy.refuse(),
        2 => proxy.close_all(),
        _ => proxy.cut_replies(1 + dice.below(2)),
    }
    recorder.progress(20 + dice.below(100) as u64).await;
    proxy.set_silent(false);
    proxy.accept();
    recorder.progress(20 + dice.below(50) as u64).await;
}

pub fn what_clients_see_has_an_order_although_the_server_is_killed<E: Engine>() {
    let seed = random::seed();
    block_on(async {
        let mut server = E::start();
        let stores = open_all::<E>(&server.url()).await;
        let mut killed = 0;
        let history = record(Plan::with_lost_answers(seed), stores, async |recorder| {
            let mut dice = Dice::new(seed);
            for _ in 0..amount(5) {
                recorder.progress(100 + dice.below(300) as u64).await;
                server.kill();
                killed = recorder.now();
                server.restart();
            }
            recorder.progress(300).await;
        });
        // A crash may undo touches, or a touch that is repeated may undo another one.
        let history = history.await.without_expiry();
        let history = match E::SHOWS_EARLY {
            true => history.without_reads_before(killed),
            false => history,
        };
        history.assert_linearizable();
    });
}
