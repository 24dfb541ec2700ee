//! Clients that do not follow the protocol.

use std::io;

use session3_test_support::dice::Dice;

use super::http2;
use super::socket::{Target, read_to_end};

const REQUESTS: [&str; 10] = [
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nNo colon\r\n\r\n",
    "GET / HTTP/9.9\r\nHost: h\r\n\r\n",
    "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n",
    "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n",
    "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}",
    "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
];

/// Sends what is not a request.
pub async fn malformed(target: &Target, dice: &mut Dice) -> io::Result<()> {
    match dice.below(5) {
        0 => http2::random(target, dice).await,
        1 => {
            let field = format!("x: {}\r\n", "x".repeat(dice.below(9000)));
            let count = dice.below(200);
            let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", field.repeat(count));
            read_to_end(&mut target.send(request).await?).await
        }
        2 => {
            let bytes: Vec<u8> = (0..dice.below(2000)).map(|_| dice.roll() as u8).collect();
            read_to_end(&mut target.send(bytes).await?).await
        }
        _ => {
            let request = *dice.pick(&REQUESTS);
            read_to_end(&mut target.send(request).await?).await
        }
    }
}
