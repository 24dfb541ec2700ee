//! The counts of the sessions of a store, by age and by size.

use std::collections::BTreeMap;

use session3::admin::SessionInfo;
use session3::store::browser;
use session3::store::{StoredSession, Timestamp};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The classes of ages, in ascending order: the name of each and its exclusive upper bound,
/// in milliseconds.
pub const AGES: [(&str, u64); 6] = [
    ("under a minute", MINUTE),
    ("under an hour", HOUR),
    ("under a day", DAY),
    ("under a week", 7 * DAY),
    ("under 30 days", 30 * DAY),
    ("longer ago", u64::MAX),
];
/// The classes of sizes, in ascending order: the name of each and its exclusive upper
/// bound, in bytes.
pub const SIZES: [(&str, u64); 6] = [
    ("under 256 B", 256),
    ("under 1 KiB", 1 << 10),
    ("under 4 KiB", 4 << 10),
    ("under 64 KiB", 64 << 10),
    ("under 1 MiB", 1 << 20),
    ("larger", u64::MAX),
];

/// The counts of sessions.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// The number of sessions that can be read.
    pub sessions: u64,
    /// The number of these with a user.
    pub with_user: u64,
    /// The number of these that have expired, and that a sweep deletes.
    pub expired: u64,
    /// The number of sessions that are damaged.
    pub damaged: u64,
    /// The number of bytes of user names and data.
    pub bytes: u64,
    /// The number of sessions in each class of [`AGES`], by their last use.
    pub ages: [u64; AGES.len()],
    /// The number of sessions in each class of [`SIZES`].
    pub sizes: [u64; SIZES.len()],
    /// When the sessions were last used.
    pub used: Timeline,
}

/// What only the session manager can decode, counted.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// When the sessions began.
    pub born: Timeline,
    /// The number of sessions of each browser, in the words of [`browser::name`].
    pub browsers: BTreeMap<String, u64>,
}

/// The numbers of times in each of the last 24 hours, and in each of the last 30 days. The first
/// number is that of the latest hour or day.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// The number of times in each hour.
    pub hours: [u64; 24],
    /// The number of times in each day, of 24 hours up to now.
    pub days: [u64; 30],
}

impl Counts {
    /// Counts a session at the time `now`.
    pub fn add(&mut self, session: &StoredSession, now: Timestamp) {
        let state = &session.state;
        let size = state.size() as u64;
        self.sessions += 1;
        self.with_user += u64::from(state.user.is_some());
        self.expired += u64::from(state.expires <= now);
        self.bytes += size;
        let age = now.saturating_sub(session.modified);
        count_in_class(&AGES, &mut self.ages, age);
        count_in_class(&SIZES, &mut self.sizes, size);
        self.used.add(age);
    }

    /// Returns the number of sessions without a user.
    pub fn without_user(&self) -> u64 {
        self.sessions - self.with_user
    }
}

impl Contents {
    /// Counts a session at the time `now`.
    pub fn add(&mut self, session: &SessionInfo, now: Timestamp) {
        self.born.add(now.saturating_sub(session.created));
        let browser = match &session.user_agent {
            Some(user_agent) => browser::name(user_agent),
            None => "Unknown".into(),
        };
        *self.browsers.entry(browser).or_default() += 1;
    }
}

impl Timeline {
    fn add(&mut self, age: u64) {
        let hour = usize::try_from(age / HOUR).unwrap_or(usize::MAX);
        let day = usize::try_from(age / DAY).unwrap_or(usize::MAX);
        if let Some(count) = self.hours.get_mut(hour) {
            *count += 1;
        }
        if let Some(count) = self.days.get_mut(day) {
            *count += 1;
        }
    }
}

/// Adds one to the count of the first class whose bound is above the value.
fn count_in_class(classes: &[(&str, u64)], counts: &mut [u64], value: u64) {
    let mut pairs = classes.iter().zip(counts);
    if let Some((_, count)) = pairs.find(|((_, bound), _)| value < *bound) {
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_counted_once() {
        let mut counts = [0; SIZES.len()];
        for size in [0, 255, 256, 1023, 1 << 16, 1 << 20, 1 << 40] {
            count_in_class(&SIZES, &mut counts, size);
        }
        assert_eq!(counts, [2, 2, 0, 0, 1, 2]);
    }

    #[test]
    fn a_time_is_in_its_hour_and_its_day() {
        let mut timeline = Timeline::default();
        for age in [
            0,
            HOUR - 1,
            HOUR,
            DAY - 1,
            DAY,
            30 * DAY - 1,
            30 * DAY,
            u64::MAX,
        ] {
            timeline.add(age);
        }
        let used = |counts: &[u64]| -> Vec<(usize, u64)> {
            let counts = counts.iter().copied().enumerate();
            counts.filter(|(_, count)| *count > 0).collect()
        };
        assert_eq!(used(&timeline.hours), [(0, 2), (1, 1), (23, 1)]);
        assert_eq!(used(&timeline.days), [(0, 4), (1, 1), (29, 1)]);
    }
}
