//! `session3 dashboard`: the page for operators, over HTTP.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use session3_test_program::{Browser, Demo, Page, between, session3};
use session3_test_support::{record_in, wait_until};
use tempfile::TempDir;

/// A user and a part of a browser's name that a page has to escape.
const HOSTILE: &str = "<script>alert('1')</script>\"&{x}";

/// A demo with a store, and a dashboard of this store that an operator has opened.
struct Place {
    directory: TempDir,
    demo: Demo,
    dashboard: Demo,
    operator: Browser,
    link: String,
}

impl Place {
    fn new(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let demo = Demo::start(directory.path());
        let (dashboard, link) = start(directory.path(), arguments);
        let mut operator = Browser::new();
        let page = operator.get(&dashboard, &link);
        assert_eq!(page.status, 200, "{}", page.text);
        Self {
            directory,
            demo,
            dashboard,
            operator,
            link,
        }
    }

    fn get(&mut self, page: &str) -> Page {
        self.operator.get(&self.dashboard, page)
    }

    fn send(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        self.operator.send(&self.dashboard, page, action, fields)
    }

    /// Waits until the figures of the overview contain a text, and returns the page.
    fn overview_with(&mut self, text: &str) -> Page {
        let mut page = self.get("");
        wait_until(text, || {
            page = self.get("");
            page.text.contains(text)
        });
        page
    }

    /// Returns a visitor of the demo with a session of this user, and its ID.
    fn visitor(&self, user: &str) -> (Browser, String) {
        let mut visitor = Browser::new();
        let agent = format!("Mozilla/5.0 (Windows NT 10.0) Firefox/140.0 {HOSTILE}");
        visitor.get_with(&self.demo, "keep", &[("User-Agent", &agent)]);
        let page = visitor.get(&self.demo, "account");
        let sent = visitor.send(&self.demo, &page, "login", &[("user", user)]);
        assert_eq!(sent.status, 302, "{}", sent.text);
        visitor.get(&self.demo, "increment");
        let id = visitor.look(&self.demo).0;
        (visitor, id)
    }
}

/// Starts a dashboard of a store. Returns it, and the path of its link.
pub fn start(store: &Path, arguments: &[&str]) -> (Demo, String) {
    let mut command = session3();
    command.arg("dashboard").arg(store).args(arguments);
    run(command.stderr(Stdio::piped()))
}

/// Starts a dashboard with this command. Returns it, and the path of its link.
pub fn run(command: &mut Command) -> (Demo, String) {
    let mut dashboard = Demo::run_as_it_is(command);
    let url = dashboard.url.clone();
    let (address, link) = url.split_at(url.find("enter?").unwrap());
    dashboard.url = address.to_owned();
    (dashboard, link.to_owned())
}

/// Stops a dashboard and returns its log.
fn log_of(mut dashboard: Demo) -> String {
    let mut stderr = dashboard.take_stderr();
    let status = dashboard.stop();
    assert!(status.success(), "{status}");
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    log
}

#[test]
fn the_link_logs_in_once_and_everything_else_is_refused() {
    let mut place = Place::new(&[]);
    for page in [
        "",
        "sessions",
        "check",
        "live",
        "style.css",
        "end?everyone=true",
        "x",
        "enter",
    ] {
        let refused = Browser::new().get(&place.dashboard, page);
        assert_eq!(
            (refused.status, &refused.set_cookie),
            (403, &None),
            "{page}"
        );
    }
    let link = place.link.clone();
    let again = Browser::new().get(&place.dashboard, &link);
    assert_eq!((again.status, &again.set_cookie), (403, &None));
    let wrong = format!("{}0", &link[..link.len() - 1]);
    assert_eq!(Browser::new().get(&place.dashboard, &wrong).status, 403);

    let page = place.get("");
    assert_eq!(page.status, 200, "{}", page.text);
    let [policy] = page.values("content-security-policy")[..] else {
        panic!("{:?}", page.headers);
    };
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'"),
        "{policy}"
    );
    assert_eq!(page.values("referrer-policy"), ["no-referrer"]);
    assert_eq!(page.values("cache-control"), ["no-store"]);
    assert!(!page.text.contains("<script"), "{}", page.text);

    let left = place.send(&page, "/leave", &[]);
    assert_eq!(left.status, 200, "{}", left.text);
    assert_eq!(place.get("").status, 403);
    let log = log_of(place.dashboard);
    assert!(log.contains("an operator logged in with the link"), "{log}");
    assert!(log.contains("the operator logged out"), "{log}");
    assert!(log.contains("a log-in was refused"), "{log}");
    let secret = link.split_once('=').unwrap().1;
    assert!(!log.contains(secret), "the log has the secret of the link");
}

