//! Text from elsewhere, made fit for a log or a terminal.

/// A text in one line, without anything that a terminal would obey.
pub fn escaped(text: &str) -> String {
    let escaped = text.escape_debug().to_string();
    // A backslash before a quote is never one of the text: those are doubled.
    escaped.replace("\\'", "'").replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_nothing_else() {
        assert_eq!(escaped("Jürgen O'Neill \"J\""), "Jürgen O'Neill \"J\"");
        assert_eq!(escaped("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(
            escaped("\u{9b}2J\u{202e}\u{7f}"),
            "\\u{9b}2J\\u{202e}\\u{7f}"
        );
        assert_eq!(escaped("\\' \\n"), "\\\\' \\\\n");
    }
}
