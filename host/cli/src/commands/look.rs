//! How commands print for a person at a terminal. What goes elsewhere, such as into a pipe, is
//! for programs, and has neither colours nor times in words.

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::Args;
use jiff::tz::TimeZone;
use session3::store::{Clock, SystemClock, Timestamp};
use session3_dashboard::words::distance;

use super::output;

/// The style of headings.
pub const HEADING: Style = Style::new().bold();
/// The style of what is of less interest.
pub const QUIET: Style = Style::new().dimmed();
/// The style of a user.
pub const USER: Style = AnsiColor::Cyan.on_default();
/// The style of what has expired or is damaged.
pub const BAD: Style = AnsiColor::Red.on_default();

/// The options about times on a terminal.
#[derive(Args)]
pub struct TimeOptions {
    /// Print times in UTC on a terminal too, instead of in words or in local time
    #[arg(long)]
    utc: bool,
}

/// How a command prints.
pub struct Look {
    is_colored: bool,
    is_utc: bool,
    now: Timestamp,
}

impl Look {
    /// Decides by standard output and by the environment. `NO_COLOR`, `CLICOLOR_FORCE` and
    /// `TERM` are obeyed.
    pub fn new(options: &TimeOptions) -> Self {
        let is_person = io::stdout().is_terminal();
        Self {
            is_colored: AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            is_utc: options.utc || !is_person,
            now: SystemClock.now(),
        }
    }

    /// Returns the time at which the command prints.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns a text in a style, if there are colours.
    pub fn paint(&self, style: Style, text: &str) -> String {
        match self.is_colored {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// Returns a time for a column of [`time_width`](Self::time_width): in words for a person.
    pub fn time(&self, time: Timestamp) -> String {
        match self.is_utc {
            true => format!("{:.0}", output::time(time)),
            false => distance(time, self.now),
        }
    }

    /// Returns the width of a column with times.
    pub fn time_width(&self) -> usize {
        if self.is_utc { 20 } else { 15 }
    }

    /// Returns a time and its distance from now. A person sees the time of the own time zone.
    pub fn long_time(&self, time: Timestamp) -> String {
        let distance = distance(time, self.now);
        let stamp = output::time(time);
        match self.is_utc {
            true => format!("{stamp:.0} ({distance})"),
            false => {
                let local = stamp.to_zoned(TimeZone::system());
                format!("{} ({distance})", local.strftime("%Y-%m-%d %H:%M:%S %:z"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 1_700_000_000_000;

    #[test]
    fn a_person_sees_words_and_a_program_stamps() {
        let mut look = Look {
            is_colored: true,
            is_utc: false,
            now: NOW,
        };
        assert_eq!(look.time(NOW - 7_200_000), "2 hours ago");
        assert_eq!(look.paint(HEADING, "a"), "\u{1b}[1ma\u{1b}[0m");
        look.is_utc = true;
        look.is_colored = false;
        assert_eq!(look.time(NOW - 7_200_000), "2023-11-14T20:13:20Z");
        assert_eq!(look.long_time(NOW), "2023-11-14T22:13:20Z (0 seconds ago)");
        assert_eq!(look.paint(HEADING, "a"), "a");
    }

    #[test]
    fn every_time_has_a_local_time_and_fits_its_column() {
        let look = Look {
            is_colored: false,
            is_utc: false,
            now: NOW,
        };
        for time in [0, NOW, NOW + 89_000, NOW + 40 * 86_400_000, u64::MAX] {
            assert!(look.long_time(time).contains(" ("), "{time}");
        }
        for time in [0, NOW, NOW + 89_000, NOW + 40 * 86_400_000] {
            assert!(look.time(time).len() <= look.time_width(), "{time}");
        }
    }
}
