//! Sessions in the words of people.

use session3_store::browser;
use wasip2::clocks::wall_clock;

use crate::response::escape;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What the pages say of a session. Times are in milliseconds since 1970.
pub struct Described<'a> {
    pub id: &'a str,
    pub created: u64,
    pub accessed: u64,
    pub remote_address: Option<&'a str>,
    pub user_agent: Option<&'a str>,
}

impl Described<'_> {
    /// Returns the browser, such as `Firefox on Windows`.
    pub fn browser(&self) -> String {
        let name = self.user_agent.map(browser::name);
        escape(name.as_deref().unwrap_or("An unknown browser"))
    }

    /// Returns the time of the last use, the address, the time of the begin and the ID in HTML.
    pub fn details(&self, now: u64) -> String {
        let place = self.remote_address.map_or_else(
            || "an unknown address".into(),
            |address| format!("the address {}", escape(address)),
        );
        format!(
            "<span>Last used {} · begun {} from {place}</span>\n<small>{}</small>",
            ago(self.accessed, now),
            ago(self.created, now),
            escape(self.id),
        )
    }
}

/// Returns the time of day, in milliseconds since 1970.
pub fn now() -> u64 {
    let now = wall_clock::now();
    let seconds = now.seconds.saturating_mul(1000);
    seconds.saturating_add(u64::from(now.nanoseconds / 1_000_000))
}

/// Returns how long ago a time was, such as `2 hours ago`. Of a time that is still to come, because
/// clocks differ, this is `just now`.
fn ago(time: u64, now: u64) -> String {
    let seconds = now.saturating_sub(time) / 1000;
    let (count, unit) = match seconds {
        0..MINUTE => return "just now".into(),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        DAY.. => (seconds / DAY, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_unit_that_people_use() {
        let cases = [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (3600, "1 hour ago"),
            (2 * 3600, "2 hours ago"),
            (86_400, "1 day ago"),
            (400 * 86_400, "400 days ago"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(ago(1_000, 1_000 + seconds * 1000), expected);
        }
        assert_eq!(ago(5_000, 1_000), "just now");
    }

    #[test]
    fn what_a_client_claims_is_escaped() {
        let described = Described {
            id: "1",
            created: 0,
            accessed: 0,
            remote_address: Some("<b>"),
            user_agent: Some("<script>"),
        };
        assert_eq!(described.browser(), "Another browser");
        assert!(described.details(0).contains("&#60;b&#62;"));
    }
}
