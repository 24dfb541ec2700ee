//! Frames of HTTP/2 (RFC 9113), as a hostile client sends them.

use std::io;
use std::time::Duration;

use session3_test_support::dice::Dice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::socket::{MAX_TIME, Target};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
/// The flags of a whole request: END_STREAM and END_HEADERS.
const WHOLE: u8 = 5;
/// The setting SETTINGS_INITIAL_WINDOW_SIZE with the value 0.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];
/// How many requests a client sends over a connection.
const REQUESTS: [u32; 3] = [20, 60, 100];
/// How many of them it sends at once, and how long it waits then. The processor time that they
/// take would otherwise be felt by all others, on a machine with two processors.
const BATCH: u32 = 10;
const BATCH_INTERVAL: Duration = Duration::from_millis(250);

/// Returns a frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    // Numbers are big-endian on the wire, in bytes from the most significant one.
    let bytes = |number: u32| [24, 16, 8, 0].map(|shift| (number >> shift) as u8);
    let mut frame = bytes(length)[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(bytes(stream));
    frame.extend(payload);
    frame
}

/// Returns a request for this path.
fn request(stream: u32, path: &str) -> Vec<u8> {
    // GET and http from the static table of HPACK, the path, and the authority "h".
    let mut fields = vec![0x82, 0x86, 0x04, path.len() as u8];
    fields.extend(path.as_bytes());
    fields.extend(b"\x01\x01h");
    frame(HEADERS, WHOLE, stream, &fields)
}

/// Requests many pages with a window of 0, and follows the protocol otherwise.
pub async fn zero_window(target: &Target, dice: &mut Dice) -> io::Result<()> {
    request_without_window(target, "/bytes/147", *dice.pick(&REQUESTS)).await
}

/// Requests a large response with a window of 0.
pub async fn large(target: &Target) -> io::Result<()> {
    request_without_window(target, "/bytes/60000", 1).await
}

async fn request_without_window(target: &Target, path: &str, requests: u32) -> io::Result<()> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &NO_WINDOW));
    let mut stream = target.send(bytes).await?;
    for number in 0..requests {
        stream.write_all(&request(2 * number + 1, path)).await?;
        if number % BATCH == BATCH - 1
            && let Ok(ended) = timeout(BATCH_INTERVAL, answer_pings(&mut stream)).await
        {
            return ended;
        }
    }
    timeout(MAX_TIME, answer_pings(&mut stream)).await?
}

/// Makes one request, and then sends and answers pings only.
pub async fn ping(target: &Target) -> io::Result<()> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(request(1, "/"));
    let mut stream = target.send(bytes).await?;
    let start = Instant::now();
    while start.elapsed() < MAX_TIME {
        let interval = Duration::from_secs(5);
        if let Ok(ended) = timeout(interval, answer_pings(&mut stream)).await {
            return ended;
        }
        stream.write_all(&frame(PING, 0, 0, b"pingpong")).await?;
    }
    Ok(())
}

/// Sends frames at random.
pub async fn random(target: &Target, dice: &mut Dice) -> io::Result<()> {
    let mut bytes = PREFACE.to_vec();
    if dice.percent(80) {
        bytes.extend(frame(SETTINGS, 0, 0, &[]));
    }
    for _ in 0..1 + dice.below(20) {
        let payload: Vec<u8> = (0..dice.below(40)).map(|_| dice.roll() as u8).collect();
        let (kind, flags) = (dice.below(11) as u8, dice.roll() as u8);
        bytes.extend(frame(kind, flags, dice.below(6) as u32, &payload));
    }
    let mut stream = target.send(bytes).await?;
    timeout(MAX_TIME, answer_pings(&mut stream)).await?
}

/// Reads frames until the server closes the connection, and answers pings and settings. If this
/// is cancelled within a frame, what follows is no frame; a hostile client may do that too.
async fn answer_pings(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = [0; 9];
    loop {
        if stream.read(&mut head[..1]).await? == 0 {
            return Ok(());
        }
        stream.read_exact(&mut head[1..]).await?;
        let length = head[..3]
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (kind, flags) = (head[3], head[4]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await?;
        let is_new = flags & ACK == 0;
        let answer = match kind {
            SETTINGS if is_new => frame(SETTINGS, ACK, 0, &[]),
            PING if is_new => frame(PING, ACK, 0, &payload),
            _ => continue,
        };
        stream.write_all(&answer).await?;
        // A server that sends frames without a pause must not keep this process busy.
        sleep(Duration::from_millis(1)).await;
    }
}
