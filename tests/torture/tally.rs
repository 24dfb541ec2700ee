//! The counts of the processes.

use std::collections::BTreeMap;
use std::fmt;

/// Numbers by name. An exclamation mark before a name says that it counts a fault. A caret says
/// that the number is a maximum: of two such numbers, the larger one remains, not the sum.
#[derive(Clone, Debug, Default)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Creates a tally with these faults, which are printed even if there are none.
    pub fn looking_for(faults: &[&str]) -> Self {
        Self(
            faults
                .iter()
                .map(|fault| (format!("!{fault}"), 0))
                .collect(),
        )
    }

    /// Adds 1 to a number.
    pub fn count(&mut self, what: &str) {
        self.add(what, 1);
    }

    /// Adds to a number.
    pub fn add(&mut self, what: &str, number: u64) {
        *self.0.entry(what.to_owned()).or_default() += number;
    }

    /// Raises a maximum to `number` if that is larger.
    pub fn raise(&mut self, what: &str, number: u64) {
        self.take(&format!("^{what}"), number);
    }

    /// Adds to a number, or raises a maximum, as the name says.
    fn take(&mut self, what: &str, number: u64) {
        if !what.starts_with('^') {
            return self.add(what, number);
        }
        let most = self.0.entry(what.to_owned()).or_default();
        *most = number.max(*most);
    }

    /// Counts a fault. The details of the first three of a name are printed at once.
    pub fn fault(&mut self, what: &str, details: impl fmt::Display) {
        const SHOWN: u64 = 3;
        let name = format!("!{what}");
        if self.0.get(&name).is_none_or(|count| *count < SHOWN) {
            eprintln!("{what}: {details}");
        }
        self.count(&name);
    }

    /// Adds the numbers of another process.
    pub fn merge(&mut self, other: &Self) {
        for (what, number) in &other.0 {
            self.take(what, *number);
        }
    }

    /// Reads the numbers that [`lines`](Self::lines) wrote. A name may occur several times.
    pub fn parse(lines: &str) -> Self {
        let mut tally = Self::default();
        for line in lines.lines() {
            let (number, what) = line.split_once(' ').unwrap();
            tally.take(what, number.parse().unwrap());
        }
        tally
    }

    /// Returns a line for each number, for another process to read.
    pub fn lines(&self) -> String {
        let lines = self.0.iter();
        lines
            .map(|(what, count)| format!("{count} {what}\n"))
            .collect()
    }

    /// Prints the numbers.
    ///
    /// # Panics
    ///
    /// If there was a fault.
    pub fn judge(&self, title: &str) {
        let figures = self.0.iter().map(|(what, count)| {
            let what = what.trim_start_matches(['!', '^']);
            format!("{what} {count}")
        });
        let figures: Vec<_> = figures.collect();
        println!("  {title}: {}", figures.join(", "));
        let mut faults = self.0.iter().filter(|(what, _)| what.starts_with('!'));
        assert!(
            faults.all(|(_, count)| *count == 0),
            "the torture found faults"
        );
    }
}
