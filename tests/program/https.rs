//! A certificate, and requests by curl, which speaks HTTPS.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Writes a new certificate for `localhost`, and its key, into a directory, as `cert.pem` and
/// `key.pem`.
pub fn certify(directory: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
    let key = directory.join("key.pem");
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
}

/// Gets a URL with curl and more of its options. Returns what it prints if it succeeds.
pub fn curl(directory: &Path, arguments: &[&str], url: &str) -> Option<String> {
    let output = Command::new("curl")
        .current_dir(directory)
        .args(["--silent", "--show-error", "--max-time", "60"])
        .args(arguments)
        .arg(url)
        .output()
        .expect("curl should be installed: install the package curl");
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(text)
}

/// Returns the value of a header, and checks that there is just one.
pub fn header(page: &str, name: &str) -> Option<String> {
    let start = format!("{name}: ");
    let mut lines = page.lines().filter_map(|line| line.strip_prefix(&start));
    let value = lines.next().map(str::to_owned);
    assert_eq!(lines.next(), None, "{page}");
    value
}
