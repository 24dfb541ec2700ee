//! The chapter "Deploying" of the book, whose commands run as an operator types them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use session3_test_servers::free_port;

use super::systemd::Units;
use super::{example, read, replaced, run};
use crate::book::{Shell, blocks};
use crate::https::{certify, curl};

const CHAPTER: &str = include_str!("../../../docs/src/deploying.md");

#[test]
fn an_operator_deploys_a_site_by_the_commands_of_the_book() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    certify(directory.path());
    let [yaml] = blocks(CHAPTER, "yaml")[..] else {
        panic!("one configuration of Prometheus")
    };
    fs::write(path("prometheus.yml"), yaml).unwrap();
    fs::write(path("alerts.yml"), read("prometheus/alerts.yml")).unwrap();
    let etc = path("etc");
    let ports = [(); 3].map(|()| free_port().to_string());
    // The addresses and the directory of the example become those of this test.
    let here = |block: &str| {
        block
            .replace("/etc/session3", etc.to_str().unwrap())
            .replace("8443", &ports[0])
            .replace("9090", &ports[1])
            .replace("8081", &ports[2])
    };
    let mut shell = Shell::new(directory.path(), "");
    let mut said = Vec::new();
    for (number, block) in blocks(CHAPTER, "sh").into_iter().enumerate() {
        if block.starts_with("kill -HUP") {
            fs::copy(path("cert.pem"), path("old.pem")).unwrap();
            certify(directory.path());
        }
        said.push(shell.run(&here(block)));
        assert!(number < 12, "the chapter has other blocks of commands");
    }
    let is_said = |text: &str| said.iter().any(|said| said.contains(text));
    for text in [
        "ready\n",
        "fine\n",
        "the certificate in cert.pem was loaded anew",
        "SUCCESS",
    ] {
        assert!(is_said(text), "{text}: {said:?}");
    }
    let page = fs::read_to_string(path("page.html")).unwrap();
    assert!(page.contains("Your session ID is"), "{page}");
    // The last of the servers has the new certificate.
    let url = format!("https://localhost:{}/", ports[0]);
    assert!(curl(directory.path(), &["--cacert", "cert.pem"], &url).is_some());
    assert!(curl(directory.path(), &["--cacert", "old.pem"], &url).is_none());
    assert_eq!(
        fs::read_to_string(etc.join("options")).unwrap(),
        "OPTIONS=\"--grant admin --access-log\"\n"
    );
}

/// Each file for `systemctl edit` makes a valid unit of the example.
#[test]
fn systemd_understands_the_changes_of_the_book() {
    for change in blocks(CHAPTER, "ini") {
        let units = Units::new();
        let unit = match change.starts_with("[Socket]") {
            true => "session3.socket",
            false => "session3.service",
        };
        let directory = units.path(&format!("{unit}.d"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("override.conf"), change).unwrap();
        units.verify();
    }
}

/// certbot runs the hook with the directory of a certificate.
#[test]
fn a_renewed_certificate_reaches_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let group = run(Command::new("id").arg("-gn"), "coreutils");
    let hook = replaced(
        &read("certbot/session3"),
        &[
            ("/etc/session3/tls", path("tls").to_str().unwrap()),
            ("group=ssl-cert", &format!("group={}", group.trim())),
        ],
    );
    fs::write(path("hook"), hook).unwrap();
    let systemctl = path("systemctl");
    fs::write(&systemctl, "#!/bin/sh\necho \"$@\"\n").unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let search = format!(
        "{}:{}",
        directory.path().display(),
        std::env::var("PATH").unwrap()
    );
    for (site, expected) in [
        ("other.example.com", ""),
        ("shop.example.com", "reload session3\n"),
    ] {
        let lineage = path(site);
        fs::create_dir(&lineage).unwrap();
        certify(&lineage);
        fs::rename(lineage.join("cert.pem"), lineage.join("fullchain.pem")).unwrap();
        fs::rename(lineage.join("key.pem"), lineage.join("privkey.pem")).unwrap();
        let mut hook = Command::new("sh");
        hook.arg(path("hook"))
            .env("RENEWED_LINEAGE", &lineage)
            .env("PATH", &search);
        assert_eq!(run(&mut hook, "coreutils"), expected);
    }
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("tls/cert.pem"), mode("tls/key.pem")), (0o644, 0o640));
    let mode = fs::metadata(example("certbot/session3"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o111, 0o111);
}

/// What the chapter says of files, and of the exposure that another test checks.
#[test]
fn the_chapter_names_files_that_exist() {
    let names = CHAPTER.split("deploy/").skip(1);
    let mut count = 0;
    for name in names {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let end = name.find(|c| !is_name(c)).unwrap();
        let name = name[..end].trim_end_matches('.');
        // The directory of certbot.
        if name != "session3" {
            assert!(example(name).exists(), "{name}");
            count += 1;
        }
    }
    assert!(count > 8, "{count}");
    assert!(CHAPTER.contains("exposure of 1.1 of 10"));
}
