//! The operators' page in a real browser: in light and dark, on a wide and a narrow screen, and
//! checked by axe.

use std::path::{Path, PathBuf};
use std::{env, fs};

use fantoccini::{Client, Locator};
use serde_json::Value;

use session3_test_program::{Browser, Demo, session3};
use session3_test_support::{block_on, record_in};

use super::{Driver, press, text};

/// Returns axe-core, which `make browser` installs.
pub fn axe() -> String {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/browser/node_modules/axe-core/axe.min.js"
    );
    fs::read_to_string(path).unwrap_or_else(|_| panic!("{path} is missing: run make browser"))
}

/// How a person looks at the page.
pub struct Screen {
    pub name: &'static str,
    pub is_dark: bool,
    /// The width in pixels.
    pub width: u32,
}

/// Returns a wide and a narrow screen in light and in dark.
pub const fn screens(wide: u32) -> [Screen; 4] {
    const fn screen(name: &'static str, is_dark: bool, width: u32) -> Screen {
        Screen {
            name,
            is_dark,
            width,
        }
    }
    [
        screen("light", false, wide),
        screen("dark", true, wide),
        screen("light-narrow", false, 360),
        screen("dark-narrow", true, 360),
    ]
}

impl Screen {
    pub async fn browser(&self, driver: &Driver) -> Client {
        let scheme = if self.is_dark { 0 } else { 1 };
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        let metrics = serde_json::json!({
            "deviceMetrics": { "width": self.width, "height": 900, "pixelRatio": 1.0 }
        });
        driver.browser_with(&[&scheme], Some(metrics)).await
    }
}

/// Fills a store with sessions of several users and browsers, one of them damaged.
pub fn fill(directory: &Path) -> Demo {
    let demo = Demo::start(directory);
    let browsers = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
    ];
    let long = "a-user-with-a-name-that-is-much-longer-than-a-narrow-screen-is-wide@example.com";
    let users = ["ann", "ann", "ann", "bob", "bob", long, "<b>carl</b>"];
    let mut damaged = None;
    for number in 0..24 {
        let mut visitor = Browser::new();
        let agent = browsers[number % 7 % 3];
        visitor.get_with(&demo, "keep", &[("User-Agent", agent)]);
        if let Some(user) = users.get(number) {
            let page = visitor.get(&demo, "account");
            visitor.send(&demo, &page, "login", &[("user", user)]);
            visitor.get(&demo, "increment");
        }
        damaged = Some(visitor.look(&demo).0);
    }
    damage(directory, &damaged.unwrap());
    demo
}

/// Overwrites all of a session's record but its header.
pub fn damage(directory: &Path, id: &str) {
    let record = record_in(directory, &id.parse().unwrap());
    let mut bytes = fs::read(&record).unwrap();
    bytes[512..].fill(0xa5);
    fs::write(&record, bytes).unwrap();
}

/// Runs axe on the page, and fails if it finds anything. Also fails if the page is wider than
/// the screen.
pub async fn check(browser: &Client, screen: &Screen, axe: &str, what: &str) {
    browser.execute(axe, vec![]).await.unwrap();
    let script = "const done = arguments[arguments.length - 1];
        axe.run().then(found => done(found.violations.map(violation => [
            violation.id, violation.help, violation.nodes.map(node => node.html),
        ])), error => done(String(error)));";
    let found = browser.execute_async(script, vec![]).await.unwrap();
    assert_eq!(found, Value::Array(vec![]), "{what}: {found:#}");
    let script = "return document.documentElement.scrollWidth";
    let width = browser.execute(script, vec![]).await.unwrap();
    assert!(
        width.as_u64() <= Some(screen.width.into()),
        "{what}: {width}"
    );
}

pub async fn screenshot(browser: &Client, screen: &Screen, name: &str) {
    let Some(directory) = env::var_os("SCREENSHOTS") else {
        return;
    };
    let path = PathBuf::from(directory).join(format!("{name}-{}.png", screen.name));
    fs::write(path, browser.screenshot().await.unwrap()).unwrap();
}

#[test]
fn an_operator_looks_at_a_store_in_light_and_dark_and_on_a_narrow_screen() {
    let axe = axe();
    let directory = tempfile::tempdir().unwrap();
    let _demo = fill(directory.path());
    let driver = Driver::start();
    block_on(async {
        for screen in &screens(1280) {
            let mut command = session3();
            command.arg("dashboard").arg(directory.path());
            let dashboard = Demo::run_as_it_is(command.args(["--metrics", "http://127.0.0.1:9"]));
            let (url, _) = dashboard.url.split_once("enter?").unwrap();
            let browser = screen.browser(&driver).await;
            browser.goto(&dashboard.url).await.unwrap();
            let heading = Locator::XPath("//h1[text() = 'Overview']");
            browser.wait().for_element(heading).await.unwrap();
            let script = "return matchMedia('(prefers-color-scheme: dark)').matches";
            assert_eq!(
                browser.execute(script, vec![]).await.unwrap(),
                screen.is_dark
            );
            let counted = Locator::XPath("//h2[text() = 'Users with the most sessions']");
            while browser.find(counted).await.is_err() {
                browser.refresh().await.unwrap();
            }
            check(&browser, screen, &axe, "overview").await;
            screenshot(&browser, screen, "overview").await;

            for (name, path) in [
                ("sessions", "sessions"),
                ("of-user", "sessions?by=user&text=ann"),
                ("check", "check"),
                ("question", "end?everyone=true"),
                ("servers", "live"),
            ] {
                browser.goto(&format!("{url}{path}")).await.unwrap();
                if name == "check" {
                    press(&browser, "/check").await;
                    while !text(&browser).await.contains("1 is damaged") {
                        browser.refresh().await.unwrap();
                    }
                }
                check(&browser, screen, &axe, name).await;
                screenshot(&browser, screen, name).await;
            }
            browser
                .goto(&format!("{url}sessions?by=user&text=ann"))
                .await
                .unwrap();
            let link = browser.find(Locator::Css(".sessions a")).await.unwrap();
            link.click().await.unwrap();
            browser
                .wait()
                .for_element(Locator::Css(".facts"))
                .await
                .unwrap();
            check(&browser, screen, &axe, "session").await;
            screenshot(&browser, screen, "session").await;
            let page = press(&browser, "/leave").await;
            assert!(page.contains("You are logged out."), "{page}");
            check(&browser, screen, &axe, "logged out").await;
            browser.close().await.unwrap();
        }
    });
}
