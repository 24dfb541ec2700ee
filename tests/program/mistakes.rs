//! Mistakes with components: each answer names the file, says what is wrong in at most two
//! lines, and what to do.

use std::fs;
use std::process::Command;

use session3_components::{CONTEXT, DEMO, MANAGER, MIDDLEWARE, STORE_FILESYSTEM};
use session3_test_fixtures::{CURRENT, GUEST, HANDLER, RELAY, SITE};
use session3_test_program::session3;

use crate::place::{Place, get};

/// What `serve` takes beside the application; a server that starts by mistake ends at once.
const CHECK: [&str; 3] = ["--store", "sessions", "--check"];

/// A component with a function `f` and the instance `h` of it, to which a test adds imports and
/// exports.
fn component(more: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $h (export "handle" (func $f)))
            {more})"#
    );
    wat::parse_str(text).unwrap()
}

/// Returns a command of the program in the directory of a place.
fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut command = session3();
    command.current_dir(place.path("")).args(arguments);
    command
}

/// Runs a command that must fail, and returns the last line on standard error, which says why.
fn refusal(place: &Place, arguments: &[&str]) -> String {
    let output = command(place, arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.lines().count() <= 2 && said.len() < 500, "{said}");
    // A warning may come first.
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("session3: "), "{said}");
    last.to_owned()
}

/// Checks what `serve` says of an application, and that it says it once.
#[track_caller]
fn assert_refused(application: &[u8], options: &[&str], parts: &[&str]) {
    let place = Place::new(application);
    let arguments = [&["serve", "application.wasm"][..], options, &CHECK].concat();
    assert_says(&refusal(&place, &arguments), parts);
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    assert!(said.starts_with("session3: application.wasm: "), "{said}");
    for part in parts {
        assert_eq!(said.matches(part).count(), 1, "{part}: {said}");
    }
}

#[test]
fn a_file_that_is_no_component_is_called_what_it_is_by_each_command() {
    let executable = fs::read("/bin/true").unwrap();
    for (content, parts) in [
        (&b""[..], ["it is empty", "build the component again"]),
        (b"print(1)\n", ["not WebAssembly", "name the file"]),
        (b"PK\x03\x04", ["not WebAssembly", "name the file"]),
        (b"(component)", ["text format", "wasm-tools parse"]),
        (b";; page\n(module)", ["text format", "wasm-tools parse"]),
        (&executable, ["executable", "--target wasm32-wasip2"]),
        (
            b"\0asm\x01\0\0\0",
            ["core module", "wasm-tools component new"],
        ),
        (&DEMO[..DEMO.len() / 2], ["incomplete", "build it again"]),
    ] {
        let place = Place::new(content);
        let serve = [&["serve", "application.wasm"][..], &CHECK].concat();
        for arguments in [
            &serve[..],
            &["compose", "application.wasm", "-o", "composed.wasm"],
            &["compile", "application.wasm", "-o", "compiled"],
        ] {
            assert_says(&refusal(&place, arguments), &parts);
        }
    }
}

#[test]
fn a_missing_file_and_a_directory_are_no_component() {
    let place = Place::new(b"");
    fs::remove_file(place.path("application.wasm")).unwrap();
    let serve = [&["serve", "application.wasm"][..], &CHECK].concat();
    assert_says(&refusal(&place, &serve), &["no such file", "build"]);
    fs::create_dir(place.path("application.wasm")).unwrap();
    for arguments in [&serve[..], &["compose", "application.wasm"]] {
        assert_says(
            &refusal(&place, arguments),
            &["a directory", "name the file"],
        );
    }
}

#[test]
fn a_part_of_session3_is_no_application() {
    for (part, name) in [
        (MANAGER, "the session manager"),
        (STORE_FILESYSTEM, "a store component"),
        (RELAY, "a store component"),
        (MIDDLEWARE, "the session middleware"),
    ] {
        for options in [&[][..], &["--grant", "store"], &["--middleware"]] {
            assert_refused(
                part,
                options,
                &[name, "name the component of the application"],
            );
        }
    }
    let name = "a part of the session middleware";
    assert_refused(
        CONTEXT,
        &[],
        &[name, "name the component of the application"],
    );
}

