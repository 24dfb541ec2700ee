//! Which IP addresses are not part of the public internet.

use std::fmt;
use std::net::IpAddr;
use std::sync::LazyLock;

use ipnet::IpNet;

/// What an IP address is, if it is not one of the public internet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum AddressClass {
    /// The machine itself: `127.0.0.0/8` and `::1`.
    Loopback,
    /// One link, such as `169.254.0.0/16` and `fe80::/10`.
    LinkLocal,
    /// A private network: RFC 1918, unique local and site-local addresses.
    Private,
    /// The network between a provider's NAT and its customers, `100.64.0.0/10`.
    SharedNat,
    /// The metadata service of a cloud, which gives out credentials.
    CloudMetadata,
    /// No address: `0.0.0.0/8` and `::`.
    Unspecified,
    /// A group of machines.
    Multicast,
    /// An address for documentation.
    Documentation,
    /// An address for benchmarks of networks.
    Benchmarking,
    /// An IPv6 address that stands for an IPv4 address: NAT64, 6to4, Teredo and others.
    Translated,
    /// An address whose packets are discarded.
    Discard,
    /// An address that is reserved or not assigned.
    Reserved,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Private => "a private address",
            Self::SharedNat => "an address of a provider's NAT",
            Self::CloudMetadata => "the metadata service of a cloud",
            Self::Unspecified => "an unspecified address",
            Self::Multicast => "a multicast address",
            Self::Documentation => "an address for documentation",
            Self::Benchmarking => "an address for benchmarks",
            Self::Translated => "a translated IPv4 address",
            Self::Discard => "a discard-only address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// A network whose addresses are not public.
#[derive(Debug)]
pub(crate) struct Block {
    pub network: IpNet,
    pub class: AddressClass,
}

/// The networks that are not public: IANA's registries of special-purpose addresses, all of
/// IPv6 outside of `2000::/3`, and the metadata services of clouds. The few exceptions within
/// `192.0.0.0/24` and `2001::/23` that are reachable, such as anycast addresses of NAT
/// traversal, count as reserved, since no HTTP server has them.
const BLOCKS: &[(&str, AddressClass)] = &[
    ("0.0.0.0/8", AddressClass::Unspecified),
    ("10.0.0.0/8", AddressClass::Private),
    ("100.64.0.0/10", AddressClass::SharedNat),
    // Alibaba Cloud.
    ("100.100.100.200/32", AddressClass::CloudMetadata),
    ("127.0.0.0/8", AddressClass::Loopback),
    // Azure, which also serves DNS and health checks there.
    ("168.63.129.16/32", AddressClass::CloudMetadata),
    ("169.254.0.0/16", AddressClass::LinkLocal),
    // AWS, Azure, Google Cloud and most other clouds.
    ("169.254.169.254/32", AddressClass::CloudMetadata),
    // The credentials of tasks and pods of AWS.
    ("169.254.170.2/32", AddressClass::CloudMetadata),
    ("169.254.170.23/32", AddressClass::CloudMetadata),
    ("172.16.0.0/12", AddressClass::Private),
    ("192.0.0.0/24", AddressClass::Reserved),
    ("192.0.2.0/24", AddressClass::Documentation),
    ("192.88.99.0/24", AddressClass::Reserved),
    ("192.168.0.0/16", AddressClass::Private),
    ("198.18.0.0/15", AddressClass::Benchmarking),
    ("198.51.100.0/24", AddressClass::Documentation),
    ("203.0.113.0/24", AddressClass::Documentation),
    ("224.0.0.0/4", AddressClass::Multicast),
    ("240.0.0.0/4", AddressClass::Reserved),
    // What is outside of 2000::/3.
    ("::/3", AddressClass::Reserved),
    ("4000::/2", AddressClass::Reserved),
    ("8000::/1", AddressClass::Reserved),
    ("::/96", AddressClass::Translated),
    ("::/128", AddressClass::Unspecified),
    ("::1/128", AddressClass::Loopback),
    ("::ffff:0:0:0/96", AddressClass::Translated),
    ("64:ff9b::/96", AddressClass::Translated),
    ("64:ff9b:1::/48", AddressClass::Translated),
    ("100::/64", AddressClass::Discard),
    ("2001::/23", AddressClass::Reserved),
    ("2001::/32", AddressClass::Translated),
    ("2001:2::/48", AddressClass::Benchmarking),
    ("2001:db8::/32", AddressClass::Documentation),
    ("2002::/16", AddressClass::Translated),
    ("3fff::/20", AddressClass::Documentation),
    ("fc00::/7", AddressClass::Private),
    // AWS, Oracle Cloud and Google Cloud.
    ("fd00:ec2::/32", AddressClass::CloudMetadata),
    ("fd00:c1::a9fe:a9fe/128", AddressClass::CloudMetadata),
    ("fd20:ce::254/128", AddressClass::CloudMetadata),
    ("fe80::/10", AddressClass::LinkLocal),
    ("fec0::/10", AddressClass::Private),
    ("ff00::/8", AddressClass::Multicast),
];

