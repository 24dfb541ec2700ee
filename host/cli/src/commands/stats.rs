//! `session3 stats`: the number of sessions, by age and by size.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use session3::store::{Clock, Figure, SystemClock, Unit};
use session3_dashboard::counts::{AGES, Counts, SIZES};

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

/// The length of the longest bar, in columns.
const BAR_WIDTH: u64 = 40;
/// The end of a bar that fills this many eighths of its last column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

impl Stats {
    /// Prints the counts. Damaged sessions are counted, and are no failure.
    pub async fn run(self) -> Result<ExitCode> {
        let store = self.store.open_read_only().await?;
        let now = SystemClock.now();
        let progress = Progress::counter();
        let mut counts = Counts::default();
        input::for_each_page(&*store, &progress, async |page| {
            counts.damaged += page.damaged.len() as u64;
            for session in &page.sessions {
                counts.add(session, now);
            }
            Ok(())
        })
        .await?;
        drop(progress);
        let mut output = output::stdout();
        output.write_all(describe(&counts).as_bytes())?;
        output.write_all(describe_figures(&store.figures().await?).as_bytes())?;
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the counts as lines.
fn describe(counts: &Counts) -> String {
    let lines = [
        ("Sessions", counts.sessions),
        ("with a user", counts.with_user),
        ("without", counts.without_user()),
        ("expired", counts.expired),
        ("damaged", counts.damaged),
    ];
    let lines = lines.map(|(name, count)| line(name, count));
    let bytes = counts.bytes;
    format!(
        "{}{:14}  {:>13}  {}\n\nLast used\n{}\nSize\n{}",
        lines.concat(),
        "Bytes",
        HumanCount(bytes).to_string(),
        HumanBytes(bytes),
        histogram(&AGES, &counts.ages),
        histogram(&SIZES, &counts.sizes),
    )
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
}