#[test]
fn an_application_is_no_store_component() {
    let place = Place::new(SITE);
    let arguments = ["application.wasm", "--store-component", "application.wasm"];
    let said = refusal(&place, &[&["serve"][..], &arguments].concat());
    assert_says(
        &said,
        &[
            "does not export session3:sessions/store",
            "`session3 component",
        ],
    );
}

#[test]
fn a_composed_component_is_no_application() {
    let place = Place::new(SITE);
    let compose = ["compose", "application.wasm", "-o", "composed.wasm"];
    assert!(command(&place, &compose).status().unwrap().success());
    let composed = fs::read(place.path("composed.wasm")).unwrap();
    assert_refused(
        &composed,
        &[],
        &["composed with the session manager already", "--grant store"],
    );

    // With a store in it, there is nothing to refuse, and nothing to compose.
    place.write("store.wasm", STORE_FILESYSTEM);
    let with_store = ["--store-component", "store.wasm"];
    let compose = [&compose[..], &with_store].concat();
    assert!(command(&place, &compose).status().unwrap().success());
    let again = ["compose", "composed.wasm", "-o", "again.wasm"];
    let output = command(&place, &again).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("composed with the session manager already"),
        "{said}"
    );
    assert_eq!(
        fs::read(place.path("again.wasm")).unwrap(),
        fs::read(place.path("composed.wasm")).unwrap()
    );
}

#[test]
fn what_handles_no_requests_is_not_served() {
    let world = "`session3 wit --world application -o wit`";
    assert_refused(&component(""), &[], &["it is not a web application", world]);
    let run = r#"(export "wasi:cli/run@0.2.6" (instance $h))"#;
    assert_refused(&component(run), &[], &["a command", world]);
    let wit = wat::parse_str("(component)").unwrap();
    assert_refused(&wit, &[], &["has no code", "name the component"]);
}

