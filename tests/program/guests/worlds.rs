//! The worlds of `session3 wit --world`: each tool takes what is written to an empty directory.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use session3_components::wit::WORLDS;
use session3_test_program::project::{root, run};
use session3_test_program::{Browser, Demo, session3};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::{PackageId, Resolve};

use crate::hosts::with_node;

/// Creates a directory, and writes the files of a world to `wit` in it.
fn write(world: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut command = session3();
    command
        .current_dir(&directory)
        .args(["wit", "--world", world, "-o", "wit"]);
    run(&mut command);
    directory
}

/// Returns a program that `make guests` installs.
fn tool(name: &str) -> PathBuf {
    let program = root().join("target/guests").join(name);
    let name = program.display();
    assert!(program.exists(), "{name} is missing: run make guests");
    program
}

/// Returns the packages of a written world, and the one with the world.
fn parse(directory: &Path) -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(directory.join("wit")).unwrap();
    (resolve, package)
}

/// The generators for all languages read the files in this way. The applications of
/// `tests/fixtures` are built in Rust from the files in `wit/` that are written here.
#[test]
fn wit_bindgen_takes_each_world() {
    for world in &WORLDS {
        let directory = write(world.name);
        let (mut resolve, package) = parse(directory.path());
        // There is one world, so that no tool has to be told its name.
        let id = resolve.select_world(&[package], None).unwrap();
        assert_eq!(resolve.worlds[id].name, world.name);
        let mut files = Files::default();
        let mut generator = wit_bindgen_c::Opts::default().build();
        generator.generate(&mut resolve, id, &mut files).unwrap();
        let header = format!("{}.h", world.name.replace('-', "_"));
        assert!(files.iter().any(|(name, _)| name == header), "{header}");
    }
}

#[test]
fn componentize_py_takes_each_world() {
    for world in &WORLDS {
        let directory = write(world.name);
        let mut command = Command::new(tool("python/venv/bin/componentize-py"));
        command
            .current_dir(&directory)
            .args(["-d", "wit", "-w", world.name, "bindings", "bindings"]);
        run(&mut command);
        assert!(directory.path().join("bindings/wit_world").exists());
    }
}

/// wkg encodes the package with these functions, and gets the dependencies as the manifest says:
/// all of them, each in one version.
#[test]
fn wkg_takes_each_world() {
    for world in &WORLDS {
        let directory = write(world.name);
        let (resolve, package) = parse(directory.path());
        wit_component::encode(&resolve, package, false).unwrap();
        let manifest = fs::read_to_string(directory.path().join("wit/wkg.toml")).unwrap();
        let mut overridden = BTreeSet::new();
        for line in manifest.lines().filter(|line| line.contains("path = ")) {
            let parts: Vec<_> = line.split('"').collect();
            assert!(overridden.insert(parts[1].to_owned()), "{line}");
            assert!(
                directory.path().join("wit").join(parts[3]).exists(),
                "{line}"
            );
        }
        let mut used = BTreeSet::new();
        for (id, other) in resolve.packages.iter().filter(|(id, _)| *id != package) {
            let name = format!("{}:{}", other.name.namespace, other.name.name);
            assert!(used.insert(name), "{id:?} is there twice");
        }
        assert_eq!(used, overridden, "{}", world.name);
    }
}

#[test]
fn an_application_in_python_is_served() {
    let directory = write("application");
    let source = r#"
from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import manager
from wit_world.imports.manager import Mode, SessionManager
from wit_world.imports.types import Fields, OutgoingBody, OutgoingResponse, ResponseOutparam

class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out):
        client = manager.Request([], remote_address=None, user_agent=None)
        with (
            SessionManager.open(manager.default_config()) as sessions,
            sessions.get_session(client, Mode.MERGE) as session,
        ):
            count = session.add("counter", 1)
            names = [header.name for header in session.commit()]
        response = OutgoingResponse(Fields())
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            stream.blocking_write_and_flush(f"{count} {names}".encode())
        OutgoingBody.finish(body, None)
"#;
    fs::write(directory.path().join("app.py"), source).unwrap();
    let mut command = Command::new(tool("python/venv/bin/componentize-py"));
    command
        .current_dir(&directory)
        .args(["-q", "-d", "wit", "-w", "application"])
        .args(["componentize", "app", "-o", "application.wasm"]);
    run(&mut command);
    let text = serve(&directory, "application.wasm").1;
    assert!(text.starts_with("1 ["), "{text}");
    assert!(text.to_lowercase().contains("'set-cookie'"), "{text}");
}

#[test]
fn an_application_in_javascript_is_served_and_one_without_random_numbers_is_warned_of() {
    let directory = write("application-javascript");
    let source = r#"
import { SessionManager, defaultConfig } from "session3:sessions/manager@0.2.0";

addEventListener("fetch", (event) => event.respondWith(answer()));

async function answer() {
  const sessions = SessionManager.open(defaultConfig());
  const session = sessions.getSession({ cookies: [] }, "merge");
  const count = session.add("counter", 1n);
  session.commit();
  return new Response(`${count} ${Math.random()} ${crypto.randomUUID()}`);
}
"#;
    fs::write(directory.path().join("app.js"), source).unwrap();
    let jco = tool("javascript/node_modules/.bin/jco");
    for (options, name) in [
        (&[][..], "application.wasm"),
        (&["--disable", "random"], "constant.wasm"),
    ] {
        let mut command = with_node(jco.to_str().unwrap());
        command
            .current_dir(&directory)
            .args(["componentize", "app.js", "--wit", "wit", "--out", name])
            .args(options);
        run(&mut command);
        let (log, first) = serve(&directory, name);
        let (_, second) = serve(&directory, name);
        assert!(first.starts_with("1 "), "{first}");
        let is_constant = first == second;
        assert_eq!(is_constant, !options.is_empty(), "{first}, {second}");
        assert_eq!(log.contains("Math.random()"), is_constant, "{log}");
    }
}

/// Serves a component, and returns the log and the page.
fn serve(directory: &tempfile::TempDir, component: &str) -> (String, String) {
    let log = directory.path().join("log");
    let mut command = session3();
    command
        .current_dir(directory)
        .args(["serve", component, "--store", "sessions"])
        .stderr(fs::File::create(&log).unwrap());
    let server = Demo::run(&mut command);
    let text = Browser::new().get(&server, "").text;
    drop(server);
    (fs::read_to_string(log).unwrap(), text)
}
