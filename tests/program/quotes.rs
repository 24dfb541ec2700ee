//! The quotations of the documentation, each of which has to stand in its file.
//!
//! A quotation is a block of code after a line `From [PATH](LINK):`, where `PATH` begins at the root
//! of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::book::blocks;

/// The lines of a quotation that stand for lines of the file which it leaves out.
const LEFT_OUT: [&str; 2] = ["// …", "# …"];

/// A block of code that a page quotes from a file.
struct Quotation<'a> {
    /// The number of the line that names the file.
    line: usize,
    /// The path of the file, from the root of the repository.
    file: &'a str,
    code: Vec<&'a str>,
}

#[test]
fn every_quotation_stands_in_its_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut number = 0;
    for page in pages(&root) {
        let name = page.display();
        let text = fs::read_to_string(root.join(&page)).unwrap();
        let up = "../".repeat(page.components().count() - 1);
        let found = quotations(&text, &up).unwrap_or_else(|why| panic!("{name}, {why}"));
        for Quotation { line, file, code } in found {
            let source = fs::read_to_string(root.join(file));
            let source = source.unwrap_or_else(|why| panic!("{name}, line {line}: {file}: {why}"));
            if let Err(why) = check(&code, &source) {
                panic!("{name}, line {line}: {file} has nothing like this: {why}");
            }
            number += 1;
        }
    }
    assert!(number > 0, "no page quotes a file");
}

#[test]
fn how_it_works_shows_no_code_that_is_not_quoted() {
    const PAGE: &str = include_str!("../../docs/src/how-it-works.md");
    let code = ["rust,ignore", "wit"].map(|language| blocks(PAGE, language).len());
    let quoted = quotations(PAGE, "../../").unwrap().len();
    assert_eq!(code.iter().sum::<usize>(), quoted);
}

#[test]
fn a_quotation_that_does_not_stand_in_the_file_is_found() {
    const FILE: &str = "fn one() {\n    first();\n\n    second();\n    third();\n}\n";
    let stands = |code: &str| {
        let code: Vec<_> = code.lines().collect();
        check(&code, FILE).is_ok()
    };
    for code in [
        "first();\n\nsecond();",
        "    third();\n}",
        "fn one() {\n    // …\n    third();\n}",
        "first();\n# …\nthird();",
        "second();\n// …",
    ] {
        assert!(stands(code), "{code}");
    }
    for code in [
        "",
        "fourth();",
        // Not the whole line.
        "irst();",
        // The indentation of one line has changed.
        "    first();\n\nsecond();",
        // Lines are left out, and nothing says so.
        "first();\nthird();",
        // Another order.
        "third();\n// …\nfirst();",
        // No line is left out.
        "second();\n// …\nthird();",
    ] {
        assert!(!stands(code), "{code}");
    }
}

#[test]
fn a_quotation_names_its_file_and_has_a_block() {
    let page = "Text.\n\nFrom [a/b.rs](../a/b.rs):\n\n```rust\none\n\ntwo\n```\n";
    let found = quotations(page, "../").unwrap();
    let [Quotation { line, file, code }] = &*found else {
        panic!("{} quotations", found.len());
    };
    assert_eq!((*line, *file), (3, "a/b.rs"));
    assert_eq!(*code, ["one", "", "two"]);

    let in_a_block = "```text\nFrom [a](../a):\n```\n";
    assert!(quotations(in_a_block, "../").unwrap().is_empty());
    for page in [
        "From [a](../b):\n\n```\none\n```\n",
        "From [a](a):\n\n```\none\n```\n",
        "From [a](../a)\n\n```\none\n```\n",
        "From [a](../a):\n\nText.\n",
        "From [a](../a):\n",
    ] {
        assert!(quotations(page, "../").is_err(), "{page}");
    }
}

/// Returns the pages that may quote files, by their paths from the root of the repository.
fn pages(root: &Path) -> Vec<PathBuf> {
    let entries = |directory: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(root.join(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.map(|name| Path::new(directory).join(name)).collect()
    };
    let mut pages = entries("docs/src");
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    let guests = entries("guest").into_iter();
    pages.extend(guests.map(|guest| guest.join("README.md")));
    pages.push("README.md".into());
    pages.retain(|page| root.join(page).exists());
    pages.sort();
    pages
}

/// Returns the quotations of a page. `up` leads from its directory to the root of the repository.
///
/// # Errors
///
/// The number of a line that is like the beginning of a quotation, and what is wrong with it.
fn quotations<'a>(page: &'a str, up: &str) -> Result<Vec<Quotation<'a>>, String> {
    let is_fence = |text: &str| text.starts_with("```");
    let mut lines = page.lines().zip(1..);
    let mut found = Vec::new();
    while let Some((text, line)) = lines.next() {
        if is_fence(text) {
            // A block that is no quotation: its end is the next fence.
            let _ = lines.find(|(text, _)| is_fence(text));
        }
        if !text.starts_with("From [") {
            continue;
        }
        let file = file_of(text, up);
        let file = file.ok_or_else(|| format!("line {line}: write From [PATH]({up}PATH):"))?;
        let rest = lines.by_ref().map(|(text, _)| text);
        let mut block = rest.skip_while(|text| text.is_empty());
        if !block.next().is_some_and(is_fence) {
            return Err(format!("line {line}: no block of code follows"));
        }
        let code = block.take_while(|text| !is_fence(text)).collect();
        found.push(Quotation { line, file, code });
    }
    Ok(found)
}

/// Returns the path in a line `From [PATH](LINK):` if the link leads there.
fn file_of<'a>(text: &'a str, up: &str) -> Option<&'a str> {
    let names = text.strip_prefix("From [")?.strip_suffix("):")?;
    let (file, link) = names.split_once("](")?;
    (link.strip_prefix(up)? == file).then_some(file)
}

/// Checks that the lines of a quotation stand in a file, in their order and without gaps other than
/// those that the quotation shows. The quotation may have lost the indentation of the file.
///
/// # Errors
///
/// The first line of the part that was not found.
fn check(code: &[&str], file: &str) -> Result<(), String> {
    let file: Vec<_> = file.lines().collect();
    let Some(first) = code.first() else {
        return Err("the block is empty".into());
    };
    let mut missing = (*first).to_owned();
    let indentations = file.iter().filter_map(|line| line.strip_suffix(*first));
    for indentation in indentations.filter(|text| text.trim().is_empty()) {
        match missing_part(code, indentation, &file) {
            None => return Ok(()),
            Some(part) => missing = part,
        }
    }
    Err(missing)
}

/// Returns the first line of the first part of a quotation that is not in a file after the parts
/// before it.
fn missing_part(code: &[&str], indentation: &str, file: &[&str]) -> Option<String> {
    let indented = |line: &&str| match line.is_empty() {
        true => String::new(),
        false => format!("{indentation}{line}"),
    };
    let mut from = 0;
    for part in code.split(|line| LEFT_OUT.contains(&line.trim())) {
        let part: Vec<_> = part.iter().map(indented).collect();
        let Some(first) = part.first() else {
            continue;
        };
        let rest = file.get(from..).unwrap_or_default();
        let found = rest.windows(part.len()).position(|lines| lines == part);
        let Some(at) = found else {
            return Some(first.clone());
        };
        // At least one line is left out before the next part.
        from += at + part.len() + 1;
    }
    None
}
