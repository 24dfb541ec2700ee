//! `session3 check`: whether a store is as it should be.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use session3::store::directory::{CheckReport, Finding};

use super::progress::Progress;
use super::{input, output};

/// Reads every session and names what is not as it should be
///
/// One line for each finding and one for all. A damaged session and one that the
/// index by user misses make the exit status 1, unless it was repaired; and so
/// does what could not be looked at.
///
/// Foreign files, leftovers of what was cut short and surplus entries of the
/// index do no harm: the first are kept, the others a sweep removes.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 check /tmp/sessions
  session3 check /tmp/sessions --repair"
)]
pub struct Check {
    /// The directory of the sessions
    store: PathBuf,
    /// Brings the index by user in order; the sessions are left as they are
    #[arg(long)]
    repair: bool,
}

/// How many of each.
#[derive(Default)]
struct Findings {
    foreign: u64,
    leftover: u64,
    surplus: u64,
    missing: u64,
    unreadable: u64,
}

impl Check {
    /// Whether nothing is damaged, or all that was is repaired.
    pub async fn run(self) -> Result<ExitCode> {
        let store = match self.repair {
            true => input::open(&self.store)?,
            false => input::open_to_look(&self.store)?,
        };
        let progress = Progress::bar();
        let mut findings = Findings::default();
        let mut output = output::output();
        // A repair goes on whether or not anybody reads what this says.
        let mut printed = Ok(());
        let found = |finding| {
            findings.count(&finding);
            if printed.is_ok() {
                let line = describe(&finding, self.repair);
                let print = || writeln!(output, "{line}").and_then(|()| output.flush());
                printed = progress.suspend(print);
            }
        };
        let report = store
            .check(self.repair, found, |done| progress.set(done))
            .await?;
        drop(progress);
        printed?;
        writeln!(output, "{}", findings.sum_up(&report))?;
        output.flush()?;
        let is_damaged = report.damaged > 0 || (findings.missing > 0 && !self.repair);
        Ok(if is_damaged || findings.unreadable > 0 {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

impl Findings {
    fn count(&mut self, finding: &Finding) {
        match finding {
            Finding::Foreign(_) => self.foreign += 1,
            Finding::Leftover(_) => self.leftover += 1,
            Finding::Surplus(_) => self.surplus += 1,
            Finding::Missing(_) => self.missing += 1,
            Finding::Unreadable(..) => self.unreadable += 1,
            // The report counts these.
            _ => {}
        }
    }

    fn sum_up(&self, report: &CheckReport) -> String {
        let CheckReport {
            sessions, damaged, ..
        } = report;
        let Self {
            foreign,
            leftover,
            surplus,
            missing,
            unreadable,
        } = self;
        let unreadable = match unreadable {
            0 => String::new(),
            count => format!(", {count} unreadable"),
        };
        format!(
            "{sessions} sound, {damaged} damaged, {foreign} foreign, {leftover} leftover, \
             {surplus} surplus, {missing} missing{unreadable}"
        )
    }
}

/// One line. Names of foreign files may be anything.
fn describe(finding: &Finding, is_repaired: bool) -> String {
    let repaired = |how| if is_repaired { how } else { "" };
    match finding {
        Finding::Damaged(id, how) => format!("damaged: {id}: {}", output::escaped(how)),
        Finding::Foreign(name) => format!("foreign: {}", output::escaped(name)),
        Finding::Leftover(id) => format!("leftover: {id}"),
        Finding::Surplus(name) => format!("surplus: {name}{}", repaired(", removed")),
        Finding::Missing(id) => format!("missing: {id}{}", repaired(", added")),
        Finding::Unreadable(name, why) => {
            format!(
                "unreadable: {}: {}",
                output::escaped(name),
                output::escaped(why)
            )
        }
        other => format!("{other:?}"),
    }
}
