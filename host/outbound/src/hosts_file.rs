//! The names of `/etc/hosts` (`hosts(5)`).

use std::fs;
use std::net::IpAddr;

const PATH: &str = "/etc/hosts";

/// Returns the addresses that the file gives to a name in lower case. A file that cannot be read
/// gives none.
pub fn addresses(name: &str) -> Vec<IpAddr> {
    // A name that is not UTF-8 is that of no rule.
    let text = fs::read(PATH).unwrap_or_default();
    addresses_in(&String::from_utf8_lossy(&text), name)
}

fn addresses_in(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().map(|line| {
        let end = line.find('#').unwrap_or(line.len());
        line[..end].split_whitespace()
    });
    let named = lines.filter_map(|mut words| {
        let address = words.next()?.parse().ok()?;
        let has_name = words.any(|word| word.eq_ignore_ascii_case(name));
        has_name.then_some(address)
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# 192.0.2.9 db.example
127.0.0.1\tlocalhost
192.0.2.1 db.example  db # other.example
::1 DB.Example
nonsense db.example
fe80::1%eth0 db.example
192.0.2.2
";

    #[test]
    fn a_name_has_the_addresses_of_all_its_lines() {
        let find = |name: &str| {
            let addresses = addresses_in(TEXT, name).into_iter();
            addresses.map(|address| address.to_string()).collect()
        };
        let found: Vec<String> = find("db.example");
        assert_eq!(found, ["192.0.2.1", "::1"]);
        assert_eq!(find("db"), ["192.0.2.1"]);
        for name in ["example", "other.example", "192.0.2.2", "#", ""] {
            assert_eq!(find(name), [""; 0], "{name}");
        }
    }
}
