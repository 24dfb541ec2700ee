//! The browser of a session in words, for the pages that show sessions to people.

/// What identifies a browser in a `User-Agent` header, and its name. Browsers that build on
/// another one name that as well, so they come first.
const BROWSERS: [(&str, &str); 12] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("HeadlessChrome/", "Chrome without a window"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python-requests/", "Python"),
    ("bot", "A robot"),
];

/// What identifies an operating system in a `User-Agent` header, and its name.
const SYSTEMS: [(&str, &str); 7] = [
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
];

/// The name of a browser that is not among those that are known.
const OTHER: &str = "Another browser";

/// Returns the browser that a `User-Agent` header names in words, from a bounded set of texts.
///
/// ```
/// use session3_store::browser;
///
/// let firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// assert_eq!(browser::name(firefox), "Firefox on Windows");
/// assert_eq!(browser::name("curl/8.14.1"), "curl");
/// assert_eq!(browser::name("?"), "Another browser");
/// ```
pub fn name(user_agent: &str) -> String {
    let find = |table: &[(&str, &'static str)]| {
        let found = table.iter().find(|(part, _)| user_agent.contains(part));
        found.map(|(_, name)| *name)
    };
    let browser = find(&BROWSERS).unwrap_or(OTHER);
    match find(&SYSTEMS) {
        Some(system) => format!("{browser} on {system}"),
        None => browser.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_builds_on_another_one_has_its_own_name() {
        let of_chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                         Chrome/140.0.0.0 Safari/537.36";
        assert_eq!(name(of_chrome), "Chrome on Linux");
        let edge = format!("{of_chrome} Edg/140.0.0.0");
        assert_eq!(name(&edge), "Edge on Linux");
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 \
                      (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";
        assert_eq!(name(iphone), "Safari on iPhone");
    }
}
