//! The holder of a lease, killed.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use session3_store::SessionStore;
use session3_test_support::{block_on, id};

use crate::{Engine, PATIENCE, new_url};

const TIME: Duration = Duration::from_secs(2);

pub fn the_lease_of_a_process_that_was_killed_ends_at_its_deadline<E: Engine>() {
    block_on(async {
        let url = new_url::<E>();
        let store = E::open(&url, PATIENCE).await;
        let start = Instant::now();
        let mut holder = Command::new(env::current_exe().unwrap())
            .args(["--exact", "holder", "--ignored", "--nocapture"])
            .env("HOLD", &url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(holder.stdout.take().unwrap());
        assert!(output.lines().any(|line| line.unwrap().contains("locked")));
        holder.kill().unwrap();
        holder.wait().unwrap();
        let lock = store.lock_session(&id(1), TIME).await.unwrap();
        assert!(start.elapsed() >= TIME);
        assert!(lock.is_held());
    });
}

pub fn holder<E: Engine>() {
    let Ok(url) = env::var("HOLD") else { return };
    block_on(async {
        let store = E::open(&url, PATIENCE).await;
        let lock = store.lock_session(&id(1), TIME).await.unwrap();
        println!("locked");
        std::future::pending::<()>().await;
        drop(lock);
    });
}
