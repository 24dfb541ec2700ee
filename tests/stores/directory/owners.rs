//! Directories and files that belong to other users, or that they may write.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use session3_store_directory::OtherWriter;

use super::Fixture;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_directory_that_others_may_write_is_told_from_one_that_is_safe() {
    let fixture = Fixture::new();
    let path = fixture.directory.path();
    let writers = || fixture.store.other_writers().unwrap();
    for safe in [0o700, 0o755] {
        set_mode(path, safe);
        assert_eq!(writers(), []);
    }
    set_mode(path, 0o1707);
    assert_eq!(writers(), [OtherWriter::Everyone]);
    assert!(writers()[0].to_string().contains("chmod o-w"));
    set_mode(path, 0o770);
    let group = fs::metadata(path).unwrap().gid();
    let expected: &[_] = match group {
        0 => &[],
        group => &[OtherWriter::Group(group)],
    };
    assert_eq!(writers(), expected);
}
