//! Measures operations beside the bare commands of the client library.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session3_store::{SessionId, SessionState, SessionStore};
use session3_store_redis::{Options, RedisStore};
use session3_test_support::{block_on, id};

use crate::servers::Server;

const COUNT: u128 = 5000;
const TASKS: u128 = 64;

fn print(what: &str, time: Duration, count: u128) {
    let micros = time.as_secs_f64() * 1e6 / count as f64;
    println!("{what:32} {micros:8.1} µs, {:8.0} a second", 1e6 / micros);
}

fn numbered(number: u128) -> SessionId {
    id(number << 112 | number)
}

fn new_state() -> SessionState {
    SessionState {
        user: Some("alice".into()),
        expires: u64::MAX,
        data: vec![7; 500],
    }
}

/// Run it with `--ignored --nocapture bench::`, on a machine that does nothing else.
#[test]
#[ignore = "a benchmark"]
fn operations_beside_bare_commands() {
    block_on(async {
        let server = Server::start();
        let options = Options::default().create(true);
        let store = RedisStore::open(&server.url(), options).await.unwrap();
        let store = Arc::new(store);
        let client = redis::Client::open(server.url()).unwrap();
        let mut bare = client.get_multiplexed_async_connection().await.unwrap();
        let data = vec![7_u8; 500];
        let started = Instant::now();
        for number in 0..COUNT {
            let key = format!("bare:{number}");
            let mut command = redis::cmd("HSET");
            command.arg(key).arg("v").arg(1).arg("d").arg(&data);
            let _: () = command.query_async(&mut bare).await.unwrap();
        }
        print("bare HSET", started.elapsed(), COUNT);
        let started = Instant::now();
        for number in 0..COUNT {
            let mut command = redis::cmd("HMGET");
            command.arg(format!("bare:{number}")).arg("v").arg("d");
            let _: redis::Value = command.query_async(&mut bare).await.unwrap();
        }
        print("bare HMGET", started.elapsed(), COUNT);

        let state = new_state();
        macro_rules! measure {
            ($name:literal, $id:ident => $operation:expr) => {
                let started = Instant::now();
                for number in 0..COUNT {
                    let $id = numbered(number);
                    $operation.await.unwrap();
                }
                print($name, started.elapsed(), COUNT);
            };
        }
        measure!("create", id => store.create_session(&id, &state));
        measure!("load", id => store.load_session(&id));
        measure!("save", id => store.save_session(&id, &state, 1));
        measure!("touch", id => store.touch_session(&id, u64::MAX, 2));
        measure!("lock and unlock", id => store.lock_session(&id, Duration::from_secs(1)));
        let started = Instant::now();
        store.sessions_of_user("bob").await.unwrap();
        print("sessions of a user with none", started.elapsed(), 1);
        let started = Instant::now();
        store.delete_old_sessions(u32::MAX, None).await.unwrap();
        print("sweep, per session", started.elapsed(), COUNT);

        let started = Instant::now();
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let (store, state) = (store.clone(), state.clone());
                tokio::spawn(async move {
                    for number in (task..COUNT).step_by(TASKS as usize) {
                        let id = numbered(number);
                        store.load_session(&id).await.unwrap();
                        store.save_session(&id, &state, 2).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        print("load and save, 64 tasks", started.elapsed(), COUNT);
        measure!("delete", id => store.delete_session(&id));
    });
}
