//! `session3 check`: reports damaged and foreign files of a store, and corrects its index.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use session3::store::{CheckObserver, CheckReport, Finding};

use super::output::{self, Output};
use super::progress::Progress;
use super::store::Store;

/// Read every session and report the problems of a store
///
/// Prints a line for each finding, and a line with their numbers. The exit status
/// is 1 if a session is damaged, if the index by user lacks a session and is not
/// repaired, or if a file could not be read, here or by the owner of the store.
///
/// Other findings do no harm: a foreign file, which is kept, and the file of an
/// interrupted create or delete (leftover) or a surplus entry of the index, which
/// the next sweep removes.
///
/// With --key-file, every seal is opened, and the number of sessions that are not
/// sealed is printed. Without --accept-plain, the exit status is 1 if there are any.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 check /tmp/sessions
  session3 check /tmp/sessions --repair"
)]
pub struct Check {
    #[command(flatten)]
    store: Store,
    /// Correct the index by user; the sessions are never changed
    #[arg(long)]
    repair: bool,
}

/// The number of findings of each kind, except damaged sessions, which the report counts.
#[derive(Default)]
struct Findings {
    foreign: u64,
    leftover: u64,
    surplus: u64,
    missing: u64,
    unreadable: u64,
    inaccessible: u64,
    plain: u64,
}

/// Prints the findings while the check runs.
struct Printer {
    is_repaired: bool,
    progress: Progress,
    findings: Findings,
    output: Output,
    /// The first failure of the output, after which nothing is printed: a closed standard
    /// output must not end a repair half-way.
    printed: io::Result<()>,
}

impl CheckObserver for Printer {
    fn found(&mut self, finding: Finding) {
        self.findings.count(&finding);
        // While a store moves from plain to sealed, these are all sessions at first.
        let is_printed = !matches!(finding, Finding::Plain(_));
        if is_printed && self.printed.is_ok() {
            let line = describe(&finding, self.is_repaired);
            let output = &mut self.output;
            let print = || writeln!(output, "{line}").and_then(|()| output.flush());
            self.printed = self.progress.suspend(print);
        }
    }

    fn progress(&mut self, done: f64) {
        self.progress.set(done);
    }
}

impl Check {
    /// Checks the store. The exit status says whether it is sound, or was repaired.
    pub async fn run(self) -> Result<ExitCode> {
        let store = match self.repair {
            true => self.store.open_for_changes().await?,
            false => self.store.open_read_only().await?,
        };
        let mut printer = Printer {
            is_repaired: self.repair,
            progress: Progress::bar(),
            findings: Findings::default(),
            output: output::stdout(),
            printed: Ok(()),
        };
        let report = store.check(self.repair, &mut printer).await?;
        let Printer {
            progress,
            findings,
            mut output,
            printed,
            ..
        } = printer;
        drop(progress);
        printed?;
        writeln!(output, "{}", findings.summary(&report))?;
        output.flush()?;
        let is_damaged = report.damaged > 0
            || (findings.missing > 0 && !self.repair)
            || (findings.plain > 0 && !self.store.accepts_plain());
        Ok(
            if is_damaged || findings.unreadable + findings.inaccessible > 0 {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            },
        )
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
            Finding::Inaccessible(..) => self.inaccessible += 1,
            Finding::Plain(_) => self.plain += 1,
            // Damaged sessions, which the report counts.
            _ => {}
        }
    }

    /// Returns the last line of the output, with the numbers.
    fn summary(&self, report: &CheckReport) -> String {
        let CheckReport {
            sessions, damaged, ..
        } = report;
        let Self {
            foreign,
            leftover,
            surplus,
            missing,
            unreadable,
            inaccessible,
            plain,
        } = self;
        let some = |count: &u64, what| match count {
            0 => String::new(),
            count => format!(", {count} {what}"),
        };
        let unreadable = some(unreadable, "unreadable")
            + &some(inaccessible, "inaccessible")
            + &some(plain, "not sealed");
        format!(
            "{sessions} sound, {damaged} damaged, {foreign} foreign, {leftover} leftover, \
             {surplus} surplus, {missing} missing{unreadable}"
        )
    }
}

/// Returns a finding as one line. It is escaped, since the name of a foreign file may hold
/// any character.
fn describe(finding: &Finding, is_repaired: bool) -> String {
    let if_repaired = |text| if is_repaired { text } else { "" };
    match finding {
        Finding::Damaged(id, reason) => format!("damaged: {id}: {}", output::escaped(reason)),
        Finding::Foreign(name) => format!("foreign: {}", output::escaped(name)),
        Finding::Leftover(id) => format!("leftover: {id}"),
        Finding::Surplus(name) => format!("surplus: {name}{}", if_repaired(", removed")),
        Finding::Missing(id) => format!("missing: {id}{}", if_repaired(", added")),
        Finding::Unreadable(name, reason) => {
            format!(
                "unreadable: {}: {}",
                output::escaped(name),
                output::escaped(reason)
            )
        }
        Finding::Inaccessible(name, reason) => {
            format!(
                "inaccessible: {}: {}",
                output::escaped(name),
                output::escaped(reason)
            )
        }
        other => format!("{other:?}"),
    }
}
