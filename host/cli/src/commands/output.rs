//! How the commands print sessions, times, and text that may hold any character.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Stdout, Write as _};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde_json::value::RawValue;
use session3::admin::SessionInfo;
use session3::store::StoredSession;

pub use session3::text::escaped;
pub use session3_dashboard::words::stamp as time;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Standard output with a buffer.
pub type Output = BufWriter<Stdout>;

/// Returns standard output, locked for this command and buffered.
pub fn stdout() -> Output {
    BufWriter::new(io::stdout())
}

/// Writes a text file, and creates the directories that it is in.
///
/// # Errors
///
/// If it cannot be written; the error names the file.
pub fn write_file(file: &Path, text: &str) -> anyhow::Result<()> {
    let parent = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(file, text))
        .with_context(|| format!("{}: cannot be written", file.display()))
}

/// Prints a message as one line on standard error. A command continues even if standard
/// error is closed, so a failed write is ignored.
pub fn print_error(message: &str) {
    let _ = writeln!(io::stderr(), "session3: {}", escaped(message));
}

/// Returns whether an error is a write to a pipe whose reader has closed it.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Returns a user, or another optional text, in a form that a terminal can show: `-` for
/// `None`, `""` for an empty text.
pub fn optional_text(text: Option<&str>) -> String {
    match text {
        None => "-".into(),
        Some("") => "\"\"".into(),
        Some(text) => escaped(text),
    }
}

/// Returns a text with spaces up to a number of columns of a terminal.
pub fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{:missing$}", "")
}

/// Returns a text, or its beginning with an ellipsis if it is wider than this number of
/// columns.
pub fn cut(text: String, max_width: usize) -> String {
    if text.width() <= max_width {
        return text;
    }
    let mut width = "…".width();
    let beginning = text.chars().take_while(|character| {
        width += character.width().unwrap_or(0);
        width <= max_width
    });
    beginning.chain(['…']).collect()
}

/// The content of a session, or why the session manager cannot decode it.
pub type Content = Result<SessionInfo, String>;

/// A session as `--json` prints it. The encoded data of the session are left out, because
/// they contain hashes of secrets.
#[derive(Serialize)]
struct Summary<'a> {
    id: String,
    user: Option<&'a str>,
    version: u64,
    modified: String,
    expires: String,
    size: usize,
    #[serde(flatten)]
    content: Option<ContentSummary<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

/// The part of a [`Summary`] that the session manager decodes from the session's data.
#[derive(Serialize)]
struct ContentSummary<'a> {
    created: String,
    authenticated: Option<String>,
    remembered: bool,
    remote_address: Option<&'a str>,
    user_agent: Option<&'a str>,
    attributes: &'a BTreeMap<String, Box<RawValue>>,
}

/// Returns a session as one line of JSON. Times are in the format of RFC 3339, the size is
/// in bytes.
pub fn json(session: &StoredSession, content: &Content) -> anyhow::Result<String> {
    let summary = Summary {
        id: session.id.to_string(),
        user: session.state.user.as_deref(),
        version: session.version,
        modified: format!("{:.3}", time(session.modified)),
        expires: format!("{:.3}", time(session.state.expires)),
        size: session.state.size(),
        content: content.as_ref().ok().map(|info| ContentSummary {
            created: format!("{:.3}", time(info.created)),
            authenticated: info.authenticated.map(|at| format!("{:.3}", time(at))),
            remembered: info.is_remembered,
            remote_address: info.remote_address.as_deref(),
            user_agent: info.user_agent.as_deref(),
            attributes: &info.attributes,
        }),
        problem: content.as_ref().err().map(String::as_str),
    };
    Ok(printable(&serde_json::to_string(&summary)?))
}

/// Escapes the control characters in a JSON text, which a terminal would obey, as `\u` with
/// four hexadecimal digits. The result is a JSON text for the same value.
pub fn printable(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        let is_plain = matches!(character, ' '..='~') || character.escape_debug().len() == 1;
        if is_plain {
            line.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(line, "\\u{unit:04x}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_and_an_empty_user_name_are_printed_differently() {
        assert_eq!(optional_text(None), "-");
        assert_eq!(optional_text(Some("")), "\"\"");
    }

    #[test]
    fn columns_are_as_wide_as_a_terminal_shows_them() {
        assert_eq!(padded("ab", 4), "ab  ");
        assert_eq!(padded("漢字", 5), "漢字 ");
        assert_eq!(padded("e\u{301}", 2), "e\u{301} ");
        assert_eq!(cut("漢字".into(), 4), "漢字");
        assert_eq!(cut("漢字漢".into(), 5), "漢字…");
        assert_eq!(cut("漢字漢".into(), 4), "漢…");
    }

    #[test]
    fn json_is_printed_without_control_characters_and_keeps_its_value() {
        let text = "Jürgen \u{9b}\u{7f}\u{202e}\u{e0001} \"\\\n";
        let json = printable(&serde_json::to_string(text).expect("a string"));
        assert_eq!(json, r#""Jürgen \u009b\u007f\u202e\udb40\udc01 \"\\\n""#);
        let decoded: String = serde_json::from_str(&json).expect("JSON");
        assert_eq!(decoded, text);
    }
}
