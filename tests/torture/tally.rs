//! What processes counted.

use std::collections::BTreeMap;
use std::fmt;

/// Faults that a torture looks for have an exclamation mark before the name; of
/// what has a caret there, the largest number counts, and not the sum.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// With faults that are to be printed, zero or not.
    pub fn looking_for(faults: &[&str]) -> Self {
        Self(
            faults
                .iter()
                .map(|fault| (format!("!{fault}"), 0))
                .collect(),
        )
    }

    /// One more of something.
    pub fn count(&mut self, what: &str) {
        self.add(what, 1);
    }

    /// So many more.
    pub fn add(&mut self, what: &str, number: u64) {
        *self.0.entry(what.to_owned()).or_default() += number;
    }

    /// The largest that there was of something.
    pub fn raise(&mut self, what: &str, number: u64) {
        self.take(&format!("^{what}"), number);
    }

    fn take(&mut self, what: &str, number: u64) {
        if !what.starts_with('^') {
            return self.add(what, number);
        }
        let most = self.0.entry(what.to_owned()).or_default();
        *most = number.max(*most);
    }

    /// One more of what must not be. The first ones are shown at once.
    pub fn fault(&mut self, what: &str, details: impl fmt::Display) {
        const SHOWN: u64 = 3;
        let name = format!("!{what}");
        if self.0.get(&name).is_none_or(|count| *count < SHOWN) {
            eprintln!("{what}: {details}");
        }
        self.count(&name);
    }

    /// Those of another process, too.
    pub fn merge(&mut self, other: &Self) {
        for (what, number) in &other.0 {
            self.take(what, *number);
        }
    }

    /// As `lines` made it; what is there twice, is added up.
    pub fn parse(lines: &str) -> Self {
        let mut tally = Self::default();
        for line in lines.lines() {
            let (number, what) = line.split_once(' ').unwrap();
            tally.take(what, number.parse().unwrap());
        }
        tally
    }

    /// One line for each, for another process.
    pub fn lines(&self) -> String {
        let lines = self.0.iter();
        lines
            .map(|(what, count)| format!("{count} {what}\n"))
            .collect()
    }

    /// Prints what was counted, and fails if there was a fault.
    pub fn judge(&self, title: &str) {
        let figures = self.0.iter().map(|(what, count)| {
            let what = what.trim_start_matches(['!', '^']);
            format!("{what} {count}")
        });
        let figures: Vec<_> = figures.collect();
        println!("  {title}: {}", figures.join(", "));
        let mut faults = self.0.iter().filter(|(what, _)| what.starts_with('!'));
        assert!(faults.all(|(_, count)| *count == 0), "there are faults");
    }
}