#[test]
fn the_cookie_of_a_log_in_is_for_no_other_site_and_no_script() {
    let directory = tempfile::tempdir().unwrap();
    let (dashboard, link) = start(directory.path(), &[]);
    let mut operator = Browser::new();
    let page = operator.get(&dashboard, &link);
    let cookie = page.set_cookie.unwrap();
    let port = between(&dashboard.url, "127.0.0.1:", "/");
    assert!(
        cookie.starts_with(&format!("session3-dashboard-{port}=")),
        "{cookie}"
    );
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );

    // A copy of the cookie in another browser opens nothing, and ends the log-in.
    let copy = operator.get_with(&dashboard, "", &[("User-Agent", "another")]);
    assert_eq!(copy.status, 403, "{}", copy.text);
    assert_eq!(operator.get(&dashboard, "").status, 403);
}

#[test]
fn an_address_of_other_machines_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0"] {
        let mut command = session3();
        command.arg("dashboard").arg(directory.path());
        let output = command.args(["--listen", address]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("is not an address of loopback"), "{error}");
        assert!(error.contains("SSH tunnel"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn the_overview_counts_and_the_pages_show_sessions_without_what_opens_them() {
    let mut place = Place::new(&[]);
    let (visitor, id) = place.visitor(HOSTILE);
    Browser::new().get(&place.demo, "keep");
    let page = place.get("");
    place.send(&page, "/count", &[]);
    let overview = place.overview_with("<dt>Sessions</dt><dd>2</dd>");
    assert!(
        overview.text.contains("<dt>Logged in</dt><dd>1</dd>"),
        "{}",
        overview.text
    );
    assert!(
        overview.text.contains("Firefox on Windows"),
        "{}",
        overview.text
    );

    let escaped = "&lt;script&gt;alert('1')&lt;/script&gt;&quot;&amp;{x}";
    let session = place.get(&format!("session/{id}"));
    // The user and the browser.
    let times = session.text.matches(escaped).count();
    assert_eq!(times, 2, "{}", session.text);
    assert!(
        session.text.contains("<dt>counter</dt>"),
        "{}",
        session.text
    );
    let user = percent(HOSTILE);
    let searches = [
        format!("sessions?by=user&text={user}"),
        "sessions?by=address&text=127.0.0".into(),
        "sessions?by=browser&text=firefox+on+win".into(),
        "sessions?by=attribute&text=Counter".into(),
        "sessions".into(),
    ];
    let secret = visitor.cookie.split('.').next_back().unwrap();
    assert!(secret.len() > 20, "{secret}");
    let pages = searches.iter().map(|search| {
        let page = place.get(search);
        assert!(page.text.contains(&id), "{search}: {}", page.text);
        page
    });
    let mut pages: Vec<_> = pages.collect();
    let nothing = place.get("sessions?by=browser&text=netscape");
    assert!(
        nothing.text.contains("No session was found"),
        "{}",
        nothing.text
    );
    pages.extend([overview, session, nothing]);
    for path in [
        "check".into(),
        format!("end?session={id}"),
        format!("end?user={user}"),
        "end?everyone=true".into(),
    ] {
        pages.push(place.get(&path));
    }
    let account = visitor.clone().get(&place.demo, "account");
    let tokens = account.hidden_fields("leave");
    assert!(!tokens.is_empty(), "{}", account.text);
    for page in &pages {
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(!page.text.contains("<script"), "{}", page.text);
        assert!(!page.text.contains(secret), "{}", page.text);
        for (_, token) in &tokens {
            assert!(!page.text.contains(token), "{}", page.text);
        }
    }
    assert!(pages[0].text.contains(escaped), "{}", pages[0].text);
    let found = place.get(&format!("sessions?by=id&text={id}"));
    assert_eq!(found.location, Some(format!("/session/{id}")));
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn sessions_end_after_a_question_one_by_one_by_user_and_all() {
    let mut place = Place::new(&[]);
    let visitors: Vec<_> = ["ann", "ann", "ann", "bob", "carl"]
        .map(|user| place.visitor(user))
        .into();
    let is_logged_in = |place: &Place, number: usize| {
        let mut visitor = visitors[number].0.clone();
        !visitor
            .get(&place.demo, "account")
            .text
            .contains("not logged in")
    };
    let first = &visitors[0].1;

    let question = place.get(&format!("end?session={first}"));
    assert!(is_logged_in(&place, 0), "a question ends nothing");
    let ended = place.send(&question, "/end", &[]);
    assert_eq!(ended.status, 303, "{}", ended.text);
    let page = place.get("sessions");
    assert!(
        page.text
            .contains(&format!("The session {first} has ended.")),
        "{}",
        page.text
    );
    assert!(
        !place.get("sessions").text.contains("has ended"),
        "a message is shown once"
    );
    assert!(!is_logged_in(&place, 0) && is_logged_in(&place, 1));
    assert_eq!(place.get(&format!("session/{first}")).status, 404);

    let question = place.get("end?user=ann");
    assert!(
        question.text.contains("End all 2 sessions of"),
        "{}",
        question.text
    );
    place.send(&question, "/end", &[]);
    assert!(
        place
            .get("sessions")
            .text
            .contains("2 sessions of ann have ended.")
    );
    assert!(!is_logged_in(&place, 1) && !is_logged_in(&place, 2) && is_logged_in(&place, 3));

    let question = place.get("end?everyone=true");
    place.send(&question, "/end", &[]);
    place.overview_with("The sessions of everyone were ended: ");
    assert!(!is_logged_in(&place, 3) && !is_logged_in(&place, 4));

    let log = log_of(place.dashboard);
    for line in [
        format!("the operator ended a session operator=OPERATOR session={first} has_ended=true"),
        "the operator ended the sessions of a user operator=OPERATOR user=ann ended=2".into(),
        "the sessions of everyone were ended operator=OPERATOR".into(),
    ] {
        let (before, after) = line.split_once("OPERATOR").unwrap();
        let is_there = log
            .lines()
            .any(|line| line.contains(before) && line.ends_with(after));
        assert!(is_there, "{line}: {log}");
    }
}

#[test]
fn a_form_without_the_token_of_the_log_in_changes_nothing() {
    let mut place = Place::new(&[]);
    let (_, id) = place.visitor("ann");
    let question = place.get(&format!("end?session={id}"));
    let (other, link) = start(place.directory.path(), &[]);
    let mut second = Browser::new();
    second.get(&other, &link);
    let of_other = second.get(&other, &format!("end?session={id}"));
    // The form of another log-in, a form without a token, and one without a cookie.
    assert_eq!(place.send(&of_other, "/end", &[]).status, 403);
    for action in ["/end", "/check", "/count", "/leave"] {
        let field = |name: &str, value: &str| {
            format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
        };
        let fields = field("csrf", "") + &field("session", &id);
        let forged = Page {
            text: format!("<form action=\"{action}\">{fields}</form>"),
            ..place.get("")
        };
        assert_eq!(place.send(&forged, action, &[]).status, 403, "{action}");
    }
    let mut stranger = Browser::new();
    assert_eq!(
        stranger
            .send(&place.dashboard, &question, "/end", &[])
            .status,
        403
    );
    assert_eq!(
        place.get(&format!("session/{id}")).status,
        200,
        "the session is still there"
    );
}

#[test]
fn a_read_only_dashboard_shows_and_refuses() {
    let mut place = Place::new(&["--read-only"]);
    let (_, id) = place.visitor("ann");
    for page in ["", "sessions", &format!("session/{id}"), "check"] {
        let page = place.get(page);
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(page.text.contains("read-only"), "{}", page.text);
        assert!(
            !page.text.contains("/end?") && !page.text.contains("repair\""),
            "{}",
            page.text
        );
    }
    for page in [format!("end?session={id}"), "end?everyone=true".into()] {
        assert_eq!(place.get(&page).status, 403);
    }
    let page = place.get("check");
    assert_eq!(
        place.send(&page, "/check", &[("repair", "true")]).status,
        403
    );
    // The token of any form of this log-in is a good one.
    let forged = Page {
        text: page.text.replace("action=\"/check\"", "action=\"/end\""),
        ..page
    };
    assert_eq!(place.send(&forged, "/end", &[("session", &id)]).status, 403);
    assert_eq!(
        place.send(&forged, "/end", &[("everyone", "true")]).status,
        403
    );
    assert_eq!(place.get(&format!("session/{id}")).status, 200);
}

#[test]
fn a_damaged_record_is_shown_found_by_the_check_and_can_be_ended() {
    let mut place = Place::new(&[]);
    let (_, id) = place.visitor("ann");
    let (_, other) = place.visitor("bob");
    // The server must not hold the record open while it is damaged.
    place.demo.signal("STOP");
    let record = record_in(place.directory.path(), &id.parse().unwrap());
    let file = File::options().write(true).open(&record).unwrap();
    let length = file.metadata().unwrap().len();
    file.write_all_at(&vec![0xa5; (length - 512) as usize], 512)
        .unwrap();
    place.demo.signal("CONT");

    place.overview_with("<dt>Damaged</dt><dd>1</dd>");
    let page = place.get(&format!("session/{id}"));
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("The record is damaged"), "{}", page.text);
    assert!(place.get("sessions").text.contains("cannot be read"));

    let page = place.get("check");
    place.send(&page, "/check", &[("repair", "true")]);
    let mut page = place.get("check");
    wait_until("the check", || {
        page = place.get("check");
        page.text.contains("1 is damaged")
    });
    assert!(
        page.text.contains("1 damaged") && page.text.contains(&id),
        "{}",
        page.text
    );

    let question = place.get(&format!("end?session={id}"));
    place.send(&question, "/end", &[]);
    assert_eq!(place.get(&format!("session/{id}")).status, 404);
    assert_eq!(place.get(&format!("session/{other}")).status, 200);
    let log = log_of(place.dashboard);
    assert!(log.contains("the operator starts a check"), "{log}");
}

#[test]
fn a_long_list_continues_page_by_page_with_every_session_once() {
    let mut place = Place::new(&[]);
    for _ in 0..120 {
        Browser::new().get(&place.demo, "keep");
    }
    let mut ids = Vec::new();
    let mut next = Some("sessions".to_owned());
    while let Some(path) = next {
        let page = place.get(&path);
        let links = page.text.split("href=\"/session/").skip(1);
        let before = ids.len();
        ids.extend(links.map(|rest| rest[..32].to_owned()));
        assert!(ids.len() - before <= 50);
        let link = page.text.split("<a href=\"/sessions?").nth(1);
        let link = link.filter(|_| page.text.contains("Continue"));
        next = link.map(|link| {
            let query = link.split('"').next().unwrap().replace("&amp;", "&");
            format!("sessions?{query}")
        });
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((count, ids.len()), (120, 120));
}

#[test]
fn the_metrics_of_a_server_are_shown() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start_with(directory.path(), &["--metrics", "127.0.0.1:0"]);
    let line = demo
        .greeting
        .iter()
        .find(|line| line.contains("/metrics"))
        .unwrap();
    let url = between(line, "Metrics are at ", "/metrics.");
    let none = "http://127.0.0.1:9";
    let (dashboard, link) = start(directory.path(), &["--metrics", &url, "--metrics", none]);
    let mut operator = Browser::new();
    operator.get(&dashboard, &link);
    wait_until("requests in the metrics", || {
        Browser::new().get(&demo, "keep");
        let page = operator.get(&dashboard, "live");
        assert_eq!(page.status, 200, "{}", page.text);
        let has_requests = page.text.contains("<th scope=\"row\">2xx</th>")
            || page.text.contains("<th scope=\"row\">3xx</th>");
        has_requests && page.text.contains("<th scope=\"row\">created</th>")
    });
    let page = operator.get(&dashboard, "live?every=5");
    assert_eq!(page.values("refresh"), ["5"]);
    assert!(page.text.contains("cannot be reached"), "{}", page.text);
}
