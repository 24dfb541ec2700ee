//! `Forwarded` of RFC 7239.
//!
//! A line is read from its end. A client could begin a quoted string that it does not end; read
//! from the beginning, the string would contain what the proxy has appended. Read from the end,
//! what the proxy has appended does not depend on what is before it.

use std::borrow::Cow;

use http::header::{FORWARDED, HeaderMap};

use super::{Hop, MAX_ENTRIES, host, node, scheme};

/// Returns the hops, from the last one. A malformed one is `None`.
pub(super) fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<Hop>> {
    let lines = headers.get_all(FORWARDED).iter().rev();
    let elements = lines.flat_map(|line| rsplit(line.as_bytes(), b','));
    let elements = elements.take(MAX_ENTRIES);
    let elements = elements.filter(|element| element.is_none_or(|element| !element.is_empty()));
    elements.map(|element| hop(element?))
}

/// Reads an element, which is a list of pairs (RFC 7239 §4). The address of an element without
/// `for` is unknown.
fn hop(element: &[u8]) -> Option<Hop> {
    let (mut address, mut proto, mut authority) = (None, None, None);
    for pair in rsplit(element, b';') {
        let pair = str::from_utf8(pair?).ok()?;
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        let value = unquoted(value)?;
        let parameter = match name.to_ascii_lowercase().as_str() {
            "for" => &mut address,
            "proto" => &mut proto,
            "host" => &mut authority,
            // `by` and extensions.
            name if !name.is_empty() && name.bytes().all(is_token) => continue,
            _ => return None,
        };
        // No parameter occurs twice in an element.
        if parameter.replace(value).is_some() {
            return None;
        }
    }
    Some(Hop {
        address: address.map_or(Some(None), |address| node::parse(&address))?,
        scheme: proto.and_then(|proto| scheme(&proto)),
        host: authority.and_then(|authority| host(&authority)),
    })
}

/// Splits at a separator outside of quoted strings, from the end. A part with a quote without
/// its counterpart is `None`, and the last one.
fn rsplit(text: &[u8], separator: u8) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        match rfind(text, separator) {
            Ok(Some(index)) => {
                rest = Some(&text[..index]);
                Some(Some(text[index + 1..].trim_ascii()))
            }
            Ok(None) => Some(Some(text.trim_ascii())),
            Err(UnpairedQuote) => Some(None),
        }
    })
}

struct UnpairedQuote;

/// Finds the last separator outside of quoted strings.
fn rfind(text: &[u8], separator: u8) -> Result<Option<usize>, UnpairedQuote> {
    let mut is_quoted = false;
    for (index, byte) in text.iter().enumerate().rev() {
        match byte {
            b'"' if !is_quoted => is_quoted = true,
            b'"' => is_quoted = is_escaped(&text[..index]),
            byte if *byte == separator && !is_quoted => return Ok(Some(index)),
            _ => {}
        }
    }
    match is_quoted {
        true => Err(UnpairedQuote),
        false => Ok(None),
    }
}

/// Returns whether the byte after a text is escaped.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

/// Reads a token or a quoted string (RFC 9110 §5.6). Many proxies leave out the quotes that
/// addresses with colons need.
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = value.strip_prefix('"') else {
        let is_allowed = |byte| is_token(byte) || b":[]".contains(&byte);
        let is_value = !value.is_empty() && value.bytes().all(is_allowed);
        return is_value.then_some(value.into());
    };
    let quoted = rest.strip_suffix('"')?;
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
    Some(text.into())
}

/// Returns whether a token may have this byte (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn elements(line: &str) -> Vec<Option<&str>> {
        let elements = rsplit(line.as_bytes(), b',');
        elements
            .map(|element| element.map(|element| str::from_utf8(element).unwrap()))
            .collect()
    }

    #[test]
    fn a_line_is_split_outside_of_quoted_strings_from_its_end() {
        for (line, expected) in [
            ("", vec![Some("")]),
            ("a , b", vec![Some("b"), Some("a")]),
            (r#"a="1,2",b"#, vec![Some("b"), Some(r#"a="1,2""#)]),
            (
                r#"a="\",",b="\\""#,
                vec![Some(r#"b="\\""#), Some(r#"a="\",""#)],
            ),
            (r#"a="1,b="2""#, vec![Some(r#"b="2""#), None]),
            (r#"a=",b"#, vec![Some("b"), None]),
            (r#"b,a=""#, vec![None]),
            (r#"a=1\,b="2""#, vec![Some(r#"b="2""#), Some(r"a=1\")]),
        ] {
            assert_eq!(elements(line), expected, "{line}");
        }
    }

    #[test]
    fn malformed_elements_are_refused() {
        for element in [
            "for",
            "=192.0.2.1",
            "for=",
            "for=a b",
            "for =192.0.2.1",
            "for= 192.0.2.1",
            "for=\"192.0.2.1",
            "for=192.0.2.1\"",
            "for=\"192.0.2.1\"x",
            "for=\"a\"b\"",
            "for=\"192.0.2.1\\\"",
            "for=192.0.2.1;for=192.0.2.2",
            "for=192.0.2.1;FOR=unknown",
            "for=192.0.2.1;proto=http;proto=https",
            "for=192.0.2.1;b y=x",
            "for=192.0.2.1;é=x",
            "for=192.0.2.1;by=é",
            "for=\u{fffd}",
            "for=example.org",
            "192.0.2.1",
        ] {
            assert!(hop(element.as_bytes()).is_none(), "{element}");
        }
        assert!(hop(b"for=\"\xff\"").is_none());
    }

    proptest! {
        #[test]
        fn what_a_proxy_appends_does_not_depend_on_what_is_before_it(
            before in "[a-z0-9=;,\"\\\\ ]{0,40}|\\PC{0,40}",
            value in "[a-z\"\\\\,; ]{0,20}",
        ) {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let element = format!("for=192.0.2.1;x=\"{quoted}\"");
            let line = format!("{before},{element}");
            prop_assert_eq!(elements(&line)[0], Some(element.as_str()));
            let hop = hop(element.as_bytes()).expect("a hop");
            prop_assert_eq!(hop.address, Some([192, 0, 2, 1].into()));
            let quoted = format!("\"{quoted}\"");
            let read = unquoted(&quoted).map(Cow::into_owned);
            prop_assert_eq!(read, Some(value));
        }

        #[test]
        fn no_bytes_are_a_panic(line: Vec<u8>) {
            for element in rsplit(&line, b',').flatten() {
                let _ = hop(element);
            }
        }
    }
}
