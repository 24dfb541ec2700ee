//! Escapes untrusted text for a log or a terminal.

/// Returns a text as one line, with all control characters escaped that a terminal would
/// obey.
///
/// ```
/// use session3::text::escaped;
///
/// assert_eq!(escaped("two\nlines"), "two\\nlines");
/// ```
pub fn escaped(text: &str) -> String {
    let escaped = text.escape_debug().to_string();
    // `escape_debug` doubles every backslash of the text, so a single backslash before a
    // quote is always one that it has added.
    escaped.replace("\\'", "'").replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_quotes_are_not() {
        assert_eq!(escaped("Jürgen O'Neill \"J\""), "Jürgen O'Neill \"J\"");
        assert_eq!(escaped("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(
            escaped("\u{9b}2J\u{202e}\u{7f}"),
            "\\u{9b}2J\\u{202e}\\u{7f}"
        );
        assert_eq!(escaped("\\' \\n"), "\\\\' \\\\n");
    }
}
