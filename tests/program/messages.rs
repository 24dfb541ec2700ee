//! What the program says about mistakes of an operator: one line, which says what to do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use session3_test_fixtures::SITE;
use session3_test_program::Demo;
use session3_test_support::wait_until;

use crate::https::{certify, curl};
use crate::place::Directory;

/// The user nobody of Debian.
const NOBODY: u32 = 65534;

/// Returns a directory with an application, and a certificate in several forms.
fn given() -> Directory {
    let place = Directory::new();
    fs::write(place.path("site.wasm"), SITE).unwrap();
    certify(&place.path(""));
    place
}

fn serve(place: &Directory, arguments: &[&str]) -> Command {
    let mut command = place.command(&["serve", "site.wasm", "--store", "sessions"]);
    command.args(arguments);
    command
}

/// Lets other users read the directory.
fn open_to_others(place: &Directory) {
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
}

fn one_line(output: &Output, status: i32) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

fn refusal(command: &mut Command) -> String {
    one_line(&command.output().unwrap(), 1)
}

fn usage(command: &mut Command) -> String {
    one_line(&command.output().unwrap(), 2)
}

#[test]
fn a_directory_of_something_else_is_no_store() {
    let place = given();
    let other = place.path("other");
    fs::create_dir_all(other.join("sessions")).unwrap();
    for arguments in [
        &["prune", "other"][..],
        &["list", "other"],
        &["check", "other"],
        &["stats", "other"],
        &["copy", "other", "new"],
        &["copy", "empty", "other"],
        &["demo", "other", "--port", "0"],
        &["serve", "site.wasm", "--store", "other", "--port", "0"],
        &["serve", "site.wasm", "--store", "other", "--check"],
    ] {
        fs::create_dir_all(place.path("empty")).unwrap();
        let said = refusal(&mut place.command(arguments));
        let expected = "other: it has other files, such as \"sessions\", and no session; name the \
                        directory of the sessions, or a new one";
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let names: Vec<_> = fs::read_dir(other).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing was created: {names:?}");
}

#[test]
fn a_new_store_may_have_what_file_systems_and_tools_leave_there() {
    let place = given();
    let store = place.path("sessions");
    fs::create_dir_all(store.join("lost+found")).unwrap();
    fs::write(store.join(".gitkeep"), "").unwrap();
    drop(Demo::run(&mut serve(&place, &[])));
    let listed = place.command(&["list", "sessions"]).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
}

#[test]
fn wrong_options_are_one_line_with_advice() {
    let place = given();
    for (arguments, expected) in [
        (
            &["--prt", "1"][..],
            "unexpected argument '--prt' found; a similar argument exists: '--port'; see \
             `session3 serve --help`",
        ),
        (
            &["--metrics", "9090"],
            "write an IP address with a port, such as 127.0.0.1:9090",
        ),
        (
            &["--listen", "127.0.0.1\u{ff1a}80"],
            "it has a character that only looks like an ASCII one; write HOST:PORT",
        ),
        (&["--max-memory", "0"], "0 is not in 1..=4095"),
        (&["--tls-cert", "cert.pem"], "--tls-key"),
        (&["--log-format", "xml"], "[possible values: text, json]"),
    ] {
        let said = usage(&mut serve(&place, arguments));
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let said = usage(&mut place.command(&["lst"]));
    assert!(
        said.contains("a similar subcommand exists: 'list'"),
        "{said}"
    );
    let said = usage(&mut place.command(&["delete"]));
    assert!(said.contains("see `session3 delete --help`"), "{said}");
}

#[test]
fn the_option_of_a_missing_directory_is_named() {
    let place = given();
    for option in ["--static", "--dir"] {
        let said = refusal(&mut serve(&place, &[option, "nowhere::/x"]));
        assert!(!said.contains("site.wasm"), "{said}");
        let expected = format!("{option} nowhere: the directory ");
        assert!(said.contains(&expected), "{said}");
    }
    let said = refusal(&mut serve(&place, &["--listen", "unix:nowhere/socket"]));
    assert!(
        said.contains("its directory does not exist: create it"),
        "{said}"
    );
}

#[test]
fn files_of_a_certificate_that_do_not_fit_are_explained() {
    let place = given();
    let convert = |arguments: &[&str]| {
        let mut openssl = Command::new("openssl");
        let status = openssl.current_dir(place.path("")).args(arguments).status();
        assert!(status.expect("openssl").success());
    };
    convert(&[
        "x509", "-in", "cert.pem", "-outform", "der", "-out", "cert.der",
    ]);
    convert(&[
        "pkey", "-in", "key.pem", "-outform", "der", "-out", "key.der",
    ]);
    convert(&[
        "req",
        "-new",
        "-key",
        "key.pem",
        "-subj",
        "/CN=localhost",
        "-out",
        "request.pem",
    ]);
    convert(&[
        "x509",
        "-req",
        "-in",
        "request.pem",
        "-signkey",
        "key.pem",
        "-out",
        "v1.pem",
    ]);
    let certificate = fs::read_to_string(place.path("cert.pem")).unwrap();
    let (beginning, _) = certificate.split_once("-----END").unwrap();
    fs::write(place.path("cut.pem"), beginning).unwrap();
    for (certificate, key, expected) in [
        (
            "cert.der",
            "key.pem",
            "cert.der is in DER: convert it to PEM",
        ),
        (
            "cert.pem",
            "key.der",
            "key.der is in DER: convert it to PEM",
        ),
        (
            "key.pem",
            "key.pem",
            "key.pem contains a private key and no certificate: the two",
        ),
        (
            "cert.pem",
            "cert.pem",
            "cert.pem contains a certificate and no private key: the two",
        ),
        (
            "cut.pem",
            "key.pem",
            "cut.pem is not in PEM: the line -----END …----- is missing",
        ),
        (
            "v1.pem",
            "key.pem",
            "v1.pem cannot be used: it has version 1 of X.509: make one of",
        ),
    ] {
        let said = refusal(&mut serve(
            &place,
            &["--tls-cert", certificate, "--tls-key", key],
        ));
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn another_user_is_told_what_the_right_user_may_do() {
    let place = given();
    let store = place.path("sessions");
    drop(Demo::run(&mut serve(&place, &[])));
    open_to_others(&place);
    let said = refusal(place.command(&["list", "sessions"]).uid(NOBODY));
    assert!(said.contains("sessions: cannot be read ("), "{said}");
    assert!(
        said.contains("run this command as the user that owns it"),
        "{said}"
    );
    let said = refusal(place.command(&["prune", "sessions"]).uid(NOBODY));
    assert!(said.contains("sessions: cannot be written ("), "{said}");
    let mut check = place.command(&["serve", "site.wasm", "--store", "new/sessions", "--check"]);
    let said = refusal(check.uid(NOBODY));
    assert!(
        said.contains("new/sessions: cannot be created, because "),
        "{said}"
    );
    assert!(store.exists());
}

#[test]
fn a_store_that_is_an_empty_file_can_be_created() {
    let place = given();
    fs::write(place.path("empty.db"), "").unwrap();
    let mut check = place.command(&["serve", "site.wasm", "--store", "sqlite:empty.db"]);
    let output = check.arg("--check").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_user_without_rights_learns_how_to_use_a_low_port() {
    let place = given();
    open_to_others(&place);
    let Ok(lowest) = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start") else {
        panic!("Linux has this file");
    };
    assert!(
        lowest.trim().parse::<u16>().unwrap() > 81,
        "every user may use port 81 here"
    );
    let mut serve = serve(&place, &["--port", "81"]);
    let said = refusal(serve.uid(NOBODY));
    assert!(said.contains("CAP_NET_BIND_SERVICE"), "{said}");
}

#[test]
fn a_directory_that_became_read_only_is_not_ready() {
    let place = given();
    open_to_others(&place);
    let store = place.path("sessions");
    fs::create_dir(&store).unwrap();
    chown(&store, Some(NOBODY), None).unwrap();
    let mut serve = serve(&place, &["--metrics", "127.0.0.1:0"]);
    let server = Demo::run(serve.uid(NOBODY));
    let mut lines = server.greeting.iter();
    let metrics = lines.find_map(|line| line.strip_prefix("Metrics are at "));
    let ready = metrics.unwrap().replace("metrics.", "readyz");
    let why = || {
        curl(&place.path(""), &[], &ready)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    assert_eq!(why(), "ready");
    let set_mode = |mode| fs::set_permissions(&store, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o500);
    wait_until("the server is not ready", || why() != "ready");
    let said = why();
    let expected = format!("{}: the directory cannot be written: ", store.display());
    assert!(said.contains(&expected), "{said}");
    set_mode(0o700);
    wait_until("the server is ready", || why() == "ready");
}

#[test]
fn the_log_says_when_and_why_a_server_ends() {
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT")] {
        let place = given();
        let log = fs::File::create(place.path("log")).unwrap();
        let server = Demo::run(serve(&place, &[]).stderr(log));
        server.signal(signal);
        server.wait();
        let log = fs::read_to_string(place.path("log")).unwrap();
        let expected = format!("{name}: the server finishes the requests that are running");
        assert!(log.contains(&expected), "{log}");
        assert!(log.contains("the server has ended"), "{log}");
    }
}

#[test]
fn everything_is_in_a_log_for_programs() {
    let place = given();
    let log = fs::File::create(place.path("log")).unwrap();
    let mut serve = serve(
        &place,
        &["--log-format", "json", "--metrics", "127.0.0.1:0"],
    );
    let mut server = serve.args(["--port", "0"]).stderr(log).spawn().unwrap();
    let text = || fs::read_to_string(place.path("log")).unwrap();
    wait_until("the addresses", || {
        text().contains("Open http://127.0.0.1:")
    });
    server.kill().unwrap();
    server.wait().unwrap();
    let lines = text();
    assert!(lines.contains("Metrics are at http://"), "{lines}");
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}"));
    }
}

#[test]
fn a_network_of_everyone_is_warned_of() {
    let place = given();
    for networks in ["0.0.0.0/0", "loopback,::/0"] {
        let log = fs::File::create(place.path("log")).unwrap();
        let server = Demo::run(serve(&place, &["--trust-proxy", networks]).stderr(log));
        server.stop();
        let log = fs::read_to_string(place.path("log")).unwrap();
        assert!(
            log.contains("--trust-proxy names a network of all addresses"),
            "{log}"
        );
    }
}
