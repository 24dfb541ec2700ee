//! What the commands print: times, sizes, and names that may be anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufWriter, StdoutLock, Write as _};

use serde::Serialize;
use serde_json::Value;
use session3::admin::SessionInfo;
use session3::store::{StoredSession, Timestamp};

pub use session3::text::escaped;

/// Standard output, written in large pieces.
pub type Output = BufWriter<StdoutLock<'static>>;

/// Standard output, for this command alone.
pub fn output() -> Output {
    BufWriter::new(io::stdout().lock())
}

/// One line on standard error. That nobody reads it is no reason to stop.
pub fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "session3: {}", escaped(what));
}

/// Whether an error says only that nobody reads standard output any more.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A session's user; `-` for none.
pub fn user(user: Option<&str>) -> String {
    match user {
        None => "-".into(),
        Some("") => "\"\"".into(),
        Some(user) => escaped(user),
    }
}

/// In UTC; printed with `.0` it has seconds. Beyond the year 9999, which nobody
/// can print, it is the end of that.
pub fn time(time: Timestamp) -> jiff::Timestamp {
    let time = i64::try_from(time).ok();
    let time = time.and_then(|time| jiff::Timestamp::from_millisecond(time).ok());
    time.unwrap_or(jiff::Timestamp::MAX)
}

/// What the manager reads in a session's data, or why it cannot.
pub type Content = Result<SessionInfo, String>;

/// What programs get to read of a session; never its data as they are, which
/// have hashes of secrets in them.
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

#[derive(Serialize)]
struct ContentSummary<'a> {
    created: String,
    remote_address: Option<&'a str>,
    user_agent: Option<&'a str>,
    attributes: &'a BTreeMap<String, Value>,
}

/// A session as one line of JSON. Times are RFC 3339, the size is in bytes.
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
            remote_address: info.remote_address.as_deref(),
            user_agent: info.user_agent.as_deref(),
            attributes: &info.attributes,
        }),
        problem: content.as_ref().err().map(String::as_str),
    };
    Ok(printable(&serde_json::to_string(&summary)?))
}

/// JSON may hold characters that terminals obey: they get their numbers, as JSON
/// writes them.
pub fn printable(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for character in json.chars() {
        let is_plain = matches!(character, ' '..='~') || character.escape_debug().len() == 1;
        if is_plain {
            line.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(line, "\\u{unit:04x}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_and_a_user_without_a_name_differ() {
        assert_eq!(user(None), "-");
        assert_eq!(user(Some("")), "\"\"");
    }

    #[test]
    fn json_stays_the_same_json() {
        let text = "Jürgen \u{9b}\u{7f}\u{202e}\u{e0001} \"\\\n";
        let json = printable(&serde_json::to_string(text).expect("a string"));
        assert_eq!(json, r#""Jürgen \u009b\u007f\u202e\udb40\udc01 \"\\\n""#);
        let back: String = serde_json::from_str(&json).expect("JSON");
        assert_eq!(back, text);
    }

    #[test]
    fn every_time_can_be_printed() {
        assert_eq!(format!("{:.0}", time(0)), "1970-01-01T00:00:00Z");
        assert_eq!(
            format!("{:.0}", time(1_700_000_000_999)),
            "2023-11-14T22:13:20Z"
        );
        assert_eq!(
            format!("{:.3}", time(1_700_000_000_999)),
            "2023-11-14T22:13:20.999Z"
        );
        for beyond in [i64::MAX as u64, u64::MAX] {
            assert_eq!(format!("{:.0}", time(beyond)), "9999-12-30T22:00:00Z");
        }
    }
}
