//! What every proxy in front of a server has to do.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use session3_components::DEMO;
use session3_test_fixtures::SITE;
use session3_test_program::{Demo, session3};
use session3_test_servers::free_port;
use session3_test_support::wait_until;
use tempfile::TempDir;

use crate::https::{certify, curl, header};

/// Two servers in a temporary directory: the application whose pages show its requests, and the
/// demo. The proxy in front of them is a child process, which is killed when this is dropped.
pub struct Proxied {
    directory: TempDir,
    site: Demo,
    port: u16,
    demo_port: u16,
    proxies: [Child; 2],
    /// It stops when this is dropped.
    _demo: Demo,
}

/// Headers in which a client pretends to be another one.
const FORGED: [&str; 10] = [
    "--header",
    "X-Forwarded-For: 203.0.113.7",
    "--header",
    "X-Forwarded-Proto: http",
    "--header",
    "X-Forwarded-Host: evil.example",
    "--header",
    "Forwarded: for=203.0.113.7;proto=http;host=evil.example",
    "--header",
    "X-Real-IP: 203.0.113.7",
];

impl Proxied {
    /// Starts the servers, and a proxy in front of each: the program of a Debian package, with
    /// the options that `configure` returns after it wrote a configuration into the directory,
    /// for the port of the proxy and the address of the server.
    pub fn start(
        program: &str,
        package: &str,
        configure: impl Fn(&Path, u16, &str) -> Vec<String>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        certify(directory.path());
        let serve = |name: &str, component: &[u8]| {
            fs::write(directory.path().join(name), component).unwrap();
            let mut command = session3();
            command
                .current_dir(&directory)
                .args(["serve", name, "--grant", "admin", "--store", "sessions"])
                .args(["--trust-proxy", "loopback", "--metrics", "127.0.0.1:0"]);
            Demo::run(&mut command)
        };
        let proxy = |name: &str, server: &Demo| {
            let own = directory.path().join(name);
            fs::create_dir(&own).unwrap();
            for file in ["cert.pem", "key.pem"] {
                fs::copy(directory.path().join(file), own.join(file)).unwrap();
            }
            let address = server.url.split('/').nth(2).unwrap();
            let port = free_port();
            let child = Command::new(program)
                .args(configure(&own, port, address))
                .current_dir(&own)
                .env("HOME", &own)
                .env("XDG_DATA_HOME", &own)
                .env("XDG_CONFIG_HOME", &own)
                .stdout(Stdio::null())
                .stderr(fs::File::create(own.join("log")).unwrap())
                .spawn();
            let child = child.unwrap_or_else(|error| {
                panic!("{program}: {error}: install the package {package}")
            });
            (child, port)
        };
        let site = serve("site.wasm", SITE);
        let demo = serve("demo.wasm", DEMO);
        let (site_proxy, port) = proxy("site", &site);
        let (demo_proxy, demo_port) = proxy("demo", &demo);
        let proxied = Self {
            directory,
            site,
            port,
            demo_port,
            proxies: [site_proxy, demo_proxy],
            _demo: demo,
        };
        for port in [port, demo_port] {
            wait_until("the proxy", || proxied.get(port, &[], "").is_some());
        }
        proxied
    }

    fn get(&self, port: u16, arguments: &[&str], page: &str) -> Option<String> {
        let url = format!("https://localhost:{port}/{page}");
        let arguments = [&["--cacert", "cert.pem", "--include"], arguments].concat();
        let page = curl(self.directory.path(), &arguments, &url)?;
        Some(page.replace('\r', ""))
    }

    /// Checks all that a proxy has to do.
    pub fn check(&self) {
        self.check_client();
        self.check_cookie();
        self.check_limits();
        self.check_connections();
    }

    /// The application learns the address of the client, the scheme and the host, whatever the
    /// client says about itself.
    fn check_client(&self) {
        for arguments in [&[][..], &FORGED[..]] {
            let arguments = [&["--http2"], arguments].concat();
            let page = self.get(self.port, &arguments, "headers").unwrap();
            assert!(page.starts_with("HTTP/2 200"), "{page}");
            let host = format!("localhost:{}", self.port);
            for (name, expected) in [
                ("scheme", "https"),
                ("authority", &host),
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-proto", "https"),
            ] {
                assert_eq!(header(&page, name).as_deref(), Some(expected), "{page}");
            }
            assert!(
                !page.contains("203.0.113.7") && !page.contains("evil"),
                "{page}"
            );
        }
    }

    /// The cookie of the demo has the safe form because the application knows of the TLS.
    fn check_cookie(&self) {
        let page = self.get(self.demo_port, &[], "keep").unwrap();
        let cookie = header(&page.to_lowercase(), "set-cookie").unwrap();
        assert!(cookie.starts_with("__host-session="), "{cookie}");
        assert!(cookie.contains("; secure"), "{cookie}");
    }

    /// The largest body is served, and a longer one is refused by the proxy or by the server. If
    /// that happens while the client sends, the client may see the end of the connection in place
    /// of the status 413. What is for the operator only is not there.
    fn check_limits(&self) {
        let send = |length: u64| {
            let body = fs::File::create(self.directory.path().join("body")).unwrap();
            body.set_len(length).unwrap();
            let arguments = ["--data-binary", "@body", "--output", "/dev/null"];
            let arguments = [&arguments[..], &["--write-out", "%{http_code}"]].concat();
            self.get(self.port, &arguments, "body")
        };
        assert_eq!(send(16 << 20).as_deref(), Some("200"));
        assert_ne!(send((16 << 20) + 1).as_deref(), Some("200"));
        for page in ["metrics", "readyz", "healthz"] {
            let page = self.get(self.demo_port, &[], page).unwrap();
            let is_missing = page.starts_with("HTTP/2 404") || page.starts_with("HTTP/1.1 404");
            assert!(is_missing, "{page}");
        }
    }

    /// The proxy uses its connections to the server again.
    fn check_connections(&self) {
        let connections = || {
            let mut lines = self.site.greeting.iter();
            let url = lines.find_map(|line| line.strip_prefix("Metrics are at "));
            let url = url.unwrap().trim_end_matches('.');
            let metrics = curl(self.directory.path(), &[], url).unwrap();
            let mut lines = metrics.lines();
            let count = lines.find_map(|line| line.strip_prefix("session3_connections_total "));
            count.unwrap().parse::<u32>().unwrap()
        };
        let before = connections();
        for _ in 0..10 {
            self.get(self.port, &[], "status/200").unwrap();
        }
        assert!(connections() < before + 10);
    }
}

impl Drop for Proxied {
    fn drop(&mut self) {
        for proxy in &mut self.proxies {
            let _ = Command::new("kill").arg(proxy.id().to_string()).status();
            let _ = proxy.wait();
        }
    }
}
