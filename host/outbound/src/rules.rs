//! All rules of an application.

use std::net::IpAddr;

use crate::address::{AddressClass, block_of};
use crate::error::OutboundError;
use crate::host::Host;
use crate::rule::Rule;
use crate::target::Target;

/// What an application may call. Without a rule, it may call nothing.
///
/// ```
/// use session3_outbound::{Rule, Rules};
///
/// let rules: Rules = ["api.example.com", "10.0.0.0/8:8080"]
///     .into_iter()
///     .map(Rule::parse)
///     .collect::<Result<_, _>>()?;
/// # Ok::<(), session3_outbound::RuleError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Returns whether there is no rule, so that nothing may be called.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that the rules allow a target, before its name is resolved.
    pub(crate) fn check(&self, target: &Target) -> Result<(), OutboundError> {
        if !self.0.iter().any(|rule| rule.allows(target)) {
            return Err(OutboundError::Denied(target.clone()));
        }
        match target.host() {
            Host::Address(address) => self.check_address(target, *address),
            Host::Name(_) => Ok(()),
        }
    }

    /// Checks that a connection for an allowed target may be one to this address.
    pub(crate) fn check_address(
        &self,
        target: &Target,
        address: IpAddr,
    ) -> Result<(), OutboundError> {
        let Some(block) = block_of(address) else {
            return Ok(());
        };
        if block.class == AddressClass::Loopback && target.host().is_localhost() {
            return Ok(());
        }
        // A rule for 0.0.0.0/0 means the internet. It must not open the private networks, which
        // need a rule that is about them.
        let address = address.to_canonical();
        let mut networks = self
            .0
            .iter()
            .filter_map(|rule| rule.network_at(target.port()));
        if networks.any(|network| block.network.contains(network) && network.contains(&address)) {
            return Ok(());
        }
        Err(OutboundError::ProhibitedAddress {
            target: target.clone(),
            address,
            class: block.class,
        })
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<T: IntoIterator<Item = Rule>>(rules: T) -> Self {
        Self(rules.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::random::runner;

    fn rules(texts: &[&str]) -> Rules {
        texts
            .iter()
            .map(|text| Rule::parse(text).unwrap())
            .collect()
    }

    fn target(uri: &str) -> Target {
        Target::from_uri(&uri.parse().unwrap()).unwrap()
    }

    fn is_prohibited(rules: &Rules, uri: &str, address: &str) -> bool {
        let result = rules.check_address(&target(uri), address.parse().unwrap());
        assert!(matches!(
            result,
            Ok(()) | Err(OutboundError::ProhibitedAddress { .. })
        ));
        result.is_err()
    }

    #[test]
    fn without_a_rule_nothing_is_allowed() {
        let rules = Rules::default();
        assert!(rules.is_empty());
        for uri in [
            "http://example.com/",
            "http://8.8.8.8/",
            "http://localhost/",
        ] {
            let error = rules.check(&target(uri)).unwrap_err();
            assert!(matches!(error, OutboundError::Denied(_)), "{uri}");
        }
    }

    #[test]
    fn an_address_in_a_url_needs_a_rule_for_addresses() {
        let names = rules(&["example.com", "*.example.com", "localhost"]);
        for uri in ["http://8.8.8.8/", "http://127.0.0.1/", "http://[::1]/"] {
            assert!(names.check(&target(uri)).is_err(), "{uri}");
        }
        assert!(
            rules(&["8.8.8.8"])
                .check(&target("http://8.8.8.8/"))
                .is_ok()
        );
        assert!(
            rules(&["8.8.0.0/16"])
                .check(&target("http://8.8.8.8/"))
                .is_ok()
        );
        assert!(
            rules(&["127.0.0.1"])
                .check(&target("http://127.0.0.1/"))
                .is_ok()
        );
    }

    #[test]
    fn a_name_is_public_unless_a_rule_is_about_its_address() {
        let uri = "http://db.example:8080/";
        let name = rules(&["db.example:8080"]);
        assert!(!is_prohibited(&name, uri, "8.8.8.8"));
        for address in [
            "10.0.0.1",
            "127.0.0.1",
            "::1",
            "169.254.169.254",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_prohibited(&name, uri, address), "{address}");
        }
        let network = rules(&["db.example:8080", "10.0.0.0/24:8080"]);
        assert!(!is_prohibited(&network, uri, "10.0.0.1"));
        assert!(!is_prohibited(&network, uri, "::ffff:10.0.0.1"));
        assert!(is_prohibited(&network, uri, "10.0.1.1"));
        // The rule is about another port.
        let network = rules(&["db.example:8080", "10.0.0.0/24"]);
        assert!(is_prohibited(&network, uri, "10.0.0.1"));
    }

    #[test]
    fn localhost_may_be_loopback_and_nothing_else() {
        let rules = rules(&["localhost", "other.example"]);
        let uri = "http://localhost/";
        assert!(!is_prohibited(&rules, uri, "127.0.0.1"));
        assert!(!is_prohibited(&rules, uri, "::1"));
        assert!(is_prohibited(&rules, uri, "10.0.0.1"));
        assert!(is_prohibited(&rules, uri, "0.0.0.0"));
        assert!(is_prohibited(&rules, "http://other.example/", "127.0.0.1"));
        assert!(rules.check(&target("http://a.localhost/")).is_err());
    }

    #[test]
    fn a_rule_for_the_internet_opens_no_private_network() {
        let rules = rules(&["0.0.0.0/0", "[::]/0", "*.example"]);
        assert!(rules.check(&target("http://8.8.8.8/")).is_ok());
        assert!(rules.check(&target("http://[2a00::1]/")).is_ok());
        for address in [
            "10.0.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "[::1]",
            "[fd00::1]",
        ] {
            let uri = format!("http://{address}/");
            assert!(
                matches!(
                    rules.check(&target(&uri)),
                    Err(OutboundError::ProhibitedAddress { .. })
                ),
                "{address}"
            );
        }
    }

    #[test]
    fn the_metadata_of_a_cloud_needs_a_rule_of_its_own() {
        let uri = "http://meta.example/";
        let broad = rules(&["169.254.0.0/16", "100.64.0.0/10", "[fd00::]/8"]);
        assert!(!is_prohibited(&broad, uri, "169.254.0.1"));
        assert!(!is_prohibited(&broad, uri, "fd00::1"));
        for address in ["169.254.169.254", "100.100.100.200", "fd00:ec2::254"] {
            assert!(is_prohibited(&broad, uri, address), "{address}");
        }
        let exact = rules(&["169.254.169.254", "[fd00:ec2::254]"]);
        assert!(!is_prohibited(&exact, uri, "169.254.169.254"));
        assert!(!is_prohibited(&exact, uri, "fd00:ec2::254"));
    }

    /// Adds the rule that a denial names.
    fn follow(rules: &mut Rules, error: OutboundError) {
        let message = error.to_string();
        let (_, rule) = message.split_once("--allow-outbound ").unwrap();
        rules.0.push(Rule::parse(rule).unwrap());
    }

    #[test]
    fn the_rule_that_a_denial_names_allows_the_request() {
        let v4 = any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from(bits)));
        let v6 = any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from(bits)));
        let test = |(address, port): (IpAddr, u16)| {
            let host = Host::Address(address.to_canonical());
            let uri = format!("http://{host}:{port}/");
            let mut rules = Rules::default();
            let error = rules.check(&target(&uri)).unwrap_err();
            follow(&mut rules, error);
            prop_assert!(rules.check(&target(&uri)).is_ok(), "{uri}");

            let uri = format!("http://a.example:{port}/");
            let mut rules = Rules::default();
            let error = rules.check(&target(&uri)).unwrap_err();
            follow(&mut rules, error);
            prop_assert!(rules.check(&target(&uri)).is_ok(), "{uri}");
            if let Err(error) = rules.check_address(&target(&uri), address) {
                follow(&mut rules, error);
            }
            prop_assert!(rules.check_address(&target(&uri), address).is_ok());
            Ok(())
        };
        let values = (prop_oneof![v4, v6], 1u16..);
        runner(10_000).run(&values, test).unwrap();
    }
}
