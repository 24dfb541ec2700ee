//! The page of the book with all events, metrics, errors and limits, which is made from the
//! sources.

mod constants;
mod macros;
mod rust;
mod wit;

use std::fs;

use session3_test_program::project::root;
use session3_test_program::session3;

use rust::Source;
use wit::Contract;

/// With `UPDATE=1`, writes the page.
#[test]
fn the_page_of_the_reference_is_what_the_sources_say() {
    let path = root().join("docs/src/reference.md");
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/src/reference.md is not up to date: run the test \
         the_page_of_the_reference_is_what_the_sources_say with UPDATE=1"
    );
}

/// A reader that finds nothing makes an empty page, which is no proof.
#[test]
fn the_page_of_the_reference_has_what_readers_look_up() {
    let page = page();
    for row in [
        "| `damaged` | error | `session`, `why` | `record damaged` |",
        "| `replaced-token-reused` |",
        "| `session3_store_seconds` | histogram | `operation`, `result` |",
        "| `conflict` | Status 409: ",
        "| `Conflict` | another request saved the session first: its version is now {0} |",
        "| `--max-memory` | 64 MiB |",
        "| `idle-timeout` | 1,800 |",
        "| `cookie.name` | `__Host-session` |",
        "| `MAX_ATTRIBUTES` | 1,000 |",
        "| `HEADER_TIMEOUT` | 10 s |",
    ] {
        assert!(page.contains(row), "{row}\n{page}");
    }
}

fn page() -> String {
    let contract = Contract::read();
    let sources = Source::all();
    let mut page =
        "# Reference\n\nThis page is made from the sources, and a test compares it with them. The \
         options are in\n[Commands and options](commands.md).\n"
            .to_owned();
    page += &events(&contract, &sources);
    page += &lines(&sources);
    page += &metrics(&sources);
    page += &errors(&contract, &sources);
    page += &limits(&contract, &sources);
    page
}

/// Returns the beginning of a section, with lines of at most 100 characters.
fn section(title: &str, prose: &str) -> String {
    let mut text = format!("\n{title}\n\n");
    let mut length = 0;
    for word in prose.split(' ') {
        let is_first = length == 0;
        if !is_first && length + 1 + word.len() > 100 {
            text.push('\n');
            length = 0;
        } else if !is_first {
            text.push(' ');
            length += 1;
        }
        text += word;
        length += word.len();
    }
    text + "\n"
}

/// Returns a table, or nothing if it has no rows.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let head = line(head.iter().map(|&cell| cell.to_owned()).collect());
    let under = head.split('|').skip(1).map(|_| "---".to_owned());
    let columns = head.matches('|').count() - 1;
    let under = line(under.take(columns).collect());
    let rows: String = rows
        .iter()
        .map(|row| line(row.iter().map(|cell| cell.replace('|', "\\|")).collect()))
        .collect();
    format!("\n{head}{under}{rows}")
}

fn code(text: &str) -> String {
    match text.contains('`') {
        true => format!("`` {text} ``"),
        false => format!("`{text}`"),
    }
}

fn codes(texts: &[String]) -> String {
    match texts {
        [] => "none".into(),
        texts => texts
            .iter()
            .map(|text| code(text))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn events(contract: &Contract, sources: &[Source]) -> String {
    let source = find(sources, "host/session3/src/metrics.rs");
    let logged = source.lines_of_events();
    let rows: Vec<_> = contract
        .cases("event")
        .into_iter()
        .map(|(name, docs)| {
            let line = logged.iter().find(|(event, _)| *event == name);
            let [level, fields, text] = match line {
                Some((_, line)) => [line.level.clone(), codes(&line.fields), code(&line.text)],
                None => ["none"; 3].map(str::to_owned),
            };
            vec![code(&name), level, fields, text, docs]
        })
        .collect();
    assert_eq!(
        rows.iter().filter(|row| row[1] != "none").count(),
        logged.len(),
        "an event of the log is none of the WIT"
    );
    let mut text = section(
        "## Events",
        "The session manager reports these events. Each is a line of the log, with this level, \
         these fields and this text, and counts in `session3_events_total`, with its name as \
         `event`. The log has the lines from `info` on, unless `--log-level` says otherwise.",
    );
    text += &table(&["event", "level", "fields", "text", "meaning"], &rows);
    for (name, title) in [
        ("end-reason", "Reasons of `ended`"),
        ("reject-reason", "Reasons of `rejected`"),
    ] {
        text += &format!("\n### {title}\n");
        text += &table(&["reason", "meaning"], &documented(contract.cases(name)));
    }
    text
}

/// Returns rows of a name and what it means.
fn documented(cases: Vec<(String, String)>) -> Vec<Vec<String>> {
    let row = |(name, docs): (String, String)| vec![code(&name), docs];
    cases.into_iter().map(row).collect()
}

fn find<'a>(sources: &'a [Source], path: &str) -> &'a Source {
    let found = sources.iter().find(|source| source.path == path);
    found.unwrap_or_else(|| panic!("{path} is missing"))
}

