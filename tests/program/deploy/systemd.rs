//! The units in `deploy/systemd`. No systemd runs here, so the tests check the units, and run the
//! commands in them as systemd would: with its socket, and with the system calls that are allowed.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use session3_components::DEMO;
use session3_test_program::{Browser, Demo, session3};
use session3_test_support::wait_until;
use tempfile::TempDir;

use super::{read, replaced, root, run};

const UNITS: [&str; 4] = [
    "session3.service",
    "session3.socket",
    "session3-prune.service",
    "session3-prune.timer",
];

/// A directory with the units for the program that is tested.
pub struct Units(TempDir);

impl Units {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = session3().get_program().to_str().unwrap().to_owned();
        for unit in UNITS {
            let text = read(&format!("systemd/{unit}"));
            let text = text.replace("/usr/local/bin/session3", &program);
            fs::write(directory.path().join(unit), text).unwrap();
        }
        Self(directory)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `systemd-analyze`, which has to succeed, and returns what it prints.
    fn analyze(&self, arguments: &[&str], units: &[&str]) -> String {
        let mut command = Command::new("systemd-analyze");
        command
            .args(arguments)
            .args(units.iter().map(|unit| self.path(unit)))
            // Other units of this machine are not checked.
            .env("SYSTEMD_UNIT_PATH", format!("{}:", self.0.path().display()));
        let output = command.output().expect("install the package systemd");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }

    /// Checks that systemd has no complaint. It also succeeds if it does not know a setting.
    pub fn verify(&self) {
        assert_eq!(self.analyze(&["verify", "--man=no"], &UNITS), "");
    }

    /// Returns the command of a unit, with this directory in place of the system's.
    fn command(&self, unit: &str, replacements: &[(&str, &str)]) -> Vec<String> {
        let text = fs::read_to_string(self.path(unit)).unwrap();
        let text = text.replace("\\\n", " ");
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix("ExecStart="));
        let line = replaced(line.unwrap(), replacements);
        line.split_whitespace().map(str::to_owned).collect()
    }
}

/// Returns a command that runs another one with the system calls that a unit allows.
fn confined(unit: &Path, command: &[String]) -> Command {
    let script = root().join("tests/program/deploy/confined.py");
    // Debian's Python has the package.
    let mut confined = Command::new("/usr/bin/python3");
    confined.arg(script).arg(unit).args(command);
    confined
}

#[test]
fn systemd_understands_the_units() {
    Units::new().verify();
}

/// The limits are tenths of the exposure that `systemd-analyze` computes, from 0 to 100.
#[test]
fn the_services_expose_little() {
    let units = Units::new();
    for (unit, limit) in [("session3.service", 11), ("session3-prune.service", 6)] {
        let threshold = format!("--threshold={limit}");
        let arguments = ["security", "--offline=true", "--no-pager", &threshold];
        units.analyze(&arguments, &[unit]);
    }
}

#[test]
fn the_service_serves_with_the_system_calls_that_it_may_use() {
    let units = Units::new();
    let unit = units.path("session3.service");
    let component = units.path("application.wasm");
    fs::write(&component, DEMO).unwrap();
    let state = units.0.path().to_str().unwrap();
    let command = units.command(
        "session3.service",
        &[
            ("/etc/session3", state),
            ("${STORE}", &format!("{state}/session3/sessions")),
            ("%C", state),
            ("127.0.0.1:9090", "127.0.0.1:0"),
            ("$OPTIONS", "--grant admin"),
        ],
    );
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let log = units.path("log");
    let confined = confined(&unit, &command);
    let script = "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    let mut activated = Command::new("sh");
    activated
        .args(["-c", script, "sh"])
        .arg(confined.get_program())
        .args(confined.get_args())
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stderr(File::create(&log).unwrap());
    let server = Demo::run_as_it_is(&mut activated);
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    assert!(status.contains("Seccomp:\t2"), "{status}");

    let mut browser = Browser::new();
    browser.get(&server, "keep");
    browser.get(&server, "increment");
    assert_eq!(browser.look(&server).1, 1);
    server.signal("HUP");
    wait_until("the reload", || {
        fs::read_to_string(&log)
            .unwrap()
            .contains("was loaded anew")
    });
    assert_eq!(browser.look(&server).1, 1);
    assert_eq!(server.stop().code(), Some(0));
    let said = fs::read_to_string(log).unwrap();
    assert!(!said.contains("ERROR") && !said.contains("WARN"), "{said}");

    let command = units.command(
        "session3-prune.service",
        &[
            ("${STORE}", &format!("{state}/session3/sessions")),
            ("${MINUTES}", "1440"),
        ],
    );
    let mut prune = self::confined(&units.path("session3-prune.service"), &command);
    let said = run(&mut prune, "python3-seccomp");
    assert_eq!(said, "deleted 0, remaining 1\n");
}

/// The reason why the unit leaves it out. If this fails, the unit should have it.
#[test]
fn a_server_needs_memory_that_becomes_executable() {
    let units = Units::new();
    let component = units.path("application.wasm");
    fs::write(&component, DEMO).unwrap();
    let unit = units.path("strict.service");
    let text = read("systemd/session3.service") + "MemoryDenyWriteExecute=yes\n";
    fs::write(&unit, text).unwrap();
    let program = session3().get_program().to_owned();
    let command = [
        program.to_str().unwrap(),
        "serve",
        component.to_str().unwrap(),
        "--grant=admin",
        "--store=memory:",
        "--port=0",
    ];
    let output = confined(&unit, &command.map(str::to_owned))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("failed to make memory executable"), "{said}");
}
