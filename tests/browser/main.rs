//! Tests of the demo and of an application of `session3 new` in a real browser, from Debian's packages chromium and chromium-driver.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;

use session3_test_program::Demo;
use session3_test_program::writing::{PYTHON, Template};
use session3_test_servers::postgres::Postgres;
use session3_test_support::block_on;
use tokio::time::sleep;

struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver should be installed, from Debian's package chromium-driver");
        let output = BufReader::new(child.stdout.take().unwrap());
        let port = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.split_once("successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver should print its port");
        Self { child, port }
    }

    async fn browser(&self) -> Client {
        let options = serde_json::json!({
            "goog:chromeOptions": {
                "args": ["--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
            }
        });
        let capabilities: Capabilities = serde_json::from_value(options).unwrap();
        ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", self.port))
            .await
            .unwrap()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn text(browser: &Client) -> String {
    let body = browser.find(Locator::Css("body")).await.unwrap();
    body.text().await.unwrap()
}

async fn click(browser: &Client, link: &str) -> String {
    let link = browser.find(Locator::LinkText(link)).await.unwrap();
    link.click().await.unwrap();
    text(browser).await
}

#[test]
fn a_person_clicks_through_the_demo() {
    let directory = tempfile::tempdir().unwrap();
    click_through_the_demo(directory.path());
}

#[test]
fn a_person_clicks_through_the_demo_on_postgres() {
    let url = Postgres::shared().url_without_password();
    click_through_the_demo(Path::new(&url));
}

fn click_through_the_demo(store: &Path) {
    let demo = Demo::start(store);
    let driver = Driver::start();
    block_on(async {
        let browser = driver.browser().await;
        browser.goto(&demo.url).await.unwrap();
        let page = text(&browser).await;
        assert!(page.contains("Your session ID is None."), "{page}");
        assert!(
            click(&browser, "Increment")
                .await
                .contains("Counter is at 0.")
        );
        let page = click(&browser, "Keep").await;
        assert!(!page.contains("ID is None."), "{page}");
        assert!(
            click(&browser, "Increment")
                .await
                .contains("Counter is at 1.")
        );
        assert!(
            click(&browser, "Increment")
                .await
                .contains("Counter is at 2.")
        );
        assert!(
            click(&browser, "Increment and fail")
                .await
                .contains("on purpose")
        );
        assert!(click(&browser, "Back").await.contains("Counter is at 2."));
        assert!(
            click(&browser, "Log out and fail")
                .await
                .contains("on purpose")
        );
        assert!(click(&browser, "Back").await.contains("Counter is at 2."));
        let script = "return document.cookie";
        let cookie = browser.execute(script, vec![]).await.unwrap();
        assert_eq!(cookie, "", "scripts cannot read the cookie");
        if let Some(path) = std::env::var_os("SCREENSHOT") {
            std::fs::write(path, browser.screenshot().await.unwrap()).unwrap();
        }
        let page = click(&browser, "Log out").await;
        assert!(page.contains("Your session ID is None."), "{page}");
        assert!(page.contains("Counter is at 0."), "{page}");
        assert!(browser.get_all_cookies().await.unwrap().is_empty());
        browser.close().await.unwrap();
    });
}

async fn find(browser: &Client, selector: &str) -> Element {
    let found = browser.find(Locator::Css(selector)).await;
    found.unwrap_or_else(|error| panic!("{selector}: {error}"))
}

/// Types into fields, presses the button of a form, and waits for a page with this text.
async fn submit(browser: &Client, action: &str, fields: &[(&str, &str)], expected: &str) {
    for (name, typed) in fields {
        let field = find(browser, &format!("[name={name}]")).await;
        field.send_keys(typed).await.unwrap();
    }
    let button = find(browser, &format!("[action=\"{action}\"] button")).await;
    button.click().await.unwrap();
    shows(browser, expected).await;
}

/// Waits until the browser shows a text. While it leaves a page, there may be no body.
async fn shows(browser: &Client, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut shown = String::new();
    while !shown.contains(expected) {
        assert!(
            Instant::now() < deadline,
            "{expected} is missing in {shown}"
        );
        if let Ok(body) = browser.find(Locator::Css("body")).await {
            shown = body.text().await.unwrap_or_default();
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// What only a browser shows: the policy for contents lets it load the stylesheet and submit the
/// forms, and it keeps the cookie over plain HTTP.
#[test]
fn a_person_uses_a_new_application() {
    let directory = tempfile::tempdir().unwrap();
    PYTHON.write(directory.path());
    let server = Template::serve(directory.path(), &[]);
    let driver = Driver::start();
    block_on(async {
        let browser = driver.browser().await;
        browser.goto(&server.url).await.unwrap();
        let wrong = [("name", "ann"), ("password", "wrong")];
        submit(&browser, "/login", &wrong, "There is no user").await;
        let right = [("name", "ann"), ("password", "secret-of-ann")];
        submit(&browser, "/login", &right, "Notes of ann").await;
        submit(
            &browser,
            "/notes",
            &[("text", "<b>Milk</b>")],
            "<b>Milk</b>",
        )
        .await;
        let heading = find(&browser, "h1").await;
        let size = heading.css_value("font-size").await.unwrap();
        assert_eq!(size, "28px", "the stylesheet is loaded");
        submit(&browser, "/notes/delete", &[], "The note was deleted.").await;
        assert!(!text(&browser).await.contains("Milk"));
        click(&browser, "Devices").await;
        shows(&browser, "This device").await;
        assert!(text(&browser).await.contains("Chrome"));
        click(&browser, "Quote").await;
        shows(&browser, "has not allowed").await;
        submit(&browser, "/logout", &[], "Password").await;
        browser.close().await.unwrap();
    });
}
