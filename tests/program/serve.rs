//! `session3 serve`: an application gets sessions, and nothing else that it was not granted. A
//! fault of the application costs only its own request.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use session3_components::{DEMO, MANAGER, STORE_FILESYSTEM};
use session3_compose::{Composition, Grant};
use session3_test_fixtures::{ADMINISTRATION, FORGER, GUEST, NOSY, RELAY};

use session3_test_program::{Browser, Demo, session3, without_warnings};
use session3_test_support::{block_on, files};

use crate::place::{Place, get, hold_instance, read, send};

/// The arguments for serving the demo, which has a page for the administrator.
const AS_DEMO: [&str; 2] = ["--grant", "admin"];

/// Returns the demo composed with the manager. The result imports the store.
fn composed() -> Vec<u8> {
    let demo = Composition::new(DEMO, MANAGER).grant(Grant::Admin);
    demo.compose().unwrap()
}

/// Runs a command that must fail. Returns its one line on standard error, apart from warnings.
fn refusal(command: &mut Command) -> String {
    let output = command.args(["--port", "0"]).output().unwrap();
    let said = without_warnings(&String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("session3: "), "{said}");
    said
}

#[test]
fn an_application_gets_sessions() {
    let place = Place::new(DEMO);
    let server = place.serve(&AS_DEMO);
    let mut browser = Browser::new();
    browser.get(&server, "keep");
    browser.get(&server, "increment");
    assert_eq!(browser.look(&server).1, 1);
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(browser.look(&place.serve(&AS_DEMO)).1, 1);
}

#[test]
fn a_store_into_which_others_may_write_is_named() {
    let place = Place::new(DEMO);
    fs::create_dir(place.path("sessions")).unwrap();
    let everybody = fs::Permissions::from_mode(0o777);
    fs::set_permissions(place.path("sessions"), everybody).unwrap();
    let server = place.serve(&AS_DEMO);
    get(&server, "");
    assert_eq!(server.stop().code(), Some(0));
    let log = place.log();
    assert!(
        log.contains("sessions: every user may write into it"),
        "{log}"
    );
}

#[test]
fn one_that_wants_no_sessions_is_served_as_it_is() {
    let place = Place::new(GUEST);
    assert_eq!(get(&place.serve(&[]), "").text, "fine");
}

#[test]
fn the_store_takes_a_grant() {
    let both = composed();
    let place = Place::new(&both);
    let said = refusal(&mut place.with_store(&[]));
    assert!(said.contains("session3:sessions/"), "{said}");
    assert!(said.contains("--grant store"), "{said}");
    let said = refusal(&mut place.with_store(&["--grant", "admin"]));
    assert!(said.contains("--grant store"), "{said}");
    let server = place.serve(&["--grant", "store"]);
    let mut browser = Browser::new();
    browser.get(&server, "keep");
    browser.get(&server, "increment");
    assert_eq!(browser.look(&server).1, 1);
}

#[test]
fn the_administration_takes_a_grant() {
    let place = Place::new(ADMINISTRATION);
    for arguments in [&[][..], &["--grant", "store"]] {
        let said = refusal(&mut place.with_store(arguments));
        assert!(said.contains("session3:sessions/admin"), "{said}");
        assert!(said.contains("--grant admin"), "{said}");
    }
    let demo = Demo::start(&place.path("sessions"));
    Browser::new().get(&demo, "keep");
    let server = place.serve(&["--grant", "admin"]);
    assert_eq!(get(&server, "").text, "1 sessions");
}

/// An import of another compatible version needs the same grant, since wasmtime's linker would
/// satisfy it.
#[test]
fn another_version_of_an_interface_takes_a_grant_too() {
    for (component, option) in [(ADMINISTRATION, "--grant admin"), (FORGER, "--grant store")] {
        let place = Place::new(&replace(component, b"@0.2.0", b"@0.2.7"));
        let said = refusal(&mut place.with_store(&[]));
        assert!(said.contains(option), "{said}");
    }
}

