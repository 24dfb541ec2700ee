//! What the stores read from their URLs, and write about them, in the same way.

use std::time::Duration;

/// Returns the time that a parameter gives in seconds, such as `2` or `0.5`; `None` if it gives
/// none, or zero.
///
/// ```
/// use std::time::Duration;
///
/// use session3_store::url::seconds;
///
/// assert_eq!(seconds("0.5"), Some(Duration::from_millis(500)));
/// assert_eq!(seconds("2s"), None);
/// ```
pub fn seconds(value: &str) -> Option<Duration> {
    let seconds = value.parse().ok().filter(|seconds| *seconds > 0.0);
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// Returns the name of an unknown parameter for a message. What does not look like a name may
/// be a part of a password that contains a `?`.
///
/// ```
/// use session3_store::url::printable;
///
/// assert_eq!(printable("time-out"), "`time-out`");
/// assert_eq!(printable("word@example.org"), "(not a name)");
/// ```
pub fn printable(name: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match name.len() <= 32 && name.chars().all(is_name) {
        true => format!("`{name}`"),
        false => "(not a name)".into(),
    }
}

/// Returns a text as one line without control characters.
///
/// ```
/// assert_eq!(session3_store::url::one_line("two\nlines\n"), "two lines");
/// ```
pub fn one_line(text: &str) -> String {
    let is_control = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(is_control).collect()
}
