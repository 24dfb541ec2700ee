//! The header of the PROXY protocol, versions 1 and 2, in which a proxy for TCP names the client
//! of a connection. HAProxy's [specification] defines it.
//!
//! [specification]: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{v1, v2};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::Peer;

/// What version 2 begins with (§2.2).
const SIGNATURE: &[u8] = v2::PROTOCOL_PREFIX;
/// The size of what every header of version 2 has: signature, command, family and length.
const FIXED: usize = SIGNATURE.len() + 4;
/// The commands of version 2 (§2.2): the proxy's own connection, such as a health check, or that
/// of a client.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// The family of a client whose address is unknown to the proxy.
const UNSPECIFIED: u8 = 0;
/// The largest size of a header of version 1, with its line break (§2.1).
const MAX_V1: usize = 107;
/// The largest size of addresses and TLVs in version 2. The format allows 64 kB; proxies send
/// some hundred bytes, and some thousand with the certificate of a client.
const MAX_V2: usize = 4096;

/// Why a header of the PROXY protocol is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// The connection ended or failed before the end of the header.
    #[error("the connection ended within the header: {0}")]
    Io(#[from] io::Error),
    /// The connection begins with something else.
    #[error("the connection does not begin with a header")]
    Missing,
    /// The header does not follow the specification.
    #[error("the header is malformed")]
    Malformed,
    /// The header has more bytes than this.
    #[error("the header has more than {0} bytes")]
    TooLong(usize),
    /// The header is about a client without an IP address, or about datagrams.
    #[error("the header is not about a client of TCP")]
    NotTcp,
}

/// Reads a header, and nothing of what follows. Returns the client, or `None` if the header says
/// that the connection is the proxy's own (`LOCAL`): its peer is then that of the socket.
///
/// A client whose address the proxy does not know (`UNKNOWN`, `AF_UNSPEC`) is
/// [`Peer::Unknown`]. The specification allows the address of the proxy in its place, but the
/// server would then believe this client as it believes the proxy.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Peer>, ProxyHeaderError> {
    // The shortest header is `PROXY UNKNOWN` with a line break, which is longer.
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    match header.as_slice() {
        SIGNATURE => read_v2(stream, header).await,
        [b'P', b'R', b'O', b'X', b'Y', b' ', ..] => read_v1(stream, header).await,
        _ => Err(ProxyHeaderError::Missing),
    }
}

/// Reads the rest of a line. It is read byte by byte, since the first bytes of the client follow.
async fn read_v1(
    stream: &mut (impl AsyncRead + Unpin),
    mut line: Vec<u8>,
) -> Result<Option<Peer>, ProxyHeaderError> {
    while !line.ends_with(b"\n") {
        if line.len() == MAX_V1 {
            return Err(ProxyHeaderError::TooLong(MAX_V1));
        }
        line.push(stream.read_u8().await?);
    }
    let parsed = v1::Header::try_from(line.as_slice());
    let header = parsed.map_err(|_| ProxyHeaderError::Malformed)?;
    // The parser stops at the first `\r`.
    if header.header.len() != line.len() {
        return Err(ProxyHeaderError::Malformed);
    }
    Ok(Some(match header.addresses {
        v1::Addresses::Unknown => Peer::Unknown,
        v1::Addresses::Tcp4(ip) => client(ip.source_address, ip.source_port),
        v1::Addresses::Tcp6(ip) => client(ip.source_address, ip.source_port),
    }))
}

async fn read_v2(
    stream: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> Result<Option<Peer>, ProxyHeaderError> {
    header.resize(FIXED, 0);
    stream.read_exact(&mut header[SIGNATURE.len()..]).await?;
    let [.., command, family, high, low] = header[..] else {
        return Err(ProxyHeaderError::Malformed);
    };
    let length = usize::from(high) << 8 | usize::from(low);
    if length > MAX_V2 {
        return Err(ProxyHeaderError::TooLong(MAX_V2));
    }
    header.resize(FIXED + length, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    match (command, family) {
        (LOCAL, _) => return Ok(None),
        (PROXY, UNSPECIFIED) => return Ok(Some(Peer::Unknown)),
        _ => {}
    }
    let parsed = v2::Header::try_from(header.as_slice());
    let header = parsed.map_err(|_| ProxyHeaderError::Malformed)?;
    match (header.protocol, header.addresses) {
        (v2::Protocol::Stream, v2::Addresses::IPv4(ip)) => {
            Ok(Some(client(ip.source_address, ip.source_port)))
        }
        (v2::Protocol::Stream, v2::Addresses::IPv6(ip)) => {
            Ok(Some(client(ip.source_address, ip.source_port)))
        }
        _ => Err(ProxyHeaderError::NotTcp),
    }
}

fn client(address: impl Into<IpAddr>, port: u16) -> Peer {
    SocketAddr::new(address.into(), port).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a header, and returns what follows it.
    fn read_from(mut bytes: &[u8]) -> (Result<Option<Peer>, ProxyHeaderError>, &[u8]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let result = runtime.expect("a runtime").block_on(read(&mut bytes));
        (result, bytes)
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(
            beginning in prop_oneof![
                Just(&b""[..]),
                Just(&b"PROXY "[..]),
                Just(&b"PROXY TCP4 "[..]),
                Just(SIGNATURE),
                Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"[..]),
                Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0"[..]),
            ],
            rest: Vec<u8>,
        ) {
            let bytes = [beginning, &rest].concat();
            let (result, _) = read_from(&bytes);
            // A header of version 1 is never longer than allowed.
            if bytes.starts_with(b"PROXY ") && bytes.len() > MAX_V1 {
                let is_end = matches!(result, Err(ProxyHeaderError::Io(_)));
                prop_assert!(!is_end);
            }
        }

        #[test]
        fn no_text_is_a_panic(
            text in "PROXY (TCP4|TCP6|UNKNOWN)?[0-9a-f.: \r]{0,100}\r?\n.*"
        ) {
            let _ = read_from(text.as_bytes());
        }

        #[test]
        fn what_follows_a_header_is_not_read(source: SocketAddr, is_v1: bool, rest: Vec<u8>) {
            let mut header = match (is_v1, source) {
                (true, source) => {
                    let family = if source.is_ipv4() { 4 } else { 6 };
                    let (ip, port) = (source.ip(), source.port());
                    format!("PROXY TCP{family} {ip} {ip} {port} {port}\r\n").into_bytes()
                }
                (false, source) => {
                    let command = v2::Version::Two | v2::Command::Proxy;
                    let addresses = (source, source);
                    let header =
                        v2::Builder::with_addresses(command, v2::Protocol::Stream, addresses);
                    header.build().expect("a header")
                }
            };
            header.extend(&rest);
            let (result, following) = read_from(&header);
            prop_assert_eq!(result.expect("a header"), Some(Peer::from(source)));
            prop_assert_eq!(following, &rest);
        }
    }
}
