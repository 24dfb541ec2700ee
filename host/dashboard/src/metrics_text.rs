//! Reads the text in which a server gives its metrics: the text format of Prometheus, version
//! 0.0.4.
//!
//! The parser is our own, because no published one fits. `prometheus-parse` 0.2 splits the labels of
//! a line at every comma, ends them at the first closing brace and leaves escapes in their values, so
//! that it misreads such values; it also needs `chrono` and `regex`. `openmetrics-parser` has the
//! licence LGPL-3.0, which `deny.toml` does not allow.

use std::collections::BTreeMap;

/// A value with its name and its labels.
#[derive(Debug, PartialEq)]
pub struct Series {
    /// The name of the metric.
    pub name: String,
    /// The values of its labels, by their names.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// Returns the values of a text. Lines that are none, such as comments, are left out.
pub fn parse(text: &str) -> impl Iterator<Item = Series> {
    text.lines().filter_map(parse_line)
}

fn parse_line(line: &str) -> Option<Series> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    // A time may follow the value.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Series {
        name: name.into(),
        labels,
        value,
    })
}

/// Reads labels up to their closing brace, and returns what follows it.
fn parse_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = parse_text(after)?;
        labels.insert(name.trim().into(), value);
        rest = after;
    }
}

/// Reads a text up to its closing quote, and returns what follows it.
fn parse_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, labels: &[(&str, &str)], value: f64) -> Series {
        let labels = labels
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        Series {
            name: name.into(),
            labels: labels.collect(),
            value,
        }
    }

    #[test]
    fn values_are_read_with_their_labels() {
        let text = "# TYPE a counter\n\
                    a 1\n\
                    b{} 2.5 1700000000\n\
                    \n\
                    c{x=\"1,2}\",y=\"q\\\"\\\\\\n\"} +Inf\n";
        let expected = [
            series("a", &[], 1.0),
            series("b", &[], 2.5),
            series("c", &[("x", "1,2}"), ("y", "q\"\\\n")], f64::INFINITY),
        ];
        assert_eq!(parse(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_value_is_left_out() {
        let text = "a\na b\na{\na{x\na{x=\"\na{x=\"\\\na{x=\"y\"}\n{\n<html>\n\u{1F600} \u{1F600}";
        assert_eq!(parse(text).count(), 0);
    }
}
