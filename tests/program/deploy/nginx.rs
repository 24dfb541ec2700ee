//! nginx with `deploy/nginx/session3.conf`.

use std::fs;
use std::path::Path;

use session3_test_servers::free_port;

use super::proxied::Proxied;
use super::{read, replaced};

/// Writes the configuration of the example for these addresses.
fn configure(directory: &Path, port: u16, server: &str) -> Vec<String> {
    let certificate = "/etc/letsencrypt/live/shop.example.com";
    let site = replaced(
        &read("nginx/session3.conf"),
        &[
            ("server 127.0.0.1:8080;", &format!("server {server};")),
            ("    listen [::]:80;\n", ""),
            ("    listen [::]:443 ssl http2;\n", ""),
            ("listen 80;", &format!("listen 127.0.0.1:{};", free_port())),
            ("listen 443 ", &format!("listen 127.0.0.1:{port} ")),
            (&format!("{certificate}/fullchain.pem"), "cert.pem"),
            (&format!("{certificate}/privkey.pem"), "key.pem"),
            ("server_name shop.example.com", "server_name localhost"),
        ],
    );
    fs::write(directory.join("site.conf"), site).unwrap();
    // nginx writes its files where this test may.
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {name}; "))
        .concat();
    let around = format!(
        "daemon off; pid nginx.pid; error_log stderr; events {{}} \
         http {{ access_log off; {paths} include site.conf; }}"
    );
    fs::write(directory.join("nginx.conf"), around).unwrap();
    let directory = directory.to_str().unwrap().to_owned();
    ["-p", &directory, "-c", "nginx.conf"]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn a_site_behind_nginx_has_tls_and_knows_its_clients() {
    Proxied::start("nginx", "nginx-light", configure).check();
}
