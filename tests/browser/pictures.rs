//! The pictures of the operators' page in the book, of a store with made-up sessions.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use std::{env, fs};

use fantoccini::{Client, Locator};

use session3_test_program::clock::Clock;
use session3_test_program::{Browser, Demo, session3};
use session3_test_support::block_on;

use super::dashboard::{Screen, damage, screens};
use super::{Driver, press, text};

/// The width of a wide screen, in pixels.
const WIDTH: u32 = 1000;
/// The height of each screen, in pixels.
const HEIGHT: f64 = 900.0;
/// How long the figures of a server are collected before their picture.
const WATCHED: Duration = Duration::from_secs(20);
/// The largest size of all pictures together, in bytes. `make pictures` makes them smaller by two
/// thirds.
const MAX_SIZE: u64 = 2_000_000;

const FIREFOX: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const EDGE: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0";
const SAFARI: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

/// A person who comes to the demo.
struct Visit {
    /// How long after the visit before, in minutes.
    after: u64,
    /// The name of the user, who is remembered; `None` for one who does not log in.
    user: Option<&'static str>,
    user_agent: &'static str,
    /// An address of those that RFC 5737 and RFC 3849 keep for documentation.
    address: &'static str,
}

const fn visit(
    after: u64,
    user: Option<&'static str>,
    user_agent: &'static str,
    address: &'static str,
) -> Visit {
    Visit {
        after,
        user,
        user_agent,
        address,
    }
}

/// Sessions without a user expire after half an hour. The last one is damaged.
const VISITS: [Visit; 14] = [
    visit(0, Some("grace"), FIREFOX, "203.0.113.20"),
    visit(700, Some("ada"), CHROME, "198.51.100.7"),
    visit(410, Some("edsger"), EDGE, "192.0.2.44"),
    visit(95, Some("ada"), SAFARI, "2001:db8::a1"),
    visit(820, Some("barbara"), SAFARI, "203.0.113.81"),
    visit(350, Some("grace"), SAFARI, "2001:db8::7:20"),
    visit(130, None, CHROME, "198.51.100.112"),
    visit(45, None, SAFARI, "2001:db8::b:6"),
    visit(20, Some("ada"), FIREFOX, "198.51.100.7"),
    visit(12, None, CHROME, "198.51.100.230"),
    visit(3, Some("alan"), CHROME, "192.0.2.19"),
    visit(2, Some("margaret"), FIREFOX, "2001:db8::42"),
    visit(1, Some("donald"), CHROME, "198.51.100.63"),
    visit(1, None, EDGE, "192.0.2.77"),
];

/// Fills a store with the sealed sessions of the visits, the last of which is two minutes ago.
fn fill(directory: &Path, keys: &Path) {
    let made = session3().args(["key", "new"]).arg(keys).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let minutes: u64 = 2 + VISITS.iter().map(|visit| visit.after).sum::<u64>();
    let mut command = session3();
    command
        .arg("demo")
        .arg(directory)
        .arg("--key-file")
        .arg(keys);
    command.args(["--trust-proxy", "127.0.0.1", "--sweep-every", "0"]);
    let mut clock = Clock::ahead_by(&mut command, -60 * minutes as i64);
    let demo = Demo::run(&mut command);
    let mut last = None;
    for visit in &VISITS {
        clock.advance(Duration::from_secs(60 * visit.after));
        let mut visitor = Browser::new();
        let headers = [
            ("User-Agent", visit.user_agent),
            ("X-Forwarded-For", visit.address),
        ];
        visitor.get_with(&demo, "keep", &headers);
        visitor.get_with(&demo, "increment", &headers);
        if let Some(user) = visit.user {
            let page = visitor.get_with(&demo, "account", &headers);
            let fields = [("user", user), ("remember", "yes")];
            visitor.send(&demo, &page, "login", &fields);
        }
        last = Some(visitor.look(&demo).0);
    }
    damage(directory, &last.unwrap());
}

/// Visits a server until the sender is dropped, with pauses that become longer again and again.
fn keep_busy(demo: &Demo, end: &Receiver<()>) {
    let mut visitor = Browser::new();
    visitor.get(demo, "keep");
    let pages = ["", "increment", "account"];
    for (number, page) in (0_u64..).zip(pages.into_iter().cycle()) {
        visitor.get(demo, page);
        let pause = Duration::from_millis(20 + number % 200 / 5);
        if end.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
            break;
        }
    }
}

/// Returns the address of the metrics that a server has printed.
fn metrics_of(demo: &Demo) -> &str {
    let mut lines = demo.greeting.iter();
    let url = lines.find_map(|line| line.strip_prefix("Metrics are at "));
    url.unwrap().strip_suffix('.').unwrap()
}

