//! `deploy/grafana/dashboard.json` and `deploy/prometheus/alerts.yml` use only what the program
//! exports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use session3_test_fixtures::{NOSY, SITE};
use session3_test_program::{Browser, Demo, session3};
use session3_test_servers::redis::Redis;
use session3_test_support::{files, wait_until};

use super::{example, read, root, run};
use crate::https::{certify, curl};

/// The labels of each metric.
type Metrics = BTreeMap<String, BTreeSet<String>>;

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["job", "instance"];

/// Returns what the program exports after it has served an application with sessions over TLS,
/// and one that calls other servers.
fn exported() -> Metrics {
    let directory = tempfile::tempdir().unwrap();
    certify(directory.path());
    let serve = |name: &str, component: &[u8], arguments: &[&str]| {
        fs::write(directory.path().join(name), component).unwrap();
        let mut command = session3();
        command
            .current_dir(&directory)
            .args(["serve", name, "--metrics", "127.0.0.1:0"])
            .args(arguments);
        Demo::run(&mut command)
    };
    let mut redis = Redis::start(&[]);
    let tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let store = redis.url("monitoring");
    let site = serve(
        "site.wasm",
        SITE,
        &[&tls[..], &["--store", &store]].concat(),
    );
    let get = |page: &str| {
        let url = format!("{}{page}", site.url.replace("127.0.0.1", "localhost"));
        curl(directory.path(), &["--cacert", "cert.pem"], &url).unwrap()
    };
    get("trap");
    assert_eq!(get("visit"), "1");
    redis.kill();
    redis.restart();
    wait_until("a session after the restart", || get("visit") == "1");

    let caller = serve("nosy.wasm", NOSY, &["--store", "memory:"]);
    Browser::new().get(&caller, "call?http://127.0.0.1:1/");

    let mut metrics = Metrics::new();
    for server in [&site, &caller] {
        let mut lines = server.greeting.iter();
        let url = lines.find_map(|line| line.strip_prefix("Metrics are at "));
        let url = url.unwrap().trim_end_matches('.');
        let text = curl(directory.path(), &[], url).unwrap();
        for line in text.lines().filter(|line| line.starts_with("session3_")) {
            let (name, labels) = split(line.rsplit_once(' ').unwrap().0);
            metrics.entry(name.to_owned()).or_default().extend(labels);
        }
    }
    metrics
}

/// Splits a selector such as `name{label="value",other=~"value"}` into the name and the labels.
fn split(selector: &str) -> (&str, Vec<String>) {
    let Some((name, rest)) = selector.split_once('{') else {
        return (selector, Vec::new());
    };
    // Every second piece is a value.
    let pieces = rest.trim_end_matches('}').split('"').step_by(2);
    let labels = pieces.map(|piece| piece.trim_matches([',', ' ', '=', '~', '!']).to_owned());
    (name, labels.filter(|label| !label.is_empty()).collect())
}

