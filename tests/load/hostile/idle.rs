//! Clients that open connections and need none.

use std::io;
use std::iter::repeat;
use std::time::Duration;

use session3_test_support::dice::Dice;
use tokio::io::AsyncWriteExt;

use super::http2;
use super::socket::{Target, read_to_end, send_slowly};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Keeps a connection without need.
pub async fn idle(target: &Target, dice: &mut Dice) -> io::Result<()> {
    match dice.below(5) {
        0 => http2::ping(target).await,
        1 => read_to_end(&mut target.connect().await?).await,
        2 => read_to_end(&mut target.send(&REQUEST[..20]).await?).await,
        // A header that never ends, after a request or as the first one.
        3 => {
            let stream = target
                .send(format!("{REQUEST}GET / HTTP/1.1\r\nHost: "))
                .await?;
            send_slowly(stream, repeat(b'h')).await
        }
        _ => {
            let stream = target.connect().await?;
            send_slowly(stream, REQUEST.bytes().take(16).chain(repeat(b'x'))).await
        }
    }
}

/// Opens a connection and breaks it off.
pub async fn churn(target: &Target, dice: &mut Dice) -> io::Result<()> {
    match dice.below(4) {
        0 => drop(target.connect().await?),
        // Resets the connection, in the middle of a request or of a response.
        1 => target.send(&REQUEST[..20]).await?.set_zero_linger()?,
        2 => {
            let stream = target
                .send("GET /bytes/147 HTTP/1.1\r\nHost: h\r\n\r\n")
                .await?;
            tokio::time::sleep(Duration::from_millis(dice.below(20) as u64)).await;
            stream.set_zero_linger()?;
        }
        _ => {
            let mut stream = target.send(REQUEST).await?;
            stream.shutdown().await?;
            read_to_end(&mut stream).await?;
        }
    }
    Ok(())
}
