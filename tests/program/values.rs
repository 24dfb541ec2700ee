//! Applications in all languages share the values of a session: what each of them writes, each of
//! them reads exactly. `docs/src/values.md` is the table of it.
//!
//! An application has the pages `exchange/write`, which sets an attribute for each value,
//! `exchange/read`, which reports the attributes in lines of the form `NAME VALUE`, and
//! `exchange/refused`, which says of each value that JSON cannot express whether it was refused.
//! The form of a value is that of [`canonical`].

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::value::RawValue;
use session3_test_fixtures::RUST_HTTP;
use session3_test_program::{Application, Browser, Demo, session3};
use tempfile::TempDir;

use crate::middleware::POLICY;

const RUST: &str = "rust";
const C: &str = "c";
const JAVASCRIPT: &str = "javascript";
const PYTHON: &str = "python";

const LANGUAGES: [&str; 4] = [C, JAVASCRIPT, PYTHON, RUST];

/// Servers of one application in each language, with the same sessions.
struct Servers {
    servers: BTreeMap<&'static str, Demo>,
    /// The files of the servers, which end before these are removed.
    _directory: TempDir,
}

impl Servers {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let servers = LANGUAGES.map(|language| (language, serve(directory.path(), language)));
        Self {
            servers: BTreeMap::from(servers),
            _directory: directory,
        }
    }

    fn get(&self, browser: &mut Browser, language: &str, page: &str) -> String {
        let page = browser.get(&self.servers[language], &format!("exchange/{page}"));
        assert_eq!(page.status, 200, "{language}: {}", page.text);
        page.text
    }

    /// Returns what an application reports, as its lines.
    fn read(&self, browser: &mut Browser, language: &str) -> BTreeMap<String, String> {
        let report = self.get(browser, language, "read");
        let lines = report.lines().map(|line| {
            let (name, value) = line.split_once(' ').unwrap();
            let value = match value.strip_prefix("json ") {
                Some(json) => canonical(json),
                None => value.to_owned(),
            };
            (name.to_owned(), value)
        });
        lines.collect()
    }
}

/// Serves the application in a language with its sessions below `directory`. A policy gives all
/// applications the same cookie.
fn serve(directory: &Path, language: &'static str) -> Demo {
    let policy = directory.join("policy.toml");
    fs::write(&policy, POLICY).unwrap();
    let sessions = directory.join("sessions");
    let arguments = ["--config", policy.to_str().unwrap()];
    match language {
        C => Application::Guest("c-values").start(&sessions, &arguments),
        JAVASCRIPT => Application::Guest("javascript-values").start(&sessions, &arguments),
        PYTHON => Application::Guest("python-values").start(&sessions, &arguments),
        _ => {
            let component = directory.join("rust.wasm");
            fs::write(&component, RUST_HTTP).unwrap();
            let mut command = session3();
            command.arg("serve").arg(component).arg("--store");
            Demo::run(command.arg(sessions).args(arguments))
        }
    }
}

/// Returns the form of a JSON text: scalars as `boolean true`, `integer 1`, `number` with the bits
/// of a float and `text` with the bytes of its UTF-8, both in hexadecimal digits, `null`, and lists
/// and maps of these, where the keys of a map are in hexadecimal digits, too.
fn canonical(json: &str) -> String {
    match json.as_bytes()[0] {
        b'n' => "null".into(),
        b't' | b'f' => format!("boolean {json}"),
        b'"' => format!(
            "text {}",
            hex(&serde_json::from_str::<String>(json).unwrap())
        ),
        b'[' => {
            let parts: Vec<&RawValue> = serde_json::from_str(json).unwrap();
            let parts: Vec<_> = parts.iter().map(|part| canonical(part.get())).collect();
            format!("[{}]", parts.join(","))
        }
        b'{' => {
            let parts: BTreeMap<String, &RawValue> = serde_json::from_str(json).unwrap();
            let parts = parts.iter();
            let parts: Vec<_> = parts
                .map(|(key, part)| format!("{}:{}", hex(key), canonical(part.get())))
                .collect();
            format!("{{{}}}", parts.join(","))
        }
        _ if json.contains(['.', 'e', 'E']) => number(json.parse().unwrap()),
        _ => format!("integer {json}"),
    }
}

fn hex(text: &str) -> String {
    let mut digits = String::new();
    for byte in text.bytes() {
        write!(digits, "{byte:02x}").unwrap();
    }
    digits
}

fn number(value: f64) -> String {
    format!("number {:016x}", value.to_bits())
}

/// Returns what `reader` has to report after `writer` has set the attributes.
fn expected(writer: &str, reader: &str) -> BTreeMap<String, String> {
    let text = |text: &str| format!("text {}", hex(text));
    let bytes: String = (0..=255).map(|byte: u8| format!("{byte:02x}")).collect();
    let nested = r#"{"list":[null,true,-1,0.5,"é\u0000",[]],"map":{"a\"b":1}}"#;
    let mut expected = BTreeMap::from([
        ("no", "boolean false".into()),
        ("yes", "boolean true".into()),
        ("zero", "integer 0".into()),
        ("least", format!("integer {}", i64::MIN)),
        ("most", format!("integer {}", i64::MAX)),
        ("odd", "integer 9007199254740993".into()),
        ("half", number(0.5)),
        ("minus-zero", number(-0.0)),
        ("whole", number(1.0)),
        ("tiny", number(5e-324)),
        ("largest", number(f64::MAX)),
        ("digits", number(122.416_294_033_786_58)),
        ("empty", text("")),
        ("text", text("é\0\u{1F600}\u{2028}")),
        ("no-bytes", "bytes ".into()),
        ("bytes", format!("bytes {bytes}")),
        ("null", "null".into()),
        ("unsigned", format!("integer {}", u64::MAX)),
        (
            "huge",
            "integer 1606938044258990275541962092341162602522202993782792835301376".into(),
        ),
        ("nested", canonical(nested)),
    ]);
    // JavaScript has one type for integers and floats. Rust reads the type that it asks for.
    if reader == JAVASCRIPT || (writer == JAVASCRIPT && reader != RUST) {
        expected.insert("whole", "integer 1".into());
    }
    let expected = expected.into_iter();
    expected
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[test]
fn what_one_language_writes_all_languages_read_exactly() {
    let servers = Servers::start();
    for writer in LANGUAGES {
        let mut browser = Browser::new();
        servers.get(&mut browser, writer, "write");
        for reader in LANGUAGES {
            let read = servers.read(&mut browser, reader);
            assert_eq!(read, expected(writer, reader), "{writer} to {reader}");
        }
    }
}

#[test]
fn what_json_cannot_express_is_refused_in_all_languages() {
    let servers = Servers::start();
    for language in LANGUAGES {
        let refused = servers.get(&mut Browser::new(), language, "refused");
        let mut expected = "nan true\ninfinity true\nminus-infinity true\n".to_owned();
        // No string of Rust has a lone surrogate.
        if language != RUST {
            expected.push_str("surrogate true\n");
        }
        assert_eq!(refused, expected, "{language}");
    }
}

/// The session manager stores JSON unchanged, and C does not read it.
#[test]
fn malformed_json_is_an_error_where_it_is_read() {
    let servers = Servers::start();
    let mut browser = Browser::new();
    servers.get(&mut browser, C, "malformed");
    for language in [JAVASCRIPT, PYTHON, RUST] {
        let read = servers.read(&mut browser, language);
        let expected = [("nan", "refused"), ("surrogate", "refused")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, BTreeMap::from(expected), "{language}");
    }
}