/// The blocks, from the smallest network to the largest, so that the first one that contains
/// an address says most about it.
static SORTED: LazyLock<Vec<Block>> = LazyLock::new(|| {
    let block = |(network, class): &(&str, AddressClass)| {
        let network = network.parse().ok()?;
        Some(Block {
            network,
            class: *class,
        })
    };
    let mut blocks: Vec<_> = BLOCKS.iter().filter_map(block).collect();
    blocks.sort_by_key(|block| std::cmp::Reverse(block.network.prefix_len()));
    blocks
});

/// Returns the smallest network that contains an address and is not public, or `None` for a
/// public address.
pub(crate) fn block_of(address: IpAddr) -> Option<&'static Block> {
    let address = address.to_canonical();
    SORTED.iter().find(|block| block.network.contains(&address))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::random::runner;

    fn class(address: &str) -> Option<AddressClass> {
        block_of(address.parse().unwrap()).map(|block| block.class)
    }

    #[test]
    fn every_block_is_valid() {
        assert_eq!(SORTED.len(), BLOCKS.len());
        for block in SORTED.iter() {
            assert_eq!(block.network, block.network.trunc());
        }
    }

    #[test]
    fn public_addresses_are_in_no_block() {
        let cases = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.114.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2001:200::",
            "2001:4860:4860::8888",
            "2003::",
            "2606:4700::1111",
            "2a00::1",
            "3ffe:ffff::",
            "3fff:1000::",
            "2000::",
            "3fff:ffff::",
        ];
        for address in cases {
            assert_eq!(class(address), None, "{address}");
        }
    }

    #[test]
    fn every_class_has_its_addresses() {
        use AddressClass::*;
        let cases: &[(AddressClass, &[&str])] = &[
            (
                Loopback,
                &["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"],
            ),
            (
                LinkLocal,
                &["169.254.0.0", "169.254.255.255", "fe80::1", "febf:ffff::"],
            ),
            (
                Private,
                &[
                    "10.0.0.0",
                    "10.255.255.255",
                    "172.16.0.0",
                    "172.31.255.255",
                    "192.168.0.0",
                    "192.168.255.255",
                    "::ffff:10.0.0.1",
                    "fc00::",
                    "fdff:ffff::",
                    "fec0::",
                    "feff:ffff::",
                ],
            ),
            (SharedNat, &["100.64.0.0", "100.127.255.255"]),
            (
                CloudMetadata,
                &[
                    "169.254.169.254",
                    "169.254.170.2",
                    "169.254.170.23",
                    "100.100.100.200",
                    "168.63.129.16",
                    "fd00:ec2::254",
                    "fd00:ec2::23",
                    "fd20:ce::254",
                    "fd00:c1::a9fe:a9fe",
                    "::ffff:169.254.169.254",
                ],
            ),
            (Unspecified, &["0.0.0.0", "0.255.255.255", "::"]),
            (
                Multicast,
                &["224.0.0.0", "239.255.255.255", "ff00::", "ff02::1"],
            ),
            (
                Documentation,
                &[
                    "192.0.2.1",
                    "198.51.100.1",
                    "203.0.113.1",
                    "2001:db8::1",
                    "3fff:fff::",
                ],
            ),
            (Benchmarking, &["198.18.0.0", "198.19.255.255", "2001:2::1"]),
            (
                Translated,
                &[
                    // NAT64, 6to4, Teredo, IPv4-compatible and IPv4-translated addresses, each
                    // with a private or the loopback address.
                    "64:ff9b::7f00:1",
                    "64:ff9b::8.8.8.8",
                    "64:ff9b:1::a00:1",
                    "64:ff9b:1:ffff::1",
                    "2002:7f00:1::",
                    "2002:808:808::1",
                    "2001::1",
                    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
                    "::127.0.0.1",
                    "::8.8.8.8",
                    "::ffff:0:7f00:1",
                ],
            ),
            (Discard, &["100::", "100::ffff:ffff:ffff:ffff"]),
            (
                Reserved,
                &[
                    "192.0.0.0",
                    "192.0.0.192",
                    "192.88.99.1",
                    "240.0.0.0",
                    "255.255.255.255",
                    "100:0:0:1::",
                    "2001:10::",
                    "2001:1ff::",
                    "5f00::",
                    "1fff::",
                    "4000::",
                    "fe00::",
                    "fbff::",
                    "200::",
                ],
            ),
        ];
        for (expected, addresses) in cases {
            for address in *addresses {
                assert_eq!(class(address), Some(*expected), "{address}");
            }
        }
    }

    #[test]
    fn std_knows_no_special_ipv4_address_that_is_in_no_block() {
        let test = |bits: u32| {
            let address = Ipv4Addr::from(bits);
            let is_special = address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_documentation()
                || address.is_unspecified();
            let network = |address| block_of(address).map(|block| block.network);
            let found = network(address.into());
            prop_assert!(!is_special || found.is_some(), "{address}");
            // An IPv4 address is the same whether it is written as IPv4 or as IPv6.
            prop_assert_eq!(found, network(address.to_ipv6_mapped().into()));
            Ok(())
        };
        runner(20_000).run(&any::<u32>(), test).unwrap();
    }

    #[test]
    fn only_global_unicast_addresses_of_ipv6_are_in_no_block() {
        let test = |bits: u128| {
            let address = Ipv6Addr::from(bits);
            if block_of(address.into()).is_none() && address.to_ipv4_mapped().is_none() {
                prop_assert!(
                    (0x2000..0x4000).contains(&address.segments()[0]),
                    "{address}"
                );
            }
            Ok(())
        };
        runner(20_000).run(&any::<u128>(), test).unwrap();
    }

    #[test]
    fn every_address_of_a_block_is_in_a_block() {
        let test = |(index, bits): (prop::sample::Index, u128)| {
            let network = SORTED[index.index(SORTED.len())].network;
            let address: IpAddr = match (network.network(), network.hostmask()) {
                (IpAddr::V4(start), IpAddr::V4(mask)) => {
                    Ipv4Addr::from(start.to_bits() | (bits as u32 & mask.to_bits())).into()
                }
                (IpAddr::V6(start), IpAddr::V6(mask)) => {
                    Ipv6Addr::from(start.to_bits() | (bits & mask.to_bits())).into()
                }
                _ => unreachable!("a network has one version of IP"),
            };
            prop_assert!(block_of(address).is_some(), "{address}");
            Ok(())
        };
        runner(20_000)
            .run(&any::<(prop::sample::Index, u128)>(), test)
            .unwrap();
    }
}
