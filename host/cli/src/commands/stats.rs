//! `session3 stats`: how many sessions, how old and how large.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use session3::store::{Clock, SessionPage, StoredSession, SystemClock, Timestamp};

use super::progress::Progress;
use super::{input, output};

/// Counts the sessions of a store, by age and by size
///
/// The age is the time since a session was last used; the size is that of user
/// and data.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:\n  session3 stats /tmp/sessions"
)]
pub struct Stats {
    /// The directory of the sessions
    store: PathBuf,
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Milliseconds, each up to the next.
const AGES: [(&str, u64); 6] = [
    ("under a minute", MINUTE),
    ("under an hour", HOUR),
    ("under a day", DAY),
    ("under a week", 7 * DAY),
    ("under 30 days", 30 * DAY),
    ("longer ago", u64::MAX),
];
/// Bytes, each up to the next.
const SIZES: [(&str, u64); 6] = [
    ("under 256 B", 256),
    ("under 1 KiB", 1 << 10),
    ("under 4 KiB", 4 << 10),
    ("under 64 KiB", 64 << 10),
    ("under 1 MiB", 1 << 20),
    ("larger", u64::MAX),
];
/// Columns of the longest bar.
const WIDTH: u64 = 40;
/// Eighths of a column.
const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// What there is.
#[derive(Default)]
struct Counts {
    sessions: u64,
    with_user: u64,
    expired: u64,
    damaged: u64,
    bytes: u64,
    ages: [u64; AGES.len()],
    sizes: [u64; SIZES.len()],
}

impl Stats {
    /// Fine also when some are damaged.
    pub async fn run(self) -> Result<ExitCode> {
        let store = input::open_to_look(&self.store)?;
        let now = SystemClock.now();
        let progress = Progress::counter();
        let mut counts = Counts::default();
        input::walk(&store, &progress, async |page| {
            counts.add(page, now);
            Ok(())
        })
        .await?;
        drop(progress);
        let mut output = output::output();
        output.write_all(counts.describe().as_bytes())?;
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Counts {
    fn add(&mut self, page: &SessionPage, now: Timestamp) {
        self.damaged += page.damaged.len() as u64;
        for session in &page.sessions {
            self.add_session(session, now);
        }
    }

    fn add_session(&mut self, session: &StoredSession, now: Timestamp) {
        let state = &session.state;
        let size = state.size() as u64;
        self.sessions += 1;
        self.with_user += u64::from(state.user.is_some());
        self.expired += u64::from(state.expires <= now);
        self.bytes += size;
        let age = now.saturating_sub(session.modified);
        count_in(&AGES, &mut self.ages, age);
        count_in(&SIZES, &mut self.sizes, size);
    }

    fn describe(&self) -> String {
        let lines = [
            ("Sessions", self.sessions),
            ("with a user", self.with_user),
            ("without", self.sessions - self.with_user),
            ("expired", self.expired),
            ("damaged", self.damaged),
        ];
        let lines = lines.map(|(name, count)| line(name, count));
        let bytes = self.bytes;
        format!(
            "{}{:14}  {:>13}  {}\n\nLast used\n{}\nSize\n{}",
            lines.concat(),
            "Bytes",
            HumanCount(bytes).to_string(),
            HumanBytes(bytes),
            histogram(&AGES, &self.ages),
            histogram(&SIZES, &self.sizes),
        )
    }
}

fn count_in(bounds: &[(&str, u64)], counts: &mut [u64], value: u64) {
    let mut pairs = bounds.iter().zip(counts);
    if let Some((_, count)) = pairs.find(|((_, bound), _)| value < *bound) {
        *count += 1;
    }
}

fn line(name: &str, count: u64) -> String {
    format!("{name:14}  {:>13}\n", HumanCount(count).to_string())
}

fn histogram(bounds: &[(&str, u64)], counts: &[u64]) -> String {
    let most = counts.iter().copied().max().unwrap_or(0);
    let lines = bounds.iter().zip(counts).map(|((name, _), count)| {
        let line = line(name, *count);
        format!("{}  {}", line.trim_end(), bar(*count, most))
            .trim_end()
            .to_owned()
            + "\n"
    });
    lines.collect()
}

/// The longest one has the whole width, and one session is seen.
fn bar(count: u64, most: u64) -> String {
    let eighths = (count * WIDTH * 8).div_ceil(most.max(1));
    let full = "█".repeat((eighths / 8) as usize);
    full + PARTS[(eighths % 8) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion_and_one_of_many_is_seen() {
        assert_eq!(bar(1_000_000, 1_000_000), "█".repeat(40));
        assert_eq!(bar(500_000, 1_000_000), "█".repeat(20));
        assert_eq!(bar(1, 1_000_000), "▏");
        assert_eq!(bar(0, 1_000_000), "");
        assert_eq!(bar(0, 0), "");
        assert_eq!(bar(3, 64), "█▉");
    }

    #[test]
    fn every_value_is_counted_once() {
        let mut counts = [0; SIZES.len()];
        for size in [0, 255, 256, 1023, 1 << 16, 1 << 20, 1 << 40] {
            count_in(&SIZES, &mut counts, size);
        }
        assert_eq!(counts, [2, 2, 0, 0, 1, 2]);
    }
}
