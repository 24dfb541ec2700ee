//! The Debian package, as far as that can be seen without building it: `make test-deb` installs it.

use std::fs;
use std::path::PathBuf;

use session3_test_support::files;

use super::install::make;
use super::systemd::Units;
use super::{read, root};

/// Returns the lists of the array `assets` in the manifest: source, destination and mode.
fn assets() -> Vec<[String; 3]> {
    let manifest = fs::read_to_string(root().join("host/cli/Cargo.toml")).unwrap();
    let (_, assets) = manifest.split_once("\nassets = [\n").unwrap();
    let (assets, _) = assets.split_once("\n]").unwrap();
    let list = |line: &str| {
        let texts = line.split('"').skip(1).step_by(2).map(str::to_owned);
        texts.collect::<Vec<_>>().try_into().unwrap()
    };
    assets.lines().map(list).collect()
}

/// What `make install` makes is packaged, and what is packaged exists.
#[test]
fn the_package_has_all_that_is_installed() {
    let directory = tempfile::tempdir().unwrap();
    make("install", directory.path());
    let mut installed = files(directory.path());
    for [source, destination, _] in assets() {
        let Some(source) = source.strip_prefix("../../target/deb/") else {
            let file = source.strip_prefix("../../").unwrap();
            assert!(root().join(file).is_file(), "{file}");
            continue;
        };
        assert!(destination.ends_with('/'), "{destination}");
        let path = directory.path().join(source);
        let is_packaged = |file: &PathBuf| match source.strip_suffix("/*") {
            Some(_) => file.parent() == path.parent(),
            None => *file == path,
        };
        let before = installed.len();
        installed.retain(|file| !is_packaged(file));
        assert!(installed.len() < before, "{source}");
    }
    assert!(installed.is_empty(), "{installed:?} is not packaged");
}

#[test]
fn systemd_understands_the_units_of_the_package() {
    let units = Units::new();
    let change = read("debian/user.conf");
    for unit in ["session3.service", "session3-prune.service"] {
        let directory = units.path(&format!("{unit}.d"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("user.conf"), &change).unwrap();
        let text = fs::read_to_string(units.path(unit)).unwrap();
        // The drop-in changes what the unit says, and sysusers.d names the same user.
        assert!(
            text.contains("\nDynamicUser=yes\nUser=session3\n"),
            "{unit}"
        );
    }
    units.verify();
    let user = read("debian/session3.conf");
    assert!(user.contains("\nu session3 - "), "{user}");
}

#[test]
fn the_changelog_of_the_package_names_this_version() {
    let changelog = read("debian/changelog");
    let expected = format!("session3 ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(changelog.starts_with(&expected), "{changelog}");
}

/// A variable of the options is one that a unit or its program reads.
#[test]
fn the_options_of_the_package_are_variables_of_the_units() {
    let units = ["session3.service", "session3-prune.service"];
    let units = units.map(|unit| read(&format!("systemd/{unit}"))).concat();
    let options = read("debian/options");
    let variables = options
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let mut count = 0;
    for (variable, _) in variables.filter(|(name, _)| !name.contains(' ')) {
        let is_read = [format!("${variable}"), format!("${{{variable}}}")];
        assert!(
            is_read.iter().any(|text| units.contains(text)),
            "{variable}"
        );
        count += 1;
    }
    assert_eq!(count, 3);
}
