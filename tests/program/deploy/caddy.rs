//! Caddy with `deploy/caddy/Caddyfile`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::proxied::Proxied;
use super::{example, read, replaced, run};

/// Writes the configuration of the example for these addresses.
fn configure(directory: &Path, port: u16, server: &str) -> Vec<String> {
    let site = format!("https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls cert.pem key.pem\n");
    let file = replaced(
        &read("caddy/Caddyfile"),
        &[
            ("shop.example.com {\n", &site),
            (
                "reverse_proxy 127.0.0.1:8080",
                &format!("reverse_proxy {server}"),
            ),
        ],
    );
    // Caddy needs no other port.
    let file = format!("{{\n\tadmin off\n\tauto_https off\n}}\n{file}");
    fs::write(directory.join("Caddyfile"), file).unwrap();
    ["run", "--config", "Caddyfile", "--adapter", "caddyfile"]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn a_site_behind_caddy_has_tls_and_knows_its_clients() {
    Proxied::start("caddy", "caddy", configure).check();
}

#[test]
fn the_caddyfile_is_valid_and_formatted() {
    let file = example("caddy/Caddyfile");
    let mut validate = Command::new("caddy");
    let home = tempfile::tempdir().unwrap();
    validate
        .env("HOME", home.path())
        .arg("adapt")
        .arg("--config")
        .arg(&file);
    run(&mut validate, "caddy");
    let formatted = run(Command::new("caddy").arg("fmt").arg(&file), "caddy");
    assert_eq!(formatted, read("caddy/Caddyfile"));
}