#[test]
fn a_handler_of_another_version_is_named() {
    for handler in [
        "wasi:http/handler@0.3.0-rc-2025-09-16",
        "wasi:http/incoming-handler@0.1.0",
    ] {
        let export = format!(r#"(export "{handler}" (instance $h))"#);
        let world = "`session3 wit --world application-wasi03 -o wit`";
        assert_refused(&component(&export), &[], &[handler, world]);
    }
}

#[test]
fn an_import_that_the_server_does_not_have_is_named() {
    let export = r#"(export "wasi:http/incoming-handler@0.2.6" (instance $h))"#;
    for (import, advice) in [
        ("acme:database/query@1.0.0", "`wac plug`"),
        ("wasi:keyvalue/store@0.2.0-draft", "`wac plug`"),
        (
            "wasi:clocks/system-clock@0.3.0-rc-2025-09-16",
            "WASI 0.2 and 0.3.0",
        ),
    ] {
        let import_of = format!(r#"(import "{import}" (instance (export "f" (func))))"#);
        assert_refused(&component(&(import_of + export)), &[], &[import, advice]);
    }
}

#[test]
fn another_contract_is_refused_with_the_world_that_fits() {
    for (exports, imports, world) in [
        ("wasi:http/incoming-handler@0.2.6", "manager", "application"),
        (
            "wasi:http/incoming-handler@0.2.6",
            "admin",
            "administration",
        ),
        ("wasi:http/handler@0.3.0", "manager", "application-wasi03"),
        (
            "wasi:http/handler@0.3.0",
            "current",
            "application-behind-middleware",
        ),
    ] {
        let application = component(&format!(
            r#"(import "session3:sessions/{imports}@0.1.0" (instance (export "f" (func))))
            (export "{exports}" (instance $h))"#
        ));
        let world = format!("`session3 wit --world {world} -o wit`");
        assert_refused(&application, &[], &["@0.1.0", "version 0.2", &world]);
    }
}

#[test]
fn the_middleware_and_its_application_need_each_other() {
    assert_refused(
        CURRENT,
        &[],
        &["session3:sessions/current", "add --middleware"],
    );
    let world = "`session3 wit --world application-behind-middleware -o wit`";
    assert_refused(SITE, &["--middleware"], &["leave out --middleware", world]);
    // An application for WASI 0.3 that opens its sessions itself takes both.
    let place = Place::new(HANDLER);
    for options in [&[][..], &["--middleware"]] {
        let arguments = [&["serve", "application.wasm"][..], options, &CHECK].concat();
        let status = command(&place, &arguments).status().unwrap();
        assert!(status.success(), "{options:?}");
    }
}

#[test]
fn a_compiled_file_is_for_serve_and_for_one_version() {
    let place = Place::new(GUEST);
    let compile = ["compile", "application.wasm", "-o", "application.compiled"];
    assert!(command(&place, &compile).status().unwrap().success());
    let compiled = fs::read(place.path("application.compiled")).unwrap();
    assert_refused(&compiled, &[], &["it is compiled", "--allow-compiled"]);

    let place = Place::new(&compiled);
    let said = refusal(
        &place,
        &["compose", "application.wasm", "-o", "composed.wasm"],
    );
    assert_says(&said, &["it is compiled", "name the component"]);

    let version = format!("\"session3\":\"{}\"", env!("CARGO_PKG_VERSION"));
    let other = version.replace(env!("CARGO_PKG_VERSION"), "0.0.1");
    let header = compiled.iter().position(|&byte| byte == b'}').unwrap();
    let text = String::from_utf8(compiled[..header].to_vec()).unwrap();
    assert!(text.contains(&version), "{text}");
    let old = [
        text.replace(&version, &other).as_bytes(),
        &compiled[header..],
    ]
    .concat();
    let allowed = ["--allow-compiled"];
    assert_refused(
        &old,
        &allowed,
        &["compiled by session3 0.0.1", "compile it again"],
    );
}

#[test]
fn an_application_without_sessions_is_served_with_a_warning() {
    let place = Place::new(GUEST);
    assert_eq!(get(&place.serve(&[]), "").text, "fine");
    let log = place.log();
    let warning = "application.wasm: the application has no sessions";
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    let place = Place::new(SITE);
    drop(place.serve(&[]));
    assert!(!place.log().contains("no sessions"), "{}", place.log());
}

/// `guests::worlds` does the same with a component of jco.
#[test]
fn javascript_without_random_numbers_is_served_with_a_warning() {
    let handler = r#"(export "wasi:http/incoming-handler@0.2.10" (instance $h))"#;
    let javascript =
        r#"(@producers (language "JavaScript" "") (processed-by "ComponentizeJS" "0.22.0"))"#;
    let random = r#"(import "wasi:random/random@0.2.10" (instance (export "f" (func))))"#;
    for (application, is_warned_of) in [
        (component(&format!("{handler} {javascript}")), true),
        (
            component(&format!("{random} {handler} {javascript}")),
            false,
        ),
        (component(handler), false),
    ] {
        let place = Place::new(&application);
        let arguments = ["compose", "application.wasm", "-o", "composed.wasm"];
        let output = command(&place, &arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("Math.random()"), is_warned_of, "{said}");
    }
}

#[test]
fn a_wit_directory_holds_one_package() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = session3();
        let output = command.current_dir(&directory).args(arguments).output();
        output.unwrap()
    };
    assert!(run(&["wit", "-o", "wit"]).status.success());
    let output = run(&["wit", "--world", "application", "-o", "wit"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("name another directory"), "{said}");
    assert!(!directory.path().join("wit/world.wit").exists());
    // What is of the same package is replaced.
    for world in ["application", "application-javascript", "application"] {
        let output = run(&["wit", "--world", world, "-o", "application"]);
        assert!(output.status.success(), "{output:?}");
    }
    let output = run(&["wit", "--world", "applications", "-o", "wit"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("application-behind-middleware"), "{said}");
}
