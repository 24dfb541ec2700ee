//! Tests of the demo, of the dashboard and of new applications in a real browser, from Debian's
//! packages chromium and chromium-driver.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod account;
mod dashboard;
mod pictures;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;

use session3_test_program::Demo;
use session3_test_program::project::Project;
use session3_test_servers::postgres::Postgres;
use session3_test_support::block_on;

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
        self.browser_with(&[], None).await
    }

    /// Starts a browser with further arguments, which can take the place of a mobile device.
    async fn browser_with(&self, arguments: &[&str], device: Option<Value>) -> Client {
        let usual = [
            "--headless",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
        ];
        let arguments = [&usual[..], arguments].concat();
        let mut options = serde_json::json!({ "goog:chromeOptions": { "args": arguments } });
        if let Some(device) = device {
            options["goog:chromeOptions"]["mobileEmulation"] = device;
        }
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
    loop {
        let body = browser
            .wait()
            .for_element(Locator::Css("body"))
            .await
            .unwrap();
        match body.text().await {
            Ok(text) => return text,
            // Another page has come meanwhile.
            Err(error) if error.is_stale_element_reference() => {}
            Err(error) => panic!("{error}"),
        }
    }
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

/// Types into the field of a form that has this name.
async fn enter(browser: &Client, name: &str, value: &str) {
    let field = format!("input[name=\"{name}\"]:not([type=hidden])");
    let field = browser.find(Locator::Css(&field)).await.unwrap();
    field.send_keys(value).await.unwrap();
}

/// Presses the button of the form with this action, and returns the text of the page that follows.
async fn press(browser: &Client, action: &str) -> String {
    let button = format!("form[action=\"{action}\"] button");
    let button = browser.find(Locator::Css(&button)).await.unwrap();
    button.clone().click().await.unwrap();
    // A form is sent some time after the click.
    while button.is_displayed().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    text(browser).await
}

async fn log_in(browser: &Client, password: &str) -> String {
    enter(browser, "user", "ann").await;
    enter(browser, "password", password).await;
    press(browser, "/login").await
}

/// What a person does with an application of `session3 new`.
fn click_through_a_new_application(lang: &str, framework: &str) {
    let project = Project::new(lang, framework);
    let server = project.serve(&[]);
    let driver = Driver::start();
    block_on(async {
        let browser = driver.browser().await;
        browser.goto(&server.url).await.unwrap();
        let page = log_in(&browser, "wrong").await;
        assert!(page.contains("This is not the password."), "{page}");
        let page = log_in(&browser, "lovelace").await;
        assert!(page.contains("Hello ann"), "{page}");
        enter(&browser, "text", "<i>Buy milk</i>").await;
        let page = press(&browser, "/notes").await;
        assert!(page.contains("The note is saved."), "{page}");
        assert!(page.contains("<i>Buy milk</i>"), "{page}");

        let other = driver.browser().await;
        other.goto(&server.url).await.unwrap();
        log_in(&other, "lovelace").await;
        let page = click(&browser, "Devices").await;
        assert!(page.contains("this one"), "{page}");
        let page = press(&browser, "/devices/end-others").await;
        assert!(page.contains("Sessions ended: 1."), "{page}");
        let page = click(&other, "Devices").await;
        assert!(page.contains("Log in"), "{page}");
        other.close().await.unwrap();

        let page = click(&browser, "Quote").await;
        assert!(page.contains("Memory is the thing"), "{page}");
        let page = click(&browser, "Notes").await;
        assert!(page.contains("Buy milk"), "{page}");
        let page = press(&browser, "/notes/delete").await;
        assert!(!page.contains("Buy milk"), "{page}");
        let page = press(&browser, "/logout").await;
        assert!(page.contains("Log in"), "{page}");
        browser.close().await.unwrap();
    });
}

#[test]
fn a_person_clicks_through_a_new_application() {
    click_through_a_new_application("python", "none");
}

#[test]
#[ignore = "takes long: make test-docs"]
fn a_person_clicks_through_each_new_application() {
    for (lang, framework) in [
        ("python", "flask"),
        ("javascript", "none"),
        ("javascript", "hono"),
        ("rust", "none"),
        ("rust", "wstd"),
        ("c", "none"),
    ] {
        println!("{lang} {framework}");
        click_through_a_new_application(lang, framework);
    }
}
