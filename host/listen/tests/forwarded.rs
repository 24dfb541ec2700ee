//! Which client a request has, by the headers of its proxies.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use http::uri::Authority;
use proptest::prelude::*;
use session3_listen::{Client, ForwardedHeader, Forwarding, Peer, TrustedProxies};

const X: ForwardedHeader = ForwardedHeader::XForwarded;
const XH: ForwardedHeader = ForwardedHeader::XForwardedHost;
const F: ForwardedHeader = ForwardedHeader::Forwarded;
/// The proxies that most tests trust: 10.0.0.0/8 and others.
const PROXIES: &str = "10.0.0.0/8, 2001:db8:1::/48, unix";

fn peer(text: &str) -> Peer {
    match text {
        "unix" => Peer::Unix,
        "unknown" => Peer::Unknown,
        text => Peer::from(SocketAddr::new(text.parse().expect(text), 4000)),
    }
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).expect(name);
        headers.append(
            name,
            HeaderValue::from_bytes(value.as_bytes()).expect(value),
        );
    }
    headers
}

/// Returns the client of a request to `site` without TLS, after a check that the application
/// gets what is found.
fn identify(family: ForwardedHeader, from: &str, lines: &[(&str, &str)]) -> Client {
    let forwarding = Forwarding::new(PROXIES.parse().expect("proxies"), family);
    let mut headers = headers(lines);
    let site = Authority::from_static("site");
    let client = forwarding.identify(&peer(from), false, Some(&site), &mut headers);
    check(&client, &headers);
    client
}

/// Checks that the headers name this client, once.
fn check(client: &Client, headers: &HeaderMap) {
    let all = |name: &str| -> Vec<_> { headers.get_all(name).iter().collect() };
    let address = client.address.map(|address| address.to_string());
    assert_eq!(all("x-forwarded-for"), Vec::from_iter(&address));
    assert_eq!(all("x-forwarded-proto"), [client.scheme.as_str()]);
    let is_about_client = |name: &HeaderName| {
        let name = name.as_str().replace('_', "-");
        name.contains("forwarded") || name.contains("-ip")
    };
    let about = headers.keys().filter(|name| is_about_client(name)).count();
    assert_eq!(
        about,
        1 + usize::from(client.address.is_some()),
        "{headers:?}"
    );
}

/// Checks the client of requests, each with the address of the peer, the values of one header,
/// and address, scheme and host of the client; `-` is an address that is not known.
fn check_lines(family: ForwardedHeader, name: &str, cases: &[(&str, &[&str], &str)]) {
    for (from, values, expected) in cases {
        let lines: Vec<_> = values.iter().map(|value| (name, *value)).collect();
        check_headers(family, &[(from, &lines, expected)]);
    }
}