/// Returns the selectors of an expression that are about metrics of the program.
fn selectors(expression: &str) -> Vec<&str> {
    let starts = expression
        .match_indices("session3_")
        .map(|(start, _)| start);
    let selector = |start: usize| {
        let rest = &expression[start..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        match rest[end..].starts_with('{') {
            true => &rest[..=rest.find('}').unwrap()],
            false => &rest[..end],
        }
    };
    starts.map(selector).collect()
}

/// Returns the expressions of all panels and rules, with what they are for.
fn expressions() -> Vec<(String, String)> {
    let mut expressions = Vec::new();
    for panel in panels() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            expressions.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    let rules: Value = serde_saphyr::from_str(&read("prometheus/alerts.yml")).unwrap();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        expressions.push((text(&rule["alert"]), text(&rule["expr"])));
    }
    expressions
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboard.json")).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

#[test]
fn dashboard_and_alerts_use_what_the_program_exports() {
    let exported = exported();
    let mut used = BTreeSet::new();
    for (title, expression) in expressions() {
        let mut known: BTreeSet<&str> = ADDED.into();
        for selector in selectors(&expression) {
            let (name, labels) = split(selector);
            let of_metric = exported.get(name);
            let of_metric = of_metric.unwrap_or_else(|| panic!("{title}: no metric {name}"));
            known.extend(of_metric.iter().map(String::as_str));
            for label in labels {
                let is_known = of_metric.contains(&label) || ADDED.contains(&&*label);
                assert!(is_known, "{title}: {name} has no label {label}");
            }
            used.insert(base(name).to_owned());
        }
        for grouped in expression.split("by (").skip(1) {
            let (grouped, _) = grouped.split_once(')').unwrap();
            for label in grouped.split(", ") {
                assert!(known.contains(label), "{title}: no label {label}");
            }
        }
    }
    // The dashboard has all of them.
    let all = exported.keys().map(|name| base(name).to_owned());
    assert_eq!(used, all.collect());
}

/// Returns the name of a histogram, of which a name has one of the values.
fn base(name: &str) -> &str {
    let parts = ["_bucket", "_count", "_sum"];
    let base = parts.iter().find_map(|part| name.strip_suffix(part));
    base.unwrap_or(name)
}

/// A misspelt value would select nothing.
#[test]
fn dashboard_and_alerts_select_values_that_exist() {
    let is_rust = |file: &Path| file.extension().is_some_and(|end| end == "rs");
    let sources: String = files(&root().join("host"))
        .iter()
        .filter(|file| is_rust(file))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let mut count = 0;
    for (title, expression) in expressions() {
        for selector in selectors(&expression) {
            for value in selector.split('"').skip(1).step_by(2) {
                for value in value.split('|').filter(|value| !value.starts_with('$')) {
                    assert!(
                        sources.contains(&format!("\"{value}\"")),
                        "{title}: {value}"
                    );
                    count += 1;
                }
            }
        }
    }
    assert!(count > 8, "{count}");
}

#[test]
fn the_dashboard_has_what_grafana_needs() {
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboard.json")).unwrap();
    for field in ["title", "uid", "schemaVersion", "templating", "time"] {
        assert!(!dashboard[field].is_null(), "{field}");
    }
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in panels() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let place = &panel["gridPos"];
        let [x, y, w] = ["x", "y", "w"].map(|side| place[side].as_u64().unwrap());
        assert!(places.insert((x, y)) && x + w <= 24, "{title}");
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        let names: BTreeSet<_> = targets
            .iter()
            .map(|t| t["refId"].as_str().unwrap())
            .collect();
        assert!(
            !targets.is_empty() && names.len() == targets.len(),
            "{title}"
        );
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| text.ends_with('.'))
        );
    }
}

/// Prometheus parses the expressions of the dashboard and the rules.
#[test]
fn prometheus_understands_the_expressions() {
    let directory = tempfile::tempdir().unwrap();
    let rules: Vec<Value> = expressions()
        .into_iter()
        .enumerate()
        .map(|(number, (_, expression))| {
            let expression = expression.replace("$__rate_interval", "5m");
            serde_json::json!({ "record": format!("rule:{number}"), "expr": expression })
        })
        .collect();
    let groups = serde_json::json!({ "groups": [{ "name": "all", "rules": rules }] });
    let file = directory.path().join("rules.yml");
    // JSON is YAML.
    fs::write(&file, groups.to_string()).unwrap();
    for rules in [&file, &example("prometheus/alerts.yml")] {
        let mut check = Command::new("promtool");
        run(check.args(["check", "rules"]).arg(rules), "prometheus");
    }
}

#[test]
fn each_alert_fires_when_something_is_wrong_and_none_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    fs::write(file("alerts.yml"), read("prometheus/alerts.yml")).unwrap();
    let tests = include_str!("alerts_test.yml");
    fs::write(file("alerts_test.yml"), tests).unwrap();
    let mut promtool = Command::new("promtool");
    promtool
        .args(["test", "rules"])
        .arg(file("alerts_test.yml"));
    run(&mut promtool, "prometheus");
    // Each rule has a test.
    let rules = read("prometheus/alerts.yml");
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        assert_eq!(tests.matches(&format!("\"{name}\"")).count(), 2, "{name}");
    }
}
