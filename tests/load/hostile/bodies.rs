//! Clients that do not take responses, or send bodies slowly.

use std::io;
use std::time::Duration;

use session3_test_support::dice::Dice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use super::http2;
use super::socket::{MAX_TIME, Target, hold, send_slowly};

/// A page of 147 kB, which fits the server's buffers.
const PAGE: &str = "GET /bytes/147 HTTP/1.1\r\nHost: h\r\n\r\n";
/// A page that no buffer holds.
const LARGE: &str = "GET /bytes/60000 HTTP/1.1\r\nHost: h\r\n\r\n";
/// How long a client holds what it does not read: longer than the server should wait.
const HOLD: Duration = Duration::from_secs(20);
/// How much of some uploads comes at once: as much as the server receives before the request gets
/// an instance.
const EARLY: usize = 64 << 10;

/// Requests a page once or often, and reads nothing.
pub async fn unread(target: &Target, dice: &mut Dice) -> io::Result<()> {
    let mut stream = target.connect_small().await?;
    let requests = *dice.pick(&[1, 1, 3, 10]);
    stream.write_all(PAGE.repeat(requests).as_bytes()).await?;
    hold(stream, HOLD).await
}

/// Requests a page and reads a byte each second.
pub async fn trickle(target: &Target) -> io::Result<()> {
    let mut stream = target.connect_small().await?;
    stream.write_all(PAGE.as_bytes()).await?;
    let start = Instant::now();
    while start.elapsed() < MAX_TIME && stream.read(&mut [0]).await? > 0 {
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// Requests a large response, and reads nothing.
pub async fn large(target: &Target, dice: &mut Dice) -> io::Result<()> {
    if dice.percent(20) {
        return http2::large(target).await;
    }
    let mut stream = target.connect_small().await?;
    stream.write_all(LARGE.as_bytes()).await?;
    hold(stream, HOLD).await
}

/// Sends many requests at once, and reads nothing.
pub async fn pipeline(target: &Target) -> io::Result<()> {
    const REQUESTS: usize = 256;
    let mut stream = target.connect_small().await?;
    let requests = "GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(REQUESTS);
    stream.write_all(requests.as_bytes()).await?;
    hold(stream, HOLD).await
}

/// Sends a body slowly, with a length or in chunks, and with or without much of it at once.
pub async fn slow_upload(target: &Target, dice: &mut Dice) -> io::Result<()> {
    let (has_length, has_beginning) = (dice.percent(50), dice.percent(50));
    let head = |field: &str| format!("POST /body HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n");
    let beginning = "x".repeat(EARLY);
    let mut text = match has_length {
        true => head("Content-Length: 1000000"),
        false => head("Transfer-Encoding: chunked"),
    };
    if has_beginning && has_length {
        text += &beginning;
    } else if has_beginning {
        text += &format!("{EARLY:x}\r\n{beginning}\r\n");
    }
    let stream = target.send(&text).await?;
    let piece: &[u8] = match has_length {
        true => b"x",
        false => b"1\r\nx\r\n",
    };
    send_slowly(stream, piece.iter().copied().cycle()).await
}