/// The address of a peer, the lines of its headers, and what is expected.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// Checks the client of requests with any headers.
fn check_headers(family: ForwardedHeader, cases: &[Case<'_>]) {
    for (from, lines, expected) in cases {
        let client = identify(family, from, lines);
        let address = client
            .address
            .map_or("-".into(), |address| address.to_string());
        let host = client.host.as_ref().map_or("-", Authority::as_str);
        let found = format!("{address} {} {host}", client.scheme);
        assert_eq!(found, *expected, "{from} {lines:?}");
    }
}

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";

#[test]
#[rustfmt::skip]
fn x_forwarded_for_names_the_last_address_that_is_no_proxy() {
    let many_proxies = vec!["10.0.0.1"; 10_000].join(",");
    let many_clients = vec!["192.0.2.1"; 10_000].join(",");
    let commas = ",".repeat(10_000);
    check_lines(X, FOR, &[
        // No proxy, or a peer that is none.
        ("192.0.2.9", &[], "192.0.2.9 http site"),
        ("unix", &[], "- http site"),
        ("unknown", &["192.0.2.1"], "- http site"),
        ("192.0.2.9", &["127.0.0.1"], "192.0.2.9 http site"),
        ("192.0.2.9", &["10.0.0.1", "127.0.0.1"], "192.0.2.9 http site"),
        ("127.0.0.1", &["192.0.2.1"], "127.0.0.1 http site"),
        ("::ffff:192.0.2.9", &["127.0.0.1"], "192.0.2.9 http site"),
        ("2001:db8:2::1", &["127.0.0.1"], "2001:db8:2::1 http site"),
        ("::a00:1", &["127.0.0.1"], "::a00:1 http site"),
        // One proxy, which replaces the list or appends to an empty one.
        ("10.0.0.1", &["192.0.2.1"], "192.0.2.1 http site"),
        ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1 http site"),
        ("2001:db8:1::1", &["192.0.2.1"], "192.0.2.1 http site"),
        ("unix", &["192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &["2001:db8::1"], "2001:db8::1 http site"),
        ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1 http site"),
        ("10.0.0.1", &["192.0.2.1:443"], "192.0.2.1 http site"),
        ("10.0.0.1", &["fe80::1%eth0"], "fe80::1 http site"),
        ("10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &[" \t192.0.2.1\t "], "192.0.2.1 http site"),
        // A proxy that says nothing about the client: its own request.
        ("10.0.0.1", &[], "10.0.0.1 http site"),
        ("10.0.0.1", &[""], "10.0.0.1 http site"),
        // A client that sends a list, through a proxy that appends.
        ("10.0.0.1", &["127.0.0.1, 192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &["10.0.0.2, 192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &["127.0.0.1", "192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &["x\", 192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &["unknown,192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &["é,192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &[",,127.0.0.1,,192.0.2.1,,"], "192.0.2.1 http site"),
        ("10.0.0.1", &["10.0.0.3", "", "192.0.2.1"], "192.0.2.1 http site"),
        // Several proxies.
        ("10.0.0.1", &["192.0.2.1, 10.0.0.2"], "192.0.2.1 http site"),
        ("10.0.0.1", &["127.0.0.1, 192.0.2.1, 10.0.0.3, 10.0.0.2"], "192.0.2.1 http site"),
        ("10.0.0.1", &["192.0.2.1", "10.0.0.2"], "192.0.2.1 http site"),
        ("10.0.0.1", &["192.0.2.1, ::ffff:10.0.0.2"], "192.0.2.1 http site"),
        ("10.0.0.1", &["192.0.2.1, 2001:db8:1::2"], "192.0.2.1 http site"),
        // All are proxies: the first one is the client.
        ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3 http site"),
        ("10.0.0.1", &[&many_proxies], "10.0.0.1 http site"),
        ("10.0.0.1", &[&many_clients], "192.0.2.1 http site"),
        ("10.0.0.1", &[&commas], "10.0.0.1 http site"),
        // Malformed entries and such that hide the client.
        ("10.0.0.1", &["nonsense"], "10.0.0.1 http site"),
        ("10.0.0.1", &["192.0.2.1, nonsense"], "10.0.0.1 http site"),
        ("10.0.0.1", &["192.0.2.1, nonsense, 10.0.0.2"], "10.0.0.2 http site"),
        ("10.0.0.1", &["192.0.2.1 10.0.0.2"], "10.0.0.1 http site"),
        ("10.0.0.1", &["192.0.2.1;10.0.0.2"], "10.0.0.1 http site"),
        ("10.0.0.1", &["192.0.2.1:99999999"], "10.0.0.1 http site"),
        ("10.0.0.1", &["for=192.0.2.1"], "10.0.0.1 http site"),
        ("10.0.0.1", &["unknown"], "- http site"),
        ("10.0.0.1", &["192.0.2.1, unknown, 10.0.0.2"], "- http site"),
        ("10.0.0.1", &["_hidden"], "- http site"),
    ]);
}

#[test]
#[rustfmt::skip]
fn x_forwarded_proto_and_host_are_those_of_the_client() {
    let one = (FOR, "192.0.2.1");
    let local = "127.0.0.1";
    let two = (FOR, "192.0.2.1, 10.0.0.2");
    let f = "forwarded";
    check_headers(X, &[
        ("192.0.2.9", &[(PROTO, "https"), (HOST, "evil")], "192.0.2.9 http site"),
        ("10.0.0.1", &[one, (PROTO, "https")], "192.0.2.1 https site"),
        ("10.0.0.1", &[one, (PROTO, "HTTPS")], "192.0.2.1 https site"),
        ("10.0.0.1", &[one, (PROTO, "wss")], "192.0.2.1 https site"),
        ("10.0.0.1", &[one, (PROTO, "ws")], "192.0.2.1 http site"),
        ("10.0.0.1", &[one, (PROTO, "gopher")], "192.0.2.1 http site"),
        ("10.0.0.1", &[(PROTO, "https")], "10.0.0.1 https site"),
        // A list in which each proxy appends its own scheme.
        ("10.0.0.1", &[one, (PROTO, "https, http")], "192.0.2.1 http site"),
        ("10.0.0.1", &[one, (PROTO, "https"), (PROTO, "http")], "192.0.2.1 http site"),
        ("10.0.0.1", &[two, (PROTO, "https, http")], "192.0.2.1 https site"),
        ("10.0.0.1", &[two, (PROTO, "http, https, http")], "192.0.2.1 https site"),
        ("10.0.0.1", &[two, (PROTO, "https")], "192.0.2.1 https site"),
        ("10.0.0.1", &[two, (PROTO, "nonsense, http")], "192.0.2.1 http site"),
        // The client may have written the host, which counts only if that is chosen.
        ("10.0.0.1", &[one, (HOST, "example.org")], "192.0.2.1 http site"),
        // The other family, and headers of other proxies, which the client may have sent.
        ("10.0.0.1", &[(f, "for=127.0.0.1;proto=https;host=evil")], "10.0.0.1 http site"),
        ("10.0.0.1", &[one, (f, "for=127.0.0.1;proto=https;host=evil")], "192.0.2.1 http site"),
        ("10.0.0.1", &[one, ("x-real-ip", local), ("true-client-ip", local)],
            "192.0.2.1 http site"),
        ("10.0.0.1", &[one, ("cf-connecting-ip", local), ("x-client-ip", local)],
            "192.0.2.1 http site"),
        ("10.0.0.1", &[one, ("x-forwarded-port", "1"), ("x-forwarded-ssl", "on")],
            "192.0.2.1 http site"),
        ("10.0.0.1", &[one, ("x_forwarded_for", local), ("x_real_ip", local)],
            "192.0.2.1 http site"),
        ("192.0.2.9", &[("x_forwarded_for", local), ("x-real-ip", local)], "192.0.2.9 http site"),
    ]);
}

#[test]
#[rustfmt::skip]
fn x_forwarded_host_is_believed_where_that_is_chosen() {
    let one = (FOR, "192.0.2.1");
    check_headers(XH, &[
        ("192.0.2.9", &[(PROTO, "https"), (HOST, "evil")], "192.0.2.9 http site"),
        ("10.0.0.1", &[one], "192.0.2.1 http site"),
        ("10.0.0.1", &[one, (PROTO, "https"), (HOST, "h")], "192.0.2.1 https h"),
        ("10.0.0.1", &[one, (HOST, "example.org")], "192.0.2.1 http example.org"),
        ("10.0.0.1", &[one, (HOST, "example.org:8443")], "192.0.2.1 http example.org:8443"),
        ("10.0.0.1", &[one, (HOST, "[2001:db8::1]:80")], "192.0.2.1 http [2001:db8::1]:80"),
        ("10.0.0.1", &[one, (HOST, "evil, example.org")], "192.0.2.1 http site"),
        ("10.0.0.1", &[one, (HOST, "evil"), (HOST, "example.org")], "192.0.2.1 http site"),
        ("10.0.0.1", &[one, (HOST, "user@example.org")], "192.0.2.1 http site"),
        ("10.0.0.1", &[one, (HOST, "example.org:x")], "192.0.2.1 http site"),
        ("10.0.0.1", &[one, (HOST, "example.org/path")], "192.0.2.1 http site"),
        ("10.0.0.1", &[one, (HOST, "")], "192.0.2.1 http site"),
    ]);
}

#[test]
#[rustfmt::skip]
fn forwarded_names_the_last_hop_that_is_no_proxy() {
    let many = vec!["for=10.0.0.1"; 10_000].join(",");
    let quotes = "\"".repeat(10_001);
    check_lines(F, "forwarded", &[
        ("192.0.2.9", &["for=127.0.0.1;proto=https;host=evil"], "192.0.2.9 http site"),
        ("10.0.0.1", &[], "10.0.0.1 http site"),
        ("10.0.0.1", &["for=192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &["For=192.0.2.1;Proto=HTTPS;Host=h"], "192.0.2.1 https h"),
        ("10.0.0.1", &["by=10.0.0.1;for=192.0.2.1;ext=\"a,b;c\""], "192.0.2.1 http site"),
        ("10.0.0.1", &["for=\"192.0.2.1:47011\""], "192.0.2.1 http site"),
        ("10.0.0.1", &["for=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17 http site"),
        ("10.0.0.1", &["for=\"[2001:db8:cafe::17]\""], "2001:db8:cafe::17 http site"),
        ("10.0.0.1", &["for=\"\\192.0.2.\\1\""], "192.0.2.1 http site"),
        ("10.0.0.1", &["for=\"192.0.2.1:_port\""], "192.0.2.1 http site"),
        ("unix", &["for=192.0.2.1;proto=https;host=\"h:8443\""], "192.0.2.1 https h:8443"),
        ("10.0.0.1", &["for=192.0.2.1 ; proto=https"], "192.0.2.1 https site"),
        ("10.0.0.1", &[";for=192.0.2.1;;"], "192.0.2.1 http site"),
        // Left-out quotes, as many proxies do it.
        ("10.0.0.1", &["for=192.0.2.1:80"], "192.0.2.1 http site"),
        ("10.0.0.1", &["for=[2001:db8::1]:80"], "2001:db8::1 http site"),
        // Scheme and host are those of the same element.
        ("10.0.0.1", &["for=10.0.0.9;host=evil, for=192.0.2.1;host=h, for=10.0.0.2;host=i"],
            "192.0.2.1 http h"),
        ("10.0.0.1", &["for=192.0.2.1;proto=https", "for=10.0.0.2;proto=http"],
            "192.0.2.1 https site"),
        ("10.0.0.1", &["for=10.0.0.3;host=h, for=10.0.0.2"], "10.0.0.3 http h"),
        // A client that sends elements, through a proxy that appends.
        ("10.0.0.1", &["for=127.0.0.1, for=192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &["for=127.0.0.1", "for=192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &["for=\"127.0.0.1, for=192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &["for=\"x, for=\"[2001:db8::1]\""], "2001:db8::1 http site"),
        ("10.0.0.1", &["for=\"x\\, for=\"192.0.2.1\""], "192.0.2.1 http site"),
        ("10.0.0.1", &["for=127.0.0.1;x=\"", "for=192.0.2.1;y=\"z\""], "192.0.2.1 http site"),
        // Hidden clients.
        ("10.0.0.1", &["for=unknown;proto=https"], "- https site"),
        ("10.0.0.1", &["for=_gazonk"], "- http site"),
        ("10.0.0.1", &["for=\"_SEVKISEK:_p\""], "- http site"),
        ("10.0.0.1", &["for=192.0.2.1, for=_hidden, for=10.0.0.2"], "- http site"),
        ("10.0.0.1", &["proto=https;host=h"], "- https h"),
        // Malformed elements.
        ("10.0.0.1", &["nonsense"], "10.0.0.1 http site"),
        ("10.0.0.1", &["192.0.2.1"], "10.0.0.1 http site"),
        ("10.0.0.1", &["for=192.0.2.1;for=127.0.0.1"], "10.0.0.1 http site"),
        ("10.0.0.1", &["for=192.0.2.1;proto=https;proto=http"], "10.0.0.1 http site"),
        ("10.0.0.1", &["for=192.0.2.1, for=, for=10.0.0.2;host=h"], "10.0.0.2 http h"),
        ("10.0.0.1", &["for=192.0.2.1;host=\"a b\";proto=ftp"], "192.0.2.1 http site"),
        ("10.0.0.1", &["for=é"], "10.0.0.1 http site"),
        ("10.0.0.1", &["é, for=192.0.2.1"], "192.0.2.1 http site"),
        ("10.0.0.1", &[&many], "10.0.0.1 http site"),
        ("10.0.0.1", &[&quotes], "10.0.0.1 http site"),
    ]);
    // The other family.
    let one = ("forwarded", "for=192.0.2.1");
    check_headers(F, &[
        ("10.0.0.1", &[(FOR, "127.0.0.1"), (PROTO, "https"), (HOST, "evil")], "10.0.0.1 http site"),
        ("10.0.0.1", &[one, (FOR, "127.0.0.1"), (PROTO, "https"), (HOST, "evil")],
            "192.0.2.1 http site"),
    ]);
}

#[test]
fn without_proxies_the_connection_decides() {
    let forwarding = Forwarding::default();
    for (from, is_tls) in [("127.0.0.1", false), ("unix", true), ("10.0.0.1", true)] {
        let mut headers = headers(&[(FOR, "192.0.2.1"), (PROTO, "http"), ("cookie", "a=b")]);
        let client = forwarding.identify(&peer(from), is_tls, None, &mut headers);
        check(&client, &headers);
        assert_eq!(client.address, peer(from).ip());
        assert_eq!(
            client.scheme.as_str(),
            if is_tls { "https" } else { "http" }
        );
        assert_eq!(client.host, None);
        assert_eq!(headers["cookie"], "a=b");
    }
}

#[test]
fn a_proxy_may_end_tls_or_begin_it() {
    let proxies: TrustedProxies = PROXIES.parse().expect("proxies");
    let forwarding = Forwarding::new(proxies, X);
    let mut insecure = headers(&[(FOR, "192.0.2.1"), (PROTO, "http")]);
    let client = forwarding.identify(&peer("10.0.0.1"), true, None, &mut insecure);
    assert_eq!(client.scheme.as_str(), "http");
    let mut silent = headers(&[(FOR, "192.0.2.1")]);
    let client = forwarding.identify(&peer("10.0.0.1"), true, None, &mut silent);
    assert_eq!(client.scheme.as_str(), "https");
}

#[test]
fn a_long_list_takes_little_time() {
    let list = vec!["for=10.0.0.1;x=\"\\\\\\\"\""; 100_000].join(",");
    for family in [X, F] {
        let start = Instant::now();
        let lines = [("forwarded", list.as_str()), (FOR, &list)];
        identify(family, "10.0.0.1", &lines);
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

proptest! {
    #[test]
    fn a_proxy_that_appends_always_decides(
        sent in proptest::collection::vec("[0-9a-z.:,;=\"\\\\ _]{0,30}|[ -~]{0,30}", 0..4),
        is_on_own_line: bool,
    ) {
        for (family, name, appended) in [
            (X, FOR, "192.0.2.1"),
            (F, "forwarded", "for=192.0.2.1"),
            (F, "forwarded", "for=\"192.0.2.1:80\";proto=http"),
        ] {
            let mut values = sent.clone();
            match values.last_mut() {
                Some(last) if !is_on_own_line => *last = format!("{last}, {appended}"),
                _ => values.push(appended.to_owned()),
            }
            let lines: Vec<_> = values.iter().map(|value| (name, value.as_str())).collect();
            let client = identify(family, "10.0.0.1", &lines);
            prop_assert_eq!(client.address, Some([192, 0, 2, 1].into()));
            prop_assert_eq!(client.scheme.as_str(), "http");
        }
    }

    #[test]
    fn no_headers_are_a_panic(
        values in proptest::collection::vec("[ -~\t\u{80}-\u{ff}]{0,60}", 0..5)
    ) {
        for family in [X, XH, F] {
            for name in [FOR, PROTO, HOST, "forwarded"] {
                let lines: Vec<_> = values.iter().map(|value| (name, value.as_str())).collect();
                identify(family, "10.0.0.1", &lines);
            }
        }
    }
}
