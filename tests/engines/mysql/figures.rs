//! Figures for the documentation: how long operations take beside the bare statements.

use std::time::Instant;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Value, params};
use session3_store::{SessionState, SessionStore};
use session3_test_support::{block_on, id};

use crate::server::{Server, client, new_table, open, shared, shared_url, table};

const ROUNDS: u128 = 2000;

/// Returns the mean time of an operation, in microseconds.
async fn time<F: Future>(mut operation: impl FnMut(u128) -> F) -> u128 {
    let start = Instant::now();
    for round in 0..ROUNDS {
        operation(round).await;
    }
    start.elapsed().as_micros() / ROUNDS
}

/// A kilobyte of data, and a user.
fn state() -> SessionState {
    SessionState {
        user: Some("alice".into()),
        expires: u64::MAX,
        data: vec![7; 1000],
    }
}

async fn of_the_store(url: &str) -> [u128; 5] {
    let store = open(url).await;
    let state = state();
    let (create, load) = (
        time(async |n| store.create_session(&id(n), &state).await.unwrap()).await,
        time(async |n| store.load_session(&id(n)).await.unwrap()).await,
    );
    let save = time(async |n| store.save_session(&id(n), &state, 1).await.unwrap()).await;
    let touch = time(async |n| store.touch_session(&id(n), 5, 2).await.unwrap()).await;
    let delete = time(async |n| store.delete_session(&id(n)).await.unwrap()).await;
    [create, load, save, touch, delete]
}

/// Statements with the same effect, on one connection and in this task.
async fn bare(mut client: Conn, table: &str) -> [u128; 5] {
    let columns = "id BINARY(16) PRIMARY KEY, version BIGINT UNSIGNED, expires BIGINT UNSIGNED, \
                   usr BLOB, hash BINARY(32), data MEDIUMBLOB, KEY hash (hash)";
    let create = format!("CREATE TABLE {table} ({columns}) ENGINE=InnoDB");
    client.query_drop(create).await.unwrap();
    let statements = [
        "INSERT INTO t (id, version, expires, usr, hash, data) \
         VALUES (UNHEX(:id), 1, 5, 'alice', REPEAT('x', 32), :data)",
        "SELECT version, expires, usr, data FROM t WHERE id = UNHEX(:id)",
        "UPDATE t SET version = 2, expires = 6, data = :data WHERE id = UNHEX(:id) AND version = 1",
        "UPDATE t SET expires = 7 WHERE id = UNHEX(:id) AND version = 2",
        "DELETE FROM t WHERE id = UNHEX(:id)",
    ];
    let mut times = [0; 5];
    for (statement, result) in statements.iter().zip(&mut times) {
        let statement = statement.replace(" t ", &format!(" {table} "));
        let start = Instant::now();
        for round in 0..ROUNDS {
            let data = Value::Bytes(vec![7; 1000]);
            let params = params! { "id" => id(round).to_string(), "data" => data };
            let answer = client.exec_iter(&statement, params).await.unwrap();
            answer.drop_result().await.unwrap();
        }
        *result = start.elapsed().as_micros() / ROUNDS;
    }
    times
}

#[test]
#[ignore = "measures"]
fn operations_beside_bare_statements() {
    block_on(async {
        println!("µs for create, load, save, touch and delete");
        let name = table();
        println!(
            "{:?} without waiting for the disk",
            of_the_store(&shared_url(&name)).await
        );
        println!("{:?} bare", bare(client(shared()).await, &table()).await);
        let server = Server::start(&[]);
        println!("{:?} with it", of_the_store(&new_table(&server)).await);
        println!("{:?} bare", bare(client(&server).await, &table()).await);
    });
}
