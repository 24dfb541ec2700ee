//! The figures that a process reports to the first one, as lines of text.

use std::collections::BTreeMap;
use std::fmt;

/// Figures by name.
#[derive(Default)]
pub struct Report {
    figures: BTreeMap<String, u64>,
}

impl Report {
    /// Adds to a figure.
    pub fn add(&mut self, name: impl Into<String>, count: u64) {
        *self.figures.entry(name.into()).or_default() += count;
    }

    /// Returns a figure, or 0 if there is none of this name.
    pub fn get(&self, name: &str) -> u64 {
        self.figures.get(name).copied().unwrap_or_default()
    }

    /// Returns the figures whose names begin so, without this beginning.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        let named = self.figures.iter();
        named.filter_map(move |(name, count)| Some((name.strip_prefix(prefix)?, *count)))
    }

    /// Reads the lines of a report.
    pub fn parse(lines: impl Iterator<Item = String>) -> Self {
        let mut report = Self::default();
        for line in lines {
            let (count, name) = line.split_once(' ').unwrap();
            report.add(name, count.parse().unwrap());
        }
        report
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.figures {
            writeln!(formatter, "{count} {}", name.replace('\n', " "))?;
        }
        Ok(())
    }
}
