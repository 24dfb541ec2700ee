//! The demo's pages for users and for the administrator: in light and dark, on a wide and a narrow
//! screen, and checked by axe.

use fantoccini::Locator;

use session3_test_support::block_on;

use super::dashboard::{axe, check, fill, screens, screenshot};
use super::{Driver, click, enter, press, text};

#[test]
fn users_and_the_administrator_look_at_sessions_in_light_and_dark_and_on_a_narrow_screen() {
    let axe = axe();
    let directory = tempfile::tempdir().unwrap();
    let demo = fill(directory.path());
    let driver = Driver::start();
    block_on(async {
        for screen in &screens(1280) {
            let browser = screen.browser(&driver).await;
            browser.goto(&demo.url).await.unwrap();
            check(&browser, screen, &axe, "start").await;
            browser.goto(&format!("{}account", demo.url)).await.unwrap();
            check(&browser, screen, &axe, "log-in").await;
            enter(&browser, "user", "admin").await;
            let page = press(&browser, "login").await;
            assert!(page.contains("(this one)"), "{page}");
            assert!(page.contains("Last used just now"), "{page}");
            check(&browser, screen, &axe, "account").await;
            screenshot(&browser, screen, "account").await;

            browser.goto(&format!("{}admin", demo.url)).await.unwrap();
            // A button says which session it ends. The list has more than one page.
            let button = "button[aria-label^='End the session of ann, Firefox on Windows, ']";
            while browser.find(Locator::Css(button)).await.is_err() {
                click(&browser, "More").await;
            }
            let page = text(&browser).await;
            assert!(page.contains("from the address 127.0.0.1"), "{page}");
            check(&browser, screen, &axe, "admin").await;
            screenshot(&browser, screen, "admin").await;
            browser.close().await.unwrap();
        }
    });
}
