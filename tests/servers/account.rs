//! The user of a server that refuses to run as root, and what belongs to it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A user, and Debian's package that makes it.
pub struct Account {
    /// The name of the user.
    pub user: &'static str,
    /// The package.
    pub package: &'static str,
}

impl Account {
    /// Makes a directory that the user owns.
    pub fn directory(&self) -> PathBuf {
        let directory = tempfile::Builder::new()
            .prefix(&format!("session3-{}-", self.user))
            .tempdir()
            .unwrap()
            .keep();
        self.give(&directory);
        directory
    }

    /// Gives a file or a directory to the user.
    pub fn give(&self, path: &Path) {
        if let Some((user, group)) = self.ids() {
            chown(path, Some(user), Some(group)).unwrap();
        }
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// Returns a command that runs a program as the user.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = match self.ids() {
            None => Command::new(program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command
                    .arg(format!("--reuid={user}"))
                    .arg(format!("--regid={group}"))
                    .arg("--clear-groups")
                    .arg(program);
                command
            }
        };
        command.current_dir("/");
        command
    }

    /// Returns the program that was found. Without one, says what to install.
    pub fn installed(&self, program: Option<PathBuf>, name: &str) -> PathBuf {
        let package = self.package;
        program.unwrap_or_else(|| panic!("install Debian's package `{package}`: it has `{name}`"))
    }

    /// Returns the IDs of the user if this process is root.
    fn ids(&self) -> Option<(u32, u32)> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let Self { user, package } = self;
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let beginning = format!("{user}:");
        let line = users.lines().find(|line| line.starts_with(&beginning));
        let Some(line) = line else {
            panic!("install Debian's package `{package}`: there is no user `{user}`");
        };
        let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
        Some((fields.next().unwrap(), fields.next().unwrap()))
    }
}

/// Runs a server whose output is appended to the file `log` in a directory.
pub fn run(command: &mut Command, directory: &Path) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .unwrap();
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Starts a shell that runs `end`, with the directory as its argument, when its input ends: when
/// the test drops this, and when the test is killed.
pub fn watchdog(end: &str, directory: &Path) -> Child {
    let script = format!("trap '' INT; read -r line; {end}");
    Command::new("sh")
        .args(["-c", &script, "watchdog"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
