//! The proxies whose word is believed.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use thiserror::Error;

use crate::Peer;

/// The networks of this machine itself (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// The networks for private use (RFC 1918 §3, RFC 4193 §3.1).
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// The proxies whose word about their clients is believed. By default, there is none.
///
/// The text of a list has entries that are separated by commas:
///
/// | entry | meaning |
/// | --- | --- |
/// | `192.0.2.1`, `2001:db8::1` | one address |
/// | `10.0.0.0/8`, `2001:db8::/32` | a network |
/// | `loopback` | `127.0.0.0/8` and `::1` |
/// | `private` | `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16` and `fc00::/7` |
/// | `unix` | every client of a Unix socket |
///
/// A network must contain proxies only: each of its addresses can claim to be any client. That
/// includes clients behind another proxy, since an address in this list is never taken for a
/// client if a proxy names another one. `0.0.0.0/0` lets every client choose its address.
///
/// ```
/// use session3_listen::{Peer, TrustedProxies};
///
/// let proxies: TrustedProxies = "loopback, 10.1.0.0/16".parse()?;
/// let peer = |text: &str| Peer::from(text.parse::<std::net::SocketAddr>().unwrap());
/// assert!(proxies.contains(&peer("[::ffff:10.1.2.3]:4000")));
/// assert!(!proxies.contains(&peer("10.2.0.1:4000")));
/// assert!(!proxies.contains(&Peer::Unix));
/// # Ok::<(), session3_listen::TrustedProxiesError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Arc<[IpNet]>,
    unix: bool,
}

/// Why a text is no list of [`TrustedProxies`].
#[derive(Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TrustedProxiesError {
    /// This entry is none of those that exist.
    #[error(
        "{}: this is not a network; write an address, a network such as 10.0.0.0/8, \
         loopback, private or unix", .0.escape_debug()
    )]
    Entry(String),
    /// This network has an address with bits after its prefix.
    #[error(
        "{0}: the address has bits after the prefix; write {1}, or the address without a prefix"
    )]
    HostBits(String, IpNet),
}

impl TrustedProxies {
    /// Returns whether a peer is one of the proxies.
    pub fn contains(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Ip(address) => self.contains_ip(address.ip()),
            Peer::Unix => self.unix,
            Peer::Unknown => false,
        }
    }

    /// Returns whether every address is that of a proxy, so that every client can choose the
    /// address by which it is known.
    pub fn contains_everyone(&self) -> bool {
        self.networks
            .iter()
            .any(|network| network.prefix_len() == 0)
    }

    /// Returns whether an address, which is not an IPv4 address in the form of IPv6, is that of
    /// a proxy.
    pub(crate) fn contains_ip(&self, address: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

impl FromStr for TrustedProxies {
    type Err = TrustedProxiesError;

    fn from_str(text: &str) -> Result<Self, TrustedProxiesError> {
        let mut networks = Vec::new();
        let mut unix = false;
        let entries = text.split(',').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            match entry {
                "unix" => unix = true,
                "loopback" => {
                    networks.extend(LOOPBACK.iter().flat_map(|text| text.parse::<IpNet>()))
                }
                "private" => networks.extend(PRIVATE.iter().flat_map(|text| text.parse::<IpNet>())),
                _ => networks.push(network(entry)?),
            }
        }
        let networks = networks.into();
        Ok(Self { networks, unix })
    }
}

fn network(entry: &str) -> Result<IpNet, TrustedProxiesError> {
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let parsed = entry.parse::<IpNet>();
    let network = parsed.map_err(|_| TrustedProxiesError::Entry(entry.to_owned()))?;
    match network.trunc() == network {
        true => Ok(canonical(network)),
        false => Err(TrustedProxiesError::HostBits(
            entry.to_owned(),
            network.trunc(),
        )),
    }
}

/// Converts a network of IPv4 addresses in the form of IPv6, such as `::ffff:10.0.0.0/104`,
/// since peers are never in that form.
fn canonical(network: IpNet) -> IpNet {
    let mapped = |address: Ipv6Addr, length: u8| {
        Ipv4Net::new(address.to_ipv4_mapped()?, length.checked_sub(96)?).ok()
    };
    match network {
        IpNet::V6(v6) => mapped(v6.addr(), v6.prefix_len()).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(address: &str) -> Peer {
        match address {
            "unix" => Peer::Unix,
            address => Peer::from(std::net::SocketAddr::new(address.parse().unwrap(), 1)),
        }
    }

    #[test]
    fn each_entry_contains_its_addresses_only() {
        for (list, inside, outside) in [
            ("", vec![], vec!["127.0.0.1", "::1", "unix"]),
            (" , ", vec![], vec!["127.0.0.1", "unix"]),
            (
                "192.0.2.1",
                vec!["192.0.2.1", "::ffff:192.0.2.1"],
                vec!["192.0.2.2"],
            ),
            (
                "2001:db8::1",
                vec!["2001:db8::1"],
                vec!["2001:db8::2", "192.0.2.1"],
            ),
            (
                "10.0.0.0/8",
                vec!["10.255.0.1", "::ffff:10.0.0.1"],
                vec!["11.0.0.1", "::a00:1"],
            ),
            ("::ffff:10.0.0.0/104", vec!["10.255.0.1"], vec!["11.0.0.1"]),
            ("::ffff:10.0.0.1", vec!["10.0.0.1"], vec!["10.0.0.2"]),
            (
                "2001:db8::/32",
                vec!["2001:db8:ffff::1"],
                vec!["2001:db9::1"],
            ),
            (
                "loopback",
                vec!["127.1.2.3", "::1"],
                vec!["10.0.0.1", "::2", "unix"],
            ),
            (
                "private",
                vec!["10.0.0.1", "172.31.0.1", "192.168.9.9", "fd00::1"],
                vec!["172.32.0.1", "127.0.0.1", "fe80::1", "unix"],
            ),
            ("unix", vec!["unix"], vec!["127.0.0.1"]),
            (
                "unix,loopback , 10.1.0.0/16",
                vec!["unix", "::1", "10.1.9.9"],
                vec!["10.2.0.1"],
            ),
            ("0.0.0.0/0", vec!["1.2.3.4"], vec!["::1", "unix"]),
        ] {
            let proxies: TrustedProxies = list.parse().expect(list);
            for address in inside {
                assert!(proxies.contains(&peer(address)), "{list}: {address}");
            }
            for address in outside {
                assert!(!proxies.contains(&peer(address)), "{list}: {address}");
            }
        }
    }

    #[test]
    fn a_wrong_entry_is_refused_in_one_line() {
        for (list, why) in [
            ("10.0.0.0/33", "not a network"),
            ("10.0.0/8", "not a network"),
            ("example.org", "not a network"),
            ("127.0.0.1 10.0.0.1", "not a network"),
            ("*", "not a network"),
            ("loopback\nx", "not a network"),
            ("fe80::1%eth0", "not a network"),
            ("10.0.0.1/8", "write 10.0.0.0/8"),
        ] {
            let error = list.parse::<TrustedProxies>().expect_err(list).to_string();
            assert!(
                error.contains(why) && !error.contains('\n'),
                "{list}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[0-9a-f:./, ]{0,30}|\\PC{0,30}") {
            let _ = text.parse::<TrustedProxies>();
        }
    }
}
