//! Clients that let the application take all that it can get.

use std::io;

use session3_test_support::dice::Dice;

use super::socket::{Target, read_to_end};

const GREEDY: [&str; 5] = ["fields", "bodies", "random", "memory", "trap"];
const ENDLESS: [&str; 2] = ["loop", "half"];

/// Requests a page that fails, after it has taken what it can.
pub async fn greedy(target: &Target, dice: &mut Dice) -> io::Result<()> {
    let page: &&str = dice.pick(&GREEDY);
    get(target, page).await
}

/// Requests a page that computes without an end.
pub async fn endless(target: &Target, dice: &mut Dice) -> io::Result<()> {
    let page: &&str = dice.pick(&ENDLESS);
    get(target, page).await
}

async fn get(target: &Target, page: &str) -> io::Result<()> {
    let request = format!("GET /{page} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    read_to_end(&mut target.send(request).await?).await
}
