//! What the operators' commands show of a session that the manager wrote.

use std::sync::Arc;

use serde_json::{Value, json};
use session3::SessionManager;
use session3::manager::{self, Mode};
use session3::store::{DirectoryStore, directory::Options};
use session3_test_program::{between, session3};
use session3_test_support::block_on;

#[test]
fn what_is_in_a_session_is_shown_but_not_what_opens_it() {
    let directory = tempfile::tempdir().unwrap();
    let manager = block_on(async {
        let store = DirectoryStore::open(directory.path(), Options::default()).unwrap();
        SessionManager::builder(Arc::new(store))
            .build()
            .await
            .unwrap()
    });
    let run = |command: &str, arguments: &[&str]| {
        let output = session3()
            .arg(command)
            .arg(directory.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let (id, secrets) = block_on(async {
        let request = manager::Request {
            cookies: Vec::new(),
            remote_address: Some("192.0.2.1".into()),
            user_agent: Some("Browser\u{1b}[2J".into()),
        };
        let mut session = manager.open(&request, Mode::Merge).await.unwrap();
        session.set("count", &7).await.unwrap();
        session.set("dark\n", &true).await.unwrap();
        session.set("list", &["a", "\u{9b}"]).await.unwrap();
        session.set_user(Some("alice")).await.unwrap();
        let form_token = session.create_form_token().await.unwrap();
        let headers = session.commit().await.unwrap();
        let cookie = headers["set-cookie"].to_str().unwrap();
        let secret = between(cookie, ".", ";");
        let id = session.id().await.unwrap().unwrap();
        (id, [secret, form_token])
    });
    let said = run("show", &[&id]);
    let lines: Vec<_> = said.lines().skip(6).collect();
    let (times, lines) = lines.split_at(2);
    assert!(times[0].starts_with("Created   20"), "{times:?}");
    assert!(times[1].starts_with("Log-in    20"), "{times:?}");
    let expected = [
        "Remember  no",
        "Address   192.0.2.1",
        "Browser   Browser\\u{1b}[2J",
        "  count = 7",
        "  dark\\n = true",
        "  list = [\"a\",\"\\u009b\"]",
    ];
    assert_eq!(lines, expected);

    let in_json = run("show", &[&id, "--json"]);
    assert_eq!(in_json, run("list", &["--json"]));
    assert_eq!(in_json, run("list", &["--json", "--user", "alice"]));
    let session = serde_json::from_str::<Value>(&in_json).unwrap();
    let attributes = json!({"count": 7, "dark\n": true, "list": ["a", "\u{9b}"]});
    assert_eq!(session["attributes"], attributes);
    assert_eq!(session["remote_address"], "192.0.2.1");
    assert_eq!(session["remembered"], false);
    assert!(session["authenticated"].as_str().unwrap().starts_with("20"));
    assert!(session.get("problem").is_none());
    for secret in secrets {
        assert!(!said.contains(&secret) && !in_json.contains(&secret));
    }
}