/// The other lines of the log.
fn lines(sources: &[Source]) -> String {
    let mut text = "\n## Other lines of the log\n\n`{…}` stands for a value.\n".to_owned();
    for level in ["error", "warn", "info", "debug"] {
        let mut rows = Vec::new();
        for source in sources {
            let events = source.lines_of_events();
            let is_event = |text: &str| events.iter().any(|(_, line)| line.text == text);
            for line in macros::log_lines(&source.tokens) {
                // The text of some lines comes from elsewhere.
                let has_words = line
                    .text
                    .split(['{', '}'])
                    .step_by(2)
                    .any(|part| part.len() > 2);
                if line.level == level
                    && (has_words || !line.fields.is_empty())
                    && !is_event(&line.text)
                {
                    rows.push(vec![
                        code(&line.text),
                        codes(&line.fields),
                        source.package(),
                    ]);
                }
            }
        }
        rows.sort();
        rows.dedup();
        text += &format!("\n### Level {level}\n");
        text += &table(&["text", "fields", "crate"], &rows);
    }
    text
}

fn metrics(sources: &[Source]) -> String {
    let uses: Vec<_> = sources
        .iter()
        .flat_map(|source| macros::metrics(&source.tokens))
        .collect();
    let mut rows = Vec::new();
    for constant in sources.iter().flat_map(|source| source.texts("session3_")) {
        let used = uses.iter().find(|metric| metric.name == constant.name);
        let used = used.unwrap_or_else(|| panic!("{} is not recorded", constant.name));
        rows.push(vec![
            code(&constant.value),
            used.kind.clone(),
            codes(&used.labels),
            constant.docs,
        ]);
    }
    rows.sort();
    let text = section(
        "## Metrics",
        "With `--metrics`, `/metrics` has these values: see [Logs and \
         metrics](logs-and-metrics.md). In `session3_events_total`, the labels have the names of \
         the events and of their reasons. The `result` in `session3_store_seconds` is `ok` or an \
         error of a store.",
    );
    text + &table(&["metric", "kind", "labels", "meaning"], &rows)
}

fn errors(contract: &Contract, sources: &[Source]) -> String {
    let mut text = "\n## Errors\n".to_owned();
    text += &section(
        "### Errors of the session manager",
        "These are the cases of `session-error` in [manager.wit](../../wit/manager.wit).",
    );
    text += &table(
        &["error", "meaning"],
        &documented(contract.cases("session-error")),
    );
    text += &section(
        "### Errors of a store",
        "These are the cases of `store-error` in [store.wit](../../wit/store.wit).",
    );
    text += &table(
        &["error", "meaning"],
        &documented(contract.cases("store-error")),
    );
    text += &section(
        "### Errors of the crates",
        "The crates have the errors below, whose messages the program prints. `{…}` stands for a \
         value.",
    );
    for source in sources {
        for (name, cases) in source.errors() {
            let rows = cases
                .into_iter()
                .map(|case| vec![code(&case.name), case.message, case.docs]);
            let rows: Vec<_> = rows.collect();
            if !rows.is_empty() {
                text += &format!("\n#### {name} in {}\n", source.package());
                text += &table(&["error", "message", "meaning"], &rows);
            }
        }
    }
    text
}

fn limits(contract: &Contract, sources: &[Source]) -> String {
    let mut text = section(
        "## Limits",
        "The [security model](security-model.md#limits) says what happens beyond them. In numbers, \
         Ki is 1,024 and Mi is 1,048,576.",
    );
    text += "\n### Options of `session3 serve`\n";
    text += &table(&["option", "default", "what it does"], &options());
    text += &section(
        "### Configuration of sessions",
        "These are the defaults of `config` in [manager.wit](../../wit/manager.wit), with times in \
         seconds. An application sets others, as far as the operator's policy allows it.",
    );
    let defaults = find(sources, "guest/manager/src/config.rs").defaults();
    let mut rows = Vec::new();
    for (field, value) in defaults {
        let docs = contract.field(&field);
        rows.push(vec![code(&field), value, docs]);
    }
    text += &table(&["field", "default", "meaning"], &rows);
    text += &section(
        "### Fixed limits",
        "These limits have no option. The name is that of the constant in the source.",
    );
    let mut packages: Vec<_> = sources.iter().map(Source::package).collect();
    packages.sort();
    packages.dedup();
    for package in packages {
        let of_package = sources.iter().filter(|source| source.package() == package);
        let limits = of_package.flat_map(|source| source.limits());
        let mut rows: Vec<_> = limits
            .map(|limit| vec![code(&limit.name), limit.value, limit.docs])
            .collect();
        rows.sort();
        if !rows.is_empty() {
            text += &format!("\n#### {package}\n");
            text += &table(&["limit", "value", "meaning"], &rows);
        }
    }
    text
}

/// Returns the options that limit something, with their defaults, as the program prints them.
fn options() -> Vec<Vec<String>> {
    let output = session3().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let mut rows = Vec::new();
    for entry in help.split("\n      --").skip(1) {
        let (name, rest) = entry.split_once('\n').unwrap();
        let Some((option, unit)) = name.split_once(' ') else {
            continue;
        };
        let unit = match unit {
            "<MIB>" => " MiB",
            "<SECONDS>" => " s",
            "<COUNT>" => "",
            _ => continue,
        };
        let default = rest.split("[default: ").nth(1);
        let default = default.and_then(|rest| rest.split(']').next()).unwrap();
        let docs = rest.trim().lines().next().unwrap();
        rows.push(vec![
            code(&format!("--{option}")),
            format!("{default}{unit}"),
            docs.into(),
        ]);
    }
    rows
}
