//! `--static`: files that the server answers beside the application.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use session3_test_fixtures::SITE;
use session3_test_program::{Browser, Demo, Page};
use session3_test_support::{block_on, wait_until};

use crate::clients::{http_2_without_a_window, page, request};
use crate::place::{Place, get, read, send};

/// The page of the application for any path that it does not know.
const OF_APPLICATION: &str = "fine";

/// Returns an application with a directory `public` beside it, which has some files.
fn place() -> Place {
    let place = Place::new(SITE);
    fs::create_dir_all(place.path("public/docs")).unwrap();
    place.write("secret.txt", b"secret");
    for (name, content) in [
        ("app.js", "alert('a')"),
        ("style.css", "body {}"),
        ("data.bin", "binary"),
        ("docs/index.html", "<p>index"),
        (".env", "secret"),
        ("empty.txt", ""),
        ("visit", "a file in the place of a page"),
    ] {
        place.write(&format!("public/{name}"), content.as_bytes());
    }
    place
}

fn header<'a>(page: &'a Page, name: &str) -> Option<&'a str> {
    let values = page.values(name);
    assert!(values.len() < 2, "{name}: {values:?}");
    values.first().copied()
}

/// Sends a request with these lines after that with the path, and returns the whole answer.
fn raw(server: &Demo, method: &str, path: &str, lines: &str) -> String {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{lines}\r\n");
    read(send(server, &head))
}

#[test]
fn files_are_beside_the_application() {
    let place = place();
    let server = place.serve(&["--static", "public", "--static-max-age", "60"]);
    for (path, kind, content) in [
        ("app.js", "text/javascript; charset=utf-8", "alert('a')"),
        ("style.css?v=2", "text/css; charset=utf-8", "body {}"),
        ("data.bin", "application/octet-stream", "binary"),
        ("docs/", "text/html; charset=utf-8", "<p>index"),
        ("empty.txt", "text/plain; charset=utf-8", ""),
    ] {
        let length = content.len().to_string();
        let (page, head) = (get(&server, path), Browser::new().head(&server, path));
        assert_eq!((page.text.as_str(), head.text.as_str()), (content, ""));
        for page in [page, head] {
            assert_eq!(page.status, 200, "{path}");
            assert_eq!(page.set_cookie, None);
            for (name, expected) in [
                ("content-type", kind),
                ("content-length", &length),
                ("cache-control", "public, max-age=60"),
                ("x-content-type-options", "nosniff"),
                ("accept-ranges", "bytes"),
            ] {
                assert_eq!(header(&page, name), Some(expected), "{path}: {name}");
            }
            assert!(header(&page, "etag").is_some() && header(&page, "last-modified").is_some());
        }
    }
    for path in ["", "docs", "missing.js", "app.js/", "docs/index.html/"] {
        assert_eq!(get(&server, path).text, OF_APPLICATION, "{path}");
    }
    let posted = raw(&server, "POST", "/app.js", "Content-Length: 0\r\n");
    assert!(posted.ends_with(OF_APPLICATION), "{posted}");
}

#[test]
fn a_path_of_the_server_can_have_the_files_and_the_first_directory_wins() {
    let place = place();
    fs::create_dir(place.path("more")).unwrap();
    place.write("more/app.js", b"other");
    place.write("more/new.js", b"new");
    let assets = ["--static", "public::/assets", "--static", "more::/assets"];
    let server = place.serve(&assets);
    for (path, content) in [
        ("assets/app.js", "alert('a')"),
        ("assets/new.js", "new"),
        ("app.js", OF_APPLICATION),
        ("visit", "1"),
    ] {
        assert_eq!(get(&server, path).text, content, "{path}");
    }
    let age = get(&server, "assets/new.js");
    assert_eq!(header(&age, "cache-control"), Some("public, max-age=3600"));
}

#[test]
fn no_path_leads_out_of_the_directory_or_to_a_hidden_file() {
    let place = place();
    symlink("../secret.txt", place.path("public/outside.txt")).unwrap();
    symlink("..", place.path("public/parent")).unwrap();
    symlink(place.path("secret.txt"), place.path("public/absolute.txt")).unwrap();
    symlink("app.js", place.path("public/inside.js")).unwrap();
    let server = place.serve(&["--static", "public"]);
    for path in [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/app.js%00",
        "/.env",
        "/%2eenv",
        "/docs/../.env",
        "/outside.txt",
        "/parent/secret.txt",
        "/absolute.txt",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = raw(&server, method, path, "");
            assert!(
                !answer.contains("secret") && !answer.contains("root:"),
                "{path}: {answer}"
            );
            // The application answers, or the path is none.
            assert!(!answer.contains("nosniff"), "{path}: {answer}");
            assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
        }
    }
    let absolute = format!("{}secret.txt", server.url);
    assert!(raw(&server, "GET", &absolute, "").ends_with(OF_APPLICATION));
    assert_eq!(get(&server, "inside.js").text, "alert('a')");
}

