//! The host that a request names.

use http::uri::Authority;

/// Returns whether an authority is a host and maybe a port, without a user (RFC 9110 §4.2.4 and
/// §7.2). `Authority` itself accepts more, such as `h@h:80`, whose host some programs take to be
/// what is before the first colon.
///
/// ```
/// use http::uri::Authority;
/// use session3_listen::is_host;
///
/// assert!(is_host(&Authority::from_static("[::1]:8080")));
/// assert!(!is_host(&Authority::from_static("shop.example:x@shop.example.org:443")));
/// ```
pub fn is_host(authority: &Authority) -> bool {
    let host = authority.host();
    let Some(rest) = authority.as_str().strip_prefix(host) else {
        return false;
    };
    let is_port = match rest.strip_prefix(':') {
        None => rest.is_empty(),
        Some("") => true,
        // `parse` would accept a sign.
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    };
    is_port && !host.is_empty() && !authority.as_str().contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_no_user_and_at_most_a_port() {
        let is_valid = |text: &str| text.parse().is_ok_and(|authority| is_host(&authority));
        for text in ["h", "h:80", "h:", "1.2.3.4:65535", "[::1]", "[::1]:8080"] {
            assert!(is_valid(text), "{text}");
        }
        for text in [
            "h@h",
            "h@h:80",
            "u:p@h",
            "h.example:x@h.example.org:443",
            "[::1]evil:80",
            "[::1]evil",
            "h:+80",
            "h:99999",
            "h:x",
            "@",
            "",
        ] {
            assert!(!is_valid(text), "{text}");
        }
    }
}