/// The refusal says how to build the component again.
#[test]
fn a_component_for_another_contract_is_refused() {
    for version in [b"@0.1.0", b"@0.3.0"] {
        let place = Place::new(&replace(DEMO, b"@0.2.0", version));
        let said = refusal(&mut place.with_store(&["--grant", "admin"]));
        let version = String::from_utf8_lossy(version);
        for part in [
            "session3:sessions/",
            &version,
            "has version 0.2",
            "`session3 wit --world administration -o wit`",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }
}

fn replace(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let count = bytes.len() - old.len();
    for start in 0..count {
        if bytes[start..].starts_with(old) {
            bytes[start..start + new.len()].copy_from_slice(new);
        }
    }
    bytes
}

#[test]
fn files_environment_and_network_are_not_there() {
    let place = Place::new(NOSY);
    let mut command = place.with_store(&[]);
    let server = place.run(command.env("SECRET", "of the host's"));
    assert_eq!(get(&server, "environment").text, "");
    assert_eq!(get(&server, "files").text, "");
    assert_eq!(get(&server, "network").text, "permanent-resolver-failure");
}

#[test]
fn what_was_granted_is_there_and_nothing_else() {
    let place = Place::new(NOSY);
    place.write("outside.txt", b"outside");
    for name in ["one", "two"] {
        fs::create_dir(place.path(name)).unwrap();
        place.write(&format!("{name}/greeting.txt"), name.as_bytes());
    }
    let arguments = ["--dir", "one", "--dir", "two::/data", "--env", "A=b=c"];
    let mut command = place.with_store(&arguments);
    command.args(["--env", "HERE", "--env", "EMPTY="]);
    let server = place.run(command.env("HERE", "is this").env("SECRET", "is that"));
    let text = get(&server, "environment").text;
    assert_eq!(text, "A=b=c\nHERE=is this\nEMPTY=\n");
    let refused = "not-permitted";
    let expected = format!("one: one {refused}\n/data: two {refused}\n");
    assert_eq!(get(&server, "files").text, expected);
    assert_eq!(get(&server, "network").text, "permanent-resolver-failure");
}

#[test]
fn a_grant_of_what_is_not_there_is_one_line() {
    let place = Place::new(NOSY);
    let said = refusal(&mut place.with_store(&["--dir", "nowhere"]));
    assert!(said.contains("nowhere"), "{said}");
    let said = refusal(&mut place.with_store(&["--env", "NO_SUCH_VARIABLE"]));
    assert!(said.contains("NO_SUCH_VARIABLE=VALUE"), "{said}");
}

#[test]
fn an_application_cannot_forge_the_log() {
    let place = Place::new(NOSY);
    let server = place.serve(&[]);
    assert_eq!(get(&server, "print").text, "printed");
    assert_eq!(server.stop().code(), Some(0));
    let log = place.log();
    let expected = [
        (" INFO request{", "the application says: one"),
        (
            " INFO request{",
            "the application says: INFO everything is fine\\u{1b}[2J",
        ),
        (" WARN request{", "the application says: oh"),
        (" INFO request{", "the application says: two\\r INFO is"),
    ];
    // One more line warns that the application has no sessions, two are about the server's end.
    assert_eq!(log.lines().count(), expected.len() + 3, "{log}");
    for (level, said) in expected {
        let said = format!(" method=GET path=/print}}: {said}");
        let mut lines = log.lines();
        let is_it = |line: &str| line.contains(level) && line.ends_with(&said);
        assert!(lines.any(is_it), "{said}: {log}");
    }
}

#[test]
fn an_application_cannot_fill_the_log() {
    let place = Place::new(NOSY);
    let server = place.serve(&[]);
    assert_eq!(get(&server, "flood").text, "printed");
    assert_eq!(server.stop().code(), Some(0));
    let log = place.log();
    assert!(log.len() < 80_000, "{} bytes", log.len());
    assert!(log.contains("the rest is dropped"));
}

#[test]
fn memory_is_limited_for_all_parts_together() {
    let place = Place::new(GUEST);
    assert_eq!(get(&place.serve(&[]), "memory/32").text, "fine");
    let server = place.serve(&["--max-memory", "16"]);
    assert_eq!(get(&server, "memory/32").status, 500);
    assert_eq!(get(&server, "").text, "fine");
    // The application and the manager start with more than half a megabyte each.
    let place = Place::new(DEMO);
    let limited = |megabytes| [&AS_DEMO[..], &["--max-memory", megabytes]].concat();
    let said = refusal(&mut place.with_store(&limited("1")));
    assert!(said.contains("--max-memory"), "{said}");
    assert_eq!(get(&place.serve(&limited("3")), "").status, 200);
}

#[test]
fn time_is_limited() {
    let place = Place::new(GUEST);
    let server = place.serve(&["--timeout", "1"]);
    assert_eq!(get(&server, "loop").status, 504);
    assert_eq!(get(&server, "").text, "fine");
}

#[test]
fn a_body_is_limited_whether_it_says_its_length_or_not() {
    const HEAD: &str = "POST /body HTTP/1.1\r\nHost: h\r\nConnection: close\r\n";
    let place = Place::new(GUEST);
    let server = place.serve(&["--max-body", "1"]);
    let (fits, too_long) = (1 << 20, (1 << 20) + 1);
    for (length, status) in [(fits, "200 OK"), (too_long, "413 ")] {
        let body = "x".repeat(length);
        let known = format!("{HEAD}Content-Length: {length}\r\n\r\n{body}");
        let chunked =
            format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n");
        for request in [known, chunked] {
            let response = read(send(&server, &request));
            assert!(
                response.starts_with(&format!("HTTP/1.1 {status}")),
                "{response}"
            );
            assert_eq!(response.contains("1048576"), length == fits, "{response}");
        }
    }
    assert_eq!(get(&server, "").text, "fine");
}

/// With one instance, one request runs, four wait, and the sixth gets 503.
#[test]
fn overload_is_answered_503_and_what_waits_is_served() {
    let place = Place::new(GUEST);
    let server = place.serve(&["--max-instances", "1", "--timeout", "60"]);
    let mut first = hold_instance(&server);
    let (sender, answers) = mpsc::channel();
    let clients: Vec<_> = (0..5)
        .map(|_| {
            let stream = send(
                &server,
                "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            );
            let sender = sender.clone();
            thread::spawn(move || sender.send(read(stream)).unwrap())
        })
        .collect();
    let refused = answers.recv().unwrap();
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    first.write_all(b"body").unwrap();
    assert!(read(first).ends_with("\r\n4\r\nfine\r\n0\r\n\r\n"));
    for client in clients {
        client.join().unwrap();
    }
    drop(sender);
    let served: Vec<_> = answers.iter().collect();
    assert_eq!(served.len(), 4);
    for answer in served {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn sighup_loads_anew_and_what_is_under_way_finishes_with_the_old_one() {
    let place = Place::new(GUEST);
    let server = place.serve(&AS_DEMO);
    let mut under_way = hold_instance(&server);
    place.write("application.wasm", DEMO);
    server.signal("HUP");
    place.wait_for("application.wasm was loaded anew");
    assert!(get(&server, "").text.contains("Your session ID is"));
    under_way.write_all(b"body").unwrap();
    let answer = read(under_way);
    assert!(answer.ends_with("\r\n4\r\nfine\r\n0\r\n\r\n"), "{answer}");

    for bad in [&b"nonsense"[..], MANAGER, &composed()] {
        let count = || {
            place
                .log()
                .matches("continues with the previous component")
                .count()
        };
        let before = count();
        place.write("application.wasm", bad);
        server.signal("HUP");
        while count() == before {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(get(&server, "").text.contains("Your session ID is"));
    }
    place.write("application.wasm", GUEST);
    server.signal("HUP");
    while get(&server, "").text != "fine" {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn http_2_is_spoken_with_prior_knowledge() {
    let place = Place::new(GUEST);
    let server = place.serve(&[]);
    let url = server.url.clone();
    block_on(async move {
        let address = url.strip_prefix("http://").unwrap().trim_end_matches('/');
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let io = TokioIo::new(stream);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let requests = ["", "silent", "trap", ""].map(|path| {
            let mut sender = sender.clone();
            let request = Request::get(format!("{url}{path}"));
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            tokio::spawn(async move { sender.send_request(request).await.unwrap() })
        });
        for (request, status) in requests.into_iter().zip([200, 500, 500, 200]) {
            let response = request.await.unwrap();
            assert_eq!(response.version(), Version::HTTP_2);
            assert_eq!(response.status(), StatusCode::from_u16(status).unwrap());
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body == "fine", status == 200);
        }
    });
}

#[test]
fn a_store_may_be_a_component() {
    let place = Place::new(DEMO);
    place.write("relay.wasm", RELAY);
    let relay = ["--grant", "admin", "--store-component", "relay.wasm"];
    let said = refusal(&mut place.with_store(&relay));
    assert!(said.contains("--grant store"), "{said}");
    let said = refusal(&mut place.command(&relay));
    assert!(said.contains("--grant store"), "{said}");
    let granted = [&relay[..], &["--grant", "store"]].concat();
    let said = refusal(&mut place.command(&granted));
    assert!(said.contains("--store"), "{said}");

    let mut browser = Browser::new();
    let server = place.serve(&granted);
    browser.get(&server, "keep");
    browser.get(&server, "increment");
    assert_eq!(browser.look(&server).1, 1);
    assert_eq!(files(&place.path("sessions")).len(), 1);
    drop(server);
    assert_eq!(
        browser.look(&place.serve(&AS_DEMO)).1,
        1,
        "both stores use the same directory"
    );
}

#[test]
fn a_store_component_may_keep_sessions_in_a_directory_of_the_hosts() {
    let place = Place::new(DEMO);
    place.write("store.wasm", STORE_FILESYSTEM);
    fs::create_dir(place.path("sessions")).unwrap();
    let component = ["--grant", "admin", "--store-component", "store.wasm"];
    let directory = ["--dir", "sessions::/sessions"];
    let with_directory = [&component[..], &directory].concat();
    let mut browser = Browser::new();
    for counter in [1, 3] {
        let server = place.run(&mut place.command(&with_directory));
        browser.get(&server, "keep");
        browser.get(&server, "increment");
        assert_eq!(browser.look(&server).1, counter);
        drop(server);
        let server = place.serve(&AS_DEMO);
        browser.get(&server, "increment");
        assert_eq!(browser.look(&server).1, counter + 1);
    }
    let server = place.run(&mut place.command(&with_directory));
    browser.get(&server, "logout");
    place.wait_for("INFO ended session=");
    assert_eq!(files(&place.path("sessions")), [] as [PathBuf; 0]);
    drop(server);

    let server = place.run(&mut place.command(&component));
    assert_eq!(get(&server, "keep").status, 503);
    place.wait_for("give one with --dir DIRECTORY::/sessions");
}

#[test]
fn an_application_is_joined_for_other_hosts() {
    let place = Place::new(DEMO);
    place.write("store.wasm", STORE_FILESYSTEM);
    let compose = |arguments: &[&str]| {
        let mut command = session3();
        command
            .current_dir(place.path("."))
            .args(["compose", "application.wasm"])
            .args(arguments);
        command
    };
    let output = compose(&[]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1));
    assert!(said.contains("--grant admin"), "{said}");
    let output = compose(&["--grant", "admin"]).output().unwrap();
    assert_eq!(output.stdout, composed());

    let whole = ["--store-component", "store.wasm", "-o", "composed.wasm"];
    let mut command = compose(&[&AS_DEMO[..], &whole].concat());
    assert!(command.status().unwrap().success());
    let composed = fs::read(place.path("composed.wasm")).unwrap();
    let demo = Composition::new(DEMO, MANAGER).grant(Grant::Admin);
    let expected = demo.store_component(STORE_FILESYSTEM).compose().unwrap();
    assert!(composed == expected);
}

#[test]
fn what_cannot_be_served_is_one_line() {
    let place = Place::new(b"nonsense");
    let module = b"\0asm\x01\0\0\0";
    for (component, expected) in [
        (&b"nonsense"[..], "not WebAssembly"),
        (b"", "it is empty"),
        (&DEMO[..DEMO.len() / 2], "damaged"),
        (module, "core module"),
    ] {
        place.write("application.wasm", component);
        let said = refusal(&mut place.with_store(&["--grant", "store"]));
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("application.wasm"), "{said}");
    }
    fs::remove_file(place.path("application.wasm")).unwrap();
    let said = refusal(&mut place.with_store(&[]));
    assert!(
        said.contains("application.wasm: there is no such file"),
        "{said}"
    );
}

#[test]
fn a_store_is_asked_for() {
    let output = Place::new(DEMO).command(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--store"));
}

#[test]
fn the_components_and_the_contract_are_handed_out() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = session3()
            .current_dir(&directory)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success());
        output.stdout
    };
    run(&["component", "manager", "-o", "manager.wasm"]);
    assert_eq!(
        fs::read(directory.path().join("manager.wasm")).unwrap(),
        MANAGER
    );
    assert_eq!(run(&["component", "demo"]), DEMO);
    assert_eq!(run(&["component", "store-filesystem"]), STORE_FILESYSTEM);
    let printed = String::from_utf8(run(&["wit"])).unwrap();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    run(&["wit", "-o", "wit"]);
    let written = files(&directory.path().join("wit"));
    assert_eq!(written.len(), 10);
    for file in written {
        let name = file.file_name().unwrap();
        let text = fs::read_to_string(contract.join(name)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        assert_eq!(printed.contains(&text), name != "wkg.toml");
    }
    assert!(printed.starts_with("package session3:sessions@0.2.0;"));
}