#[test]
fn special_files_block_nothing() {
    let place = place();
    let status = Command::new("mkfifo")
        .arg(place.path("public/fifo"))
        .status();
    assert!(status.unwrap().success());
    let _socket = UnixListener::bind(place.path("public/socket")).unwrap();
    let server = place.serve(&["--static", "public"]);
    for path in ["fifo", "socket"] {
        assert_eq!(get(&server, path).text, OF_APPLICATION, "{path}");
        assert_eq!(Browser::new().head(&server, path).status, 200, "{path}");
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_browser_that_has_the_file_gets_304() {
    let place = place();
    let server = place.serve(&["--static", "public"]);
    let first = get(&server, "app.js");
    let (etag, modified) = (header(&first, "etag"), header(&first, "last-modified"));
    let (etag, modified) = (etag.unwrap(), modified.unwrap());
    let ask =
        |name: &str, value: &str| Browser::new().get_with(&server, "app.js", &[(name, value)]);
    for (name, value) in [("If-None-Match", etag), ("If-Modified-Since", modified)] {
        let page = ask(name, value);
        assert_eq!((page.status, page.text.as_str()), (304, ""), "{name}");
        assert_eq!(header(&page, "etag"), Some(etag));
        assert_eq!(header(&page, "cache-control"), Some("public, max-age=3600"));
    }
    assert_eq!(ask("If-None-Match", "\"other\"").status, 200);
    assert_eq!(ask("If-Match", "\"other\"").status, 412);
    // A file that has changed has another version.
    place.write("public/app.js", b"alert('b')");
    let page = ask("If-None-Match", etag);
    assert_eq!((page.status, page.text.as_str()), (200, "alert('b')"));
}

#[test]
fn a_part_of_a_file_can_be_asked_for() {
    let place = place();
    let server = place.serve(&["--static", "public"]);
    let etag = header(&get(&server, "app.js"), "etag").unwrap().to_owned();
    let ask = |headers: &[(&str, &str)]| Browser::new().get_with(&server, "app.js", headers);
    for (range, content, place) in [
        ("bytes=0-4", "alert", "bytes 0-4/10"),
        ("bytes=5-", "('a')", "bytes 5-9/10"),
        ("bytes=-1", ")", "bytes 9-9/10"),
    ] {
        let page = ask(&[("Range", range)]);
        assert_eq!((page.status, page.text.as_str()), (206, content), "{range}");
        assert_eq!(header(&page, "content-range"), Some(place));
    }
    let beyond = ask(&[("Range", "bytes=10-")]);
    assert_eq!((beyond.status, beyond.text.as_str()), (416, ""));
    assert_eq!(header(&beyond, "content-range"), Some("bytes */10"));
    assert_eq!(header(&beyond, "cache-control"), None);
    let same = ask(&[("Range", "bytes=5-"), ("If-Range", &etag)]);
    assert_eq!(same.status, 206);
    let other = ask(&[("Range", "bytes=5-"), ("If-Range", "\"other\"")]);
    assert_eq!((other.status, other.text.as_str()), (200, "alert('a')"));
}

#[test]
fn a_compressed_file_beside_it_is_sent_to_those_who_accept_it() {
    let place = place();
    place.write("public/app.js.gz", b"as gzip");
    place.write("public/app.js.br", b"as brotli");
    place.write("public/style.css.gz", b"as gzip");
    let server = place.serve(&["--static", "public"]);
    for (path, accepted, encoding, content) in [
        ("/app.js", "gzip, br", Some("br"), "as brotli"),
        ("/app.js", "gzip", Some("gzip"), "as gzip"),
        ("/app.js", "identity", None, "alert('a')"),
        ("/app.js", "br;q=0, gzip;q=0", None, "alert('a')"),
        ("/style.css", "gzip, br", Some("gzip"), "as gzip"),
        ("/data.bin", "gzip, br", None, "binary"),
    ] {
        let answer = raw(
            &server,
            "GET",
            path,
            &format!("Accept-Encoding: {accepted}\r\n"),
        );
        let line = encoding.map(|encoding| format!("content-encoding: {encoding}\r\n"));
        match line {
            Some(line) => assert!(answer.contains(&line), "{answer}"),
            None => assert!(!answer.contains("content-encoding"), "{answer}"),
        }
        assert!(answer.contains("vary: accept-encoding\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{content}")), "{answer}");
        if path == "/app.js" {
            assert!(answer.contains("content-type: text/javascript; charset=utf-8\r\n"));
        }
    }
}

#[test]
fn a_large_file_arrives_whole() {
    let place = place();
    let content: String = (0..1_000_000).map(|number| format!("{number}\n")).collect();
    place.write("public/large.txt", content.as_bytes());
    let server = place.serve(&["--static", "public"]);
    let page = get(&server, "large.txt");
    assert!(page.text == content, "{} bytes", page.text.len());
    let part = Browser::new().get_with(&server, "large.txt", &[("Range", "bytes=100-5000099")]);
    assert!(
        part.text == content[100..5_000_100],
        "{} bytes",
        part.text.len()
    );
}

/// A client of HTTP/1.1, whose system takes some megabytes, and one of HTTP/2, which takes none.
#[test]
fn a_client_that_reads_nothing_of_a_file_is_disconnected() {
    let place = place();
    let huge = File::create(place.path("public/huge")).unwrap();
    huge.set_len(200 << 20).unwrap();
    place.write("public/small.txt", &[b'x'; 4096]);
    let mut command = place.with_store(&["--static", "public", "--client-timeout", "1"]);
    let server = place.run(&mut command);
    let open_files = || {
        let directory = fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap();
        let targets = directory.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        targets.filter(|target| target.ends_with("huge")).count()
    };
    let client = request(&server, "huge");
    wait_until("an open file", || open_files() == 1);
    wait_until("the end of the answer", || open_files() == 0);
    let mut length = 0;
    let mut client = client;
    let mut piece = vec![0; 1 << 20];
    while let Ok(read @ 1..) = std::io::Read::read(&mut client, &mut piece) {
        length += read;
    }
    assert!(length < 200 << 20, "all was sent");

    block_on(async {
        // The first file fits the buffer of the client, the second one does not.
        for path in ["small.txt", "huge"] {
            let sender = http_2_without_a_window(&server).await;
            let response = sender.clone().send_request(page(&server, path)).await;
            let _body = response.unwrap().into_body();
            let start = Instant::now();
            while !sender.is_closed() {
                assert!(
                    start.elapsed() < Duration::from_secs(60),
                    "{path}: it stays open"
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
    wait_until("the end of all answers", || open_files() == 0);
    assert_eq!(get(&server, "app.js").text, "alert('a')");
}

#[test]
fn a_slow_client_of_a_file_is_served() {
    let place = place();
    let content = "x".repeat(8 << 20);
    place.write("public/large.txt", content.as_bytes());
    let server = place.serve(&[
        "--static",
        "public",
        "--client-timeout",
        "1",
        "--timeout",
        "1",
    ]);
    let head = "GET /large.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let mut client = send(&server, head);
    let mut piece = vec![0; 200_000];
    let mut length = 0;
    loop {
        let read = std::io::Read::read(&mut client, &mut piece).unwrap();
        if read == 0 {
            break;
        }
        length += read;
        thread::sleep(Duration::from_millis(50));
    }
    assert!(length > content.len(), "{length}");
}

#[test]
fn a_file_takes_no_instance_and_no_session_and_is_counted() {
    let place = place();
    let arguments = [
        "--static",
        "public::/assets",
        "--metrics",
        "127.0.0.1:0",
        "--access-log",
    ];
    let server = place.serve(&arguments);
    let mut browser = Browser::new();
    browser.get(&server, "visit");
    for _ in 0..3 {
        let page = browser.get(&server, "assets/app.js");
        assert_eq!((page.status, page.set_cookie), (200, None));
    }
    let metrics = || {
        let lines = &mut server.greeting.iter();
        let url = lines.find_map(|line| line.strip_prefix("Metrics are at "));
        let page = ureq::get(url.unwrap().trim_end_matches('.')).call();
        page.unwrap().body_mut().read_to_string().unwrap()
    };
    wait_until("the end of all requests", || {
        metrics().contains("session3_requests_running 0\n")
    });
    let metrics = metrics();
    for line in [
        "session3_requests_total{status=\"2xx\"} 4\n",
        "session3_instances_total{kind=\"new\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    let line = "path=/assets/app.js}: answered status=200 bytes=10 ";
    wait_until("the access log", || place.log().matches(line).count() == 3);
    let log = place.log();
    let lines = log.lines().filter(|found| found.contains(line));
    assert!(
        lines.into_iter().all(|line| !line.contains("session=")),
        "{log}"
    );
}

#[test]
fn a_directory_that_cannot_be_served_is_an_error_at_the_start() {
    let place = place();
    for (argument, expected) in [
        (
            "missing",
            "missing: the directory of static files cannot be read: ",
        ),
        (
            "secret.txt",
            "secret.txt: the directory of static files cannot be read: ",
        ),
        (
            "public::assets",
            "assets: this is no path of static files: begin it with a slash",
        ),
    ] {
        let mut command = place.with_store(&["--static", argument, "--port", "0"]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn sighup_opens_the_directory_again() {
    let place = place();
    fs::create_dir(place.path("next")).unwrap();
    place.write("next/app.js", b"next");
    symlink("public", place.path("current")).unwrap();
    let server = place.serve(&["--static", "current"]);
    assert_eq!(get(&server, "app.js").text, "alert('a')");
    fs::remove_file(place.path("current")).unwrap();
    server.signal("HUP");
    place.wait_for("current: the directory of static files cannot be read: ");
    assert_eq!(get(&server, "app.js").text, "alert('a')");
    symlink("next", place.path("current")).unwrap();
    server.signal("HUP");
    place.wait_for("was loaded anew");
    assert_eq!(get(&server, "app.js").text, "next");
}
