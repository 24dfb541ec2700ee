//! Connects to the first of several addresses that answers.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long an attempt has before the next address is tried as well, as in RFC 8305.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// The number of addresses of a name that are tried.
const MAX_ATTEMPTS: usize = 8;

/// Connects to one of these addresses. The next address is tried if an attempt fails or takes
/// longer than [`ATTEMPT_DELAY`]. The first connection wins and ends the other attempts.
pub async fn dial(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut waiting = in_order(addresses);
    let mut attempts = JoinSet::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.pop_front() {
            attempts.spawn(TcpStream::connect(SocketAddr::new(address, port)));
        }
        tokio::select! {
            Some(attempt) = attempts.join_next() => match attempt {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = error,
                Err(error) => failure = error.into(),
            },
            () = sleep(ATTEMPT_DELAY), if !waiting.is_empty() => {}
            else => return Err(failure),
        }
    }
}

/// Returns the addresses that are tried, with those of IPv6 and of IPv4 in turns, so that a
/// network without one of both costs one attempt.
fn in_order(addresses: &[IpAddr]) -> VecDeque<IpAddr> {
    let v6 = addresses.iter().filter(|address| address.is_ipv6());
    let mut v4 = addresses.iter().filter(|address| address.is_ipv4());
    let mut order = VecDeque::new();
    for address in v6 {
        order.push_back(*address);
        order.extend(v4.next());
    }
    order.extend(v4);
    order.truncate(MAX_ATTEMPTS);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_ip_take_turns() {
        let order = |addresses: &[&str]| {
            let addresses: Vec<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            let order = in_order(&addresses).into_iter();
            order.map(|address| address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            order(&["1.0.0.1", "1.0.0.2", "1.0.0.3", "2a00::1", "2a00::2"]),
            ["2a00::1", "1.0.0.1", "2a00::2", "1.0.0.2", "1.0.0.3"]
        );
        assert_eq!(order(&["2a00::1", "2a00::2"]), ["2a00::1", "2a00::2"]);
        assert_eq!(order(&[]), [""; 0]);
        assert_eq!(order(&["1.0.0.1"; 100]), ["1.0.0.1"; MAX_ATTEMPTS]);
    }
}
