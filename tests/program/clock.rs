//! The program's clock in the hands of a test, by Debian's library `libfaketime`, so that no
//! test waits for seconds to pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempPath;

/// Lets all time of a program, waits included, pass `factor` times as fast.
pub fn speed_up(command: &mut Command, factor: u32) -> &mut Command {
    command
        .env("LD_PRELOAD", library())
        .env("FAKETIME", format!("+0 x{factor}"))
}

/// The time of day of a program. Waits take as long as ever.
pub struct Clock {
    file: TempPath,
    /// How far the clock is ahead, in seconds.
    ahead: i64,
}

impl Clock {
    /// Gives a program a clock that shows the right time until [`Clock::advance`].
    pub fn new(command: &mut Command) -> Self {
        Self::ahead_by(command, 0)
    }

    /// Gives a program a clock that is some seconds ahead, or behind if they are negative.
    pub fn ahead_by(command: &mut Command, seconds: i64) -> Self {
        let clock = Self {
            file: tempfile::NamedTempFile::new().unwrap().into_temp_path(),
            ahead: seconds,
        };
        clock.write();
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &clock.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        clock
    }

    /// Puts the clock forward.
    pub fn advance(&mut self, time: Duration) {
        self.ahead += time.as_secs() as i64;
        self.write();
    }

    /// Replaces the file as a whole, since the program may read it at any time.
    fn write(&self) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{:+}\n", self.ahead)).unwrap();
        fs::rename(new, &self.file).unwrap();
    }
}

/// Returns the path of the library, below the directory of the machine's architecture.
fn library() -> PathBuf {
    let directories = fs::read_dir("/usr/lib").unwrap();
    let library = directories
        .map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|library| Path::exists(library));
    library.expect("libfaketime is missing: run `make program-for-tests`")
}
