//! The book as readers see it, in HTML.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use session3_test_program::project::{root, run};
use session3_test_support::files;

/// Renders the book into `target/book`, from where its links to files of the repository hold.
fn render() -> PathBuf {
    let mdbook = root().join("target/tools/bin/mdbook");
    assert!(
        mdbook.exists(),
        "{} is missing: run make book",
        mdbook.display()
    );
    let said = run(Command::new(mdbook).arg("build").arg(root().join("docs")));
    let has_complaint = ["WARN", "ERROR"].iter().any(|level| said.contains(level));
    assert!(!has_complaint, "{said}");
    root().join("target/book")
}

/// Returns the values of an attribute in a page.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let before = format!(" {name}=\"");
    let parts = page.split(before.as_str()).skip(1);
    parts.filter_map(|part| part.split('"').next()).collect()
}

/// The pages, each with the places in it to which a link can lead.
type Pages = BTreeMap<PathBuf, (String, BTreeSet<String>)>;

fn pages(book: &Path) -> Pages {
    let html = files(book).into_iter().filter(|file| {
        // These two contain the pages and the table of contents once more.
        let is_copy = ["print.html", "toc.html"]
            .iter()
            .any(|name| file.ends_with(name));
        file.extension()
            .is_some_and(|extension| extension == "html")
            && !is_copy
    });
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let places = attributes(&text, "id").into_iter().map(str::to_owned);
        let places = places.collect();
        (file, (text, places))
    };
    html.map(read).collect()
}

/// Returns what is wrong with a link; nothing if it leads somewhere.
fn problem(pages: &Pages, page: &Path, link: &str) -> Option<&'static str> {
    if ["https://", "http://", "data:"]
        .iter()
        .any(|scheme| link.starts_with(scheme))
    {
        return None;
    }
    let (path, place) = link.split_once('#').unwrap_or((link, ""));
    let file = match path {
        "" => page.to_owned(),
        path => page.parent()?.join(path),
    };
    let Ok(file) = file.canonicalize() else {
        return Some("there is no such file");
    };
    let places = pages.get(&file).map(|(_, places)| places);
    let is_there = place.is_empty() || places.is_none_or(|places| places.contains(place));
    (!is_there).then_some("the page has no such place")
}

#[test]
#[ignore = "needs mdbook: make test-docs"]
fn the_book_is_rendered_without_warnings_and_dead_links() {
    let book = render();
    let pages = pages(&book);
    let chapters = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    let chapters = chapters.matches(".md)").count();
    assert!(pages.len() > chapters && chapters > 20, "{chapters}");
    let mut dead = Vec::new();
    for (page, (text, _)) in &pages {
        // Its links are relative to the root of a site.
        if page.ends_with("404.html") {
            continue;
        }
        let names = ["href", "src", "srcset"];
        for link in names.iter().flat_map(|name| attributes(text, name)) {
            if let Some(why) = problem(&pages, page, link) {
                dead.push(format!("{}: {link}: {why}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn a_dead_link_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let page = fs::canonicalize(&directory).unwrap().join("page.html");
    fs::write(&page, r#"<p id="here"><a href="page.html#here">"#).unwrap();
    let pages = pages(page.parent().unwrap());
    let is_dead = |link: &str| problem(&pages, &page, link).is_some();
    for link in [
        "",
        "#here",
        "page.html",
        "page.html#here",
        "https://example.com/",
    ] {
        assert!(!is_dead(link), "{link}");
    }
    for link in [
        "#there",
        "page.html#there",
        "other.html",
        "../../none/page.html",
    ] {
        assert!(is_dead(link), "{link}");
    }
}
