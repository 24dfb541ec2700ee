//! `session3 stats`: the number of sessions, by age and by size.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use session3::store::{Clock, Figure, SessionPage, StoredSession, SystemClock, Timestamp, Unit};

use super::progress::Progress;
use super::store::Store;
use super::{input, output};

/// Count the sessions of a store, by age and by size
///
/// The age is the time since a session was last used. The size is that of the
/// user name and the data. Damaged sessions do not change the exit status.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Example:\n  session3 stats /tmp/sessions"
)]
pub struct Stats {
    #[command(flatten)]
    store: Store,
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// The classes of ages, in ascending order: the name of each and its exclusive upper bound,
/// in milliseconds.
const AGES: [(&str, u64); 6] = [
    ("under a minute", MINUTE),
    ("under an hour", HOUR),
    ("under a day", DAY),
    ("under a week", 7 * DAY),
    ("under 30 days", 30 * DAY),
    ("longer ago", u64::MAX),
];
/// The classes of sizes, in ascending order: the name of each and its exclusive upper
/// bound, in bytes.
const SIZES: [(&str, u64); 6] = [
    ("under 256 B", 256),
    ("under 1 KiB", 1 << 10),
    ("under 4 KiB", 4 << 10),
    ("under 64 KiB", 64 << 10),
    ("under 1 MiB", 1 << 20),
    ("larger", u64::MAX),
];
/// The length of the longest bar, in columns.
const BAR_WIDTH: u64 = 40;
/// The end of a bar that fills this many eighths of its last column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The counts of all sessions.
#[derive(Default)]
struct Counts {
    sessions: u64,
    with_user: u64,
    expired: u64,
    damaged: u64,
    bytes: u64,
    /// The number of sessions in each class of [`AGES`].
    ages: [u64; AGES.len()],
    /// The number of sessions in each class of [`SIZES`].
    sizes: [u64; SIZES.len()],
}

impl Stats {
    /// Prints the counts. Damaged sessions are counted, and are no failure.
    pub async fn run(self) -> Result<ExitCode> {
        let store = self.store.open_read_only().await?;
        let now = SystemClock.now();
        let progress = Progress::counter();
        let mut counts = Counts::default();
        input::for_each_page(&*store, &progress, async |page| {
            counts.add(page, now);
            Ok(())
        })
        .await?;
        drop(progress);
        let mut output = output::stdout();
        output.write_all(counts.describe().as_bytes())?;
        output.write_all(describe_figures(&store.figures().await?).as_bytes())?;
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
        count_in_class(&AGES, &mut self.ages, age);
        count_in_class(&SIZES, &mut self.sizes, size);
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

/// Returns what the engine of the store says, a line for each figure.
fn describe_figures(figures: &[Figure]) -> String {
    let lines = figures.iter().map(|figure| {
        let line = line(figure.name, figure.value);
        match figure.unit {
            Unit::Bytes => format!("{}  {}\n", line.trim_end(), HumanBytes(figure.value)),
            _ => line,
        }
    });
    match figures.is_empty() {
        true => String::new(),
        false => format!("\nStore\n{}", lines.collect::<String>()),
    }
}

/// Adds one to the count of the first class whose bound is above the value.
fn count_in_class(classes: &[(&str, u64)], counts: &mut [u64], value: u64) {
    let mut pairs = classes.iter().zip(counts);
    if let Some((_, count)) = pairs.find(|((_, bound), _)| value < *bound) {
        *count += 1;
    }
}

fn line(name: &str, count: u64) -> String {
    format!("{name:14}  {:>13}\n", HumanCount(count).to_string())
}

fn histogram(classes: &[(&str, u64)], counts: &[u64]) -> String {
    let most = counts.iter().copied().max().unwrap_or(0);
    let lines = classes.iter().zip(counts).map(|((name, _), count)| {
        let line = line(name, *count);
        format!("{}  {}", line.trim_end(), bar(*count, most))
            .trim_end()
            .to_owned()
            + "\n"
    });
    lines.collect()
}

/// Returns a bar whose length is in proportion to `count`. That of the count `most` has the
/// whole width; a count above zero has at least an eighth of a column, so that it is seen.
fn bar(count: u64, most: u64) -> String {
    let eighths = (count * BAR_WIDTH * 8).div_ceil(most.max(1));
    let full = "█".repeat((eighths / 8) as usize);
    full + EIGHTHS[(eighths % 8) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion_and_a_single_session_is_visible() {
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
            count_in_class(&SIZES, &mut counts, size);
        }
        assert_eq!(counts, [2, 2, 0, 0, 1, 2]);
    }
}
