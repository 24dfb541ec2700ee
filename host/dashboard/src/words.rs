//! Times and numbers in words.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanDuration};
use session3::store::Timestamp;

/// Returns the distance of a time from `now` in words.
///
/// ```
/// use session3_dashboard::words::distance;
///
/// assert_eq!(distance(60_000, 240_000), "3 minutes ago");
/// assert_eq!(distance(240_000, 60_000), "in 3 minutes");
/// ```
pub fn distance(time: Timestamp, now: Timestamp) -> String {
    let distance = duration(Duration::from_millis(time.abs_diff(now)));
    match time > now {
        true => format!("in {distance}"),
        false => format!("{distance} ago"),
    }
}

/// Returns a duration in words, such as `3 minutes`.
pub fn duration(duration: Duration) -> String {
    HumanDuration(duration).to_string()
}

/// Returns a short duration with its unit, such as `1.5 ms`.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        ..0.001 => format!("{:.0} µs", seconds * 1e6),
        ..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

/// Returns a number with separators, such as `1,000,000`.
pub fn count(count: u64) -> String {
    HumanCount(count).to_string()
}

/// Returns a number of bytes with its unit, such as `2.00 KiB`.
pub fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// Converts a time for printing in UTC; the format `{:.0}` prints it up to the seconds. A
/// time after the year 9999 becomes the last one that [`jiff::Timestamp`] can represent.
pub fn stamp(time: Timestamp) -> jiff::Timestamp {
    let time = i64::try_from(time).ok();
    let time = time.and_then(|time| jiff::Timestamp::from_millisecond(time).ok());
    time.unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_described_as_before_or_after_now() {
        assert_eq!(distance(60_000, 240_000), "3 minutes ago");
        assert_eq!(distance(240_000, 60_000), "in 3 minutes");
        assert_eq!(distance(5, 5), "0 seconds ago");
        assert!(distance(u64::MAX, 0).starts_with("in "));
    }

    #[test]
    fn every_time_can_be_printed() {
        assert_eq!(format!("{:.0}", stamp(0)), "1970-01-01T00:00:00Z");
        assert_eq!(
            format!("{:.0}", stamp(1_700_000_000_999)),
            "2023-11-14T22:13:20Z"
        );
        assert_eq!(
            format!("{:.3}", stamp(1_700_000_000_999)),
            "2023-11-14T22:13:20.999Z"
        );
        for beyond in [i64::MAX as u64, u64::MAX] {
            assert_eq!(format!("{:.0}", stamp(beyond)), "9999-12-30T22:00:00Z");
        }
    }
}