/// Takes a picture of what the screen shows, or only as much as the page is high.
async fn take(browser: &Client, screen: &Screen, directory: &Path, name: &str) -> u64 {
    let body = browser.find(Locator::Css("body")).await.unwrap();
    let (.., height) = body.rectangle().await.unwrap();
    let picture = match height < HEIGHT {
        true => body.screenshot().await.unwrap(),
        false => browser.screenshot().await.unwrap(),
    };
    let file = format!("dashboard-{name}-{}.png", screen.name);
    fs::write(directory.join(file), &picture).unwrap();
    picture.len() as u64
}

/// Draws all pictures of a screen, and returns their size in bytes.
async fn draw(
    driver: &Driver,
    screen: &Screen,
    [store, keys]: [&Path; 2],
    metrics: &str,
    directory: &Path,
) -> u64 {
    let mut command = dashboard_of(store);
    command.arg("--key-file").arg(keys);
    let dashboard = Demo::run_as_it_is(command.args(["--metrics", metrics]));
    let (url, _) = dashboard.url.split_once("enter?").unwrap();
    let browser = screen.browser(driver).await;

    browser.goto(&dashboard.url).await.unwrap();
    // The servers are asked from the first look on.
    browser.goto(&format!("{url}live")).await.unwrap();
    tokio::time::sleep(WATCHED).await;
    browser.refresh().await.unwrap();
    let page = text(&browser).await;
    assert!(page.contains("Requests a second"), "{page}");
    let mut size = take(&browser, screen, directory, "servers").await;

    browser.goto(url).await.unwrap();
    let counted = Locator::XPath("//h2[text() = 'Users with the most sessions']");
    while browser.find(counted).await.is_err() {
        browser.goto(url).await.unwrap();
    }
    size += take(&browser, screen, directory, "overview").await;

    browser.goto(&format!("{url}sessions")).await.unwrap();
    size += take(&browser, screen, directory, "sessions").await;

    let of_user = format!("{url}sessions?by=user&text=ada");
    browser.goto(&of_user).await.unwrap();
    let link = browser.find(Locator::Css(".sessions a")).await.unwrap();
    link.click().await.unwrap();
    let facts = Locator::Css(".facts");
    browser.wait().for_element(facts).await.unwrap();
    size += take(&browser, screen, directory, "session").await;

    browser.goto(&format!("{url}end?user=ada")).await.unwrap();
    size += take(&browser, screen, directory, "question").await;

    browser.goto(&format!("{url}check")).await.unwrap();
    press(&browser, "/check").await;
    // The page that follows the press may say that the check has started; a later one does not.
    browser.refresh().await.unwrap();
    while !text(&browser).await.contains("1 is damaged") {
        browser.refresh().await.unwrap();
    }
    size += take(&browser, screen, directory, "check").await;

    let without_keys = Demo::run_as_it_is(&mut dashboard_of(store));
    browser.goto(&without_keys.url).await.unwrap();
    let (url, _) = without_keys.url.split_once("enter?").unwrap();
    browser.goto(&format!("{url}sessions")).await.unwrap();
    let page = text(&browser).await;
    assert!(page.contains("the session is sealed"), "{page}");
    size += take(&browser, screen, directory, "sealed").await;
    browser.close().await.unwrap();
    size
}

/// Returns the command that shows a store, which its pages name as the command does.
fn dashboard_of(store: &Path) -> Command {
    let mut command = session3();
    command.current_dir(store.parent().unwrap());
    command.arg("dashboard").arg(store.file_name().unwrap());
    command
}

/// Draws them into the directory PICTURES, as `make pictures` does, or into one that is deleted.
#[test]
#[ignore = "takes long: make pictures"]
fn the_pictures_of_the_book_can_be_drawn() {
    let temporary = tempfile::tempdir().unwrap();
    let directory = env::var_os("PICTURES").map_or_else(|| temporary.path().into(), PathBuf::from);
    let store = temporary.path().join("shop-sessions");
    let keys = temporary.path().join("keys");
    fill(&store, &keys);
    let busy = temporary.path().join("busy");
    let busy = &Demo::start_with(&busy, &["--metrics", "127.0.0.1:0"]);
    let metrics = metrics_of(busy);
    let driver = Driver::start();
    let size = thread::scope(|scope| {
        let (_visits, end) = channel();
        scope.spawn(move || keep_busy(busy, &end));
        block_on(async {
            let mut size = 0;
            for screen in &screens(WIDTH) {
                size += draw(&driver, screen, [&store, &keys], metrics, &directory).await;
            }
            size
        })
    });
    assert!(size < MAX_SIZE, "{size} bytes");
}
