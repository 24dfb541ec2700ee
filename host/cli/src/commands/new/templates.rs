//! The languages and frameworks in which an application can be written. Another one is an entry
//! in [`LANGUAGES`] and a directory in `templates`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use include_dir::{Dir, DirEntry, include_dir};

use super::directory::File;
use super::name::Names;

/// The directories with the files of applications. The name of each file ends in
/// [`EXTENSION`], so that no tool takes it for a source of this program.
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

const EXTENSION: &str = ".template";

/// The placeholder for the version of session3, in what follows and in the files.
const VERSION: &str = "{{version}}";

/// A language.
pub struct Language {
    pub name: &'static str,
    pub names: Names,
    /// The command that installs the tools of the language on Debian.
    pub install: &'static str,
    /// The files of session3's package for the language, and of what it needs that is in no
    /// registry either.
    packages: &'static [&'static str],
    /// Whether the language has a registry of packages.
    pub is_in_registry: bool,
    pub templates: &'static [Template],
}

/// An application in a language, with a framework or without.
pub struct Template {
    pub framework: Option<&'static str>,
    /// The directories with its files.
    directories: &'static [&'static str],
    /// What names the package of session3 in the application, if the package comes from the
    /// registry, and if it comes from a file.
    requirement: [&'static str; 2],
}

/// All languages. The first one is the default.
pub const LANGUAGES: &[Language] = &[
    Language {
        name: "python",
        names: Names {
            is_start: |start| start.is_ascii_alphanumeric(),
            is_part: |part| part.is_ascii_alphanumeric() || "-_.".contains(part),
            rule: "in Python, it begins with a letter or a digit, and has letters, digits, \
                   \"-\", \"_\" and \".\" only",
            reserved: &["session3-guest", "flask"],
        },
        install: "sudo apt-get install python3-venv",
        packages: &["session3_guest-{{version}}-py3-none-any.whl"],
        is_in_registry: true,
        templates: &[
            Template {
                framework: None,
                directories: &["common", "python-common", "python"],
                requirement: ["session3-guest=={{version}}", "./packages/{{file}}"],
            },
            Template {
                framework: Some("flask"),
                directories: &["common", "python-common", "python-flask"],
                requirement: [
                    "session3-guest[flask]=={{version}}",
                    "./packages/{{file}}[flask]",
                ],
            },
        ],
    },
    Language {
        name: "javascript",
        names: Names {
            is_start: |start| start.is_ascii_lowercase() || start.is_ascii_digit(),
            is_part: |part| {
                part.is_ascii_lowercase() || part.is_ascii_digit() || "-_.".contains(part)
            },
            rule: "in JavaScript, it begins with a small letter or a digit, and has small letters, \
                   digits, \"-\", \"_\" and \".\" only",
            reserved: &["session3-guest", "hono", "node_modules", "favicon.ico"],
        },
        install: "sudo apt-get install nodejs npm  # Node.js 20.6 or newer",
        packages: &["session3-guest-{{version}}.tgz"],
        is_in_registry: true,
        templates: &[
            Template {
                framework: None,
                directories: &["common", "javascript-common", "javascript"],
                requirement: ["{{version}}", "file:packages/{{file}}"],
            },
            Template {
                framework: Some("hono"),
                directories: &["common", "javascript-common", "javascript-hono"],
                requirement: ["{{version}}", "file:packages/{{file}}"],
            },
        ],
    },
    Language {
        name: "c",
        names: Names {
            is_start: |start| start.is_ascii_alphanumeric(),
            is_part: |part| part.is_ascii_alphanumeric() || "-_.".contains(part),
            rule: "in C, it begins with a letter or a digit, and has letters, digits, \"-\", \
                   \"_\" and \".\" only",
            reserved: &[],
        },
        install: "sudo apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 make",
        packages: &["session3-guest-c-{{version}}.tar.gz"],
        is_in_registry: false,
        templates: &[Template {
            framework: None,
            directories: &["common", "c"],
            // The Makefile unpacks the file.
            requirement: ["", ""],
        }],
    },
];

impl Language {
    /// Returns the application with this framework, or the one without any.
    pub fn template(&self, framework: Option<&str>) -> Option<&'static Template> {
        let mut templates = self.templates.iter();
        templates.find(|template| template.framework == framework)
    }

    /// Returns the names of the files with session3's package for the language.
    pub fn package_files(&self) -> impl Iterator<Item = String> {
        let names = self.packages.iter();
        names.map(|name| name.replace(VERSION, env!("CARGO_PKG_VERSION")))
    }
}

/// What takes the place of the placeholders in the files.
pub struct Values([(&'static str, String); 4]);

impl Values {
    fn fill(&self, text: &str) -> String {
        let fill =
            |text: String, (placeholder, value): &(&str, String)| text.replace(placeholder, value);
        // The requirement has placeholders itself, so it is the first one.
        self.0.iter().fold(text.to_owned(), fill)
    }
}

impl Template {
    /// Returns the values for an application of this name, which has files of packages or takes
    /// them from the registry.
    pub fn values(&self, language: &Language, name: &str, has_files: bool) -> Values {
        let requirement = self.requirement[usize::from(has_files)];
        let file = language.package_files().next().unwrap_or_default();
        Values([
            ("{{package}}", requirement.to_owned()),
            ("{{file}}", file),
            (VERSION, env!("CARGO_PKG_VERSION").to_owned()),
            ("{{name}}", name.to_owned()),
        ])
    }

    /// Returns the files of the application.
    ///
    /// # Errors
    ///
    /// If a directory is missing or has a file that is no text, which a test excludes.
    pub fn files(&self, values: &Values) -> Result<Vec<File>> {
        let mut files = BTreeMap::new();
        for name in self.directories {
            let directory = TEMPLATES.get_dir(name).context("a template is missing")?;
            add(directory, name, values, &mut files)?;
        }
        let files = files.into_iter();
        Ok(files
            .map(|(path, content)| File { path, content })
            .collect())
    }
}

/// Adds the files of a directory and of those below it, which is in the template `root`.
fn add(
    directory: &Dir<'_>,
    root: &str,
    values: &Values,
    files: &mut BTreeMap<PathBuf, Vec<u8>>,
) -> Result<()> {
    for entry in directory.entries() {
        match entry {
            DirEntry::Dir(below) => add(below, root, values, files)?,
            DirEntry::File(file) => {
                let path = file.path().strip_prefix(root)?.to_str();
                let path = path.and_then(|path| path.strip_suffix(EXTENSION));
                let text = file.contents_utf8().context("a template is no text")?;
                let path = path.context("a template has another extension")?;
                files.insert(path.into(), values.fill(text).into_bytes());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_complete_and_filled_in() {
        for language in LANGUAGES {
            for template in language.templates {
                for has_files in [false, true] {
                    let values = template.values(language, "shop", has_files);
                    check(&template.files(&values).expect("files"));
                }
            }
        }
    }

    fn check(files: &[File]) {
        let paths: Vec<_> = files.iter().filter_map(|file| file.path.to_str()).collect();
        for path in [
            ".gitignore",
            "README.md",
            "session3.toml",
            "static/style.css",
        ] {
            assert!(paths.contains(&path), "{path} is missing in {paths:?}");
        }
        let text = |path: &str| {
            let file = files.iter().find(|file| file.path.to_str() == Some(path));
            String::from_utf8_lossy(&file.expect("a file").content).into_owned()
        };
        assert!(text("README.md").starts_with("# shop\n"));
        for path in paths {
            let text = text(path);
            for (start, _) in text.match_indices("{{") {
                let rest = &text[start + 2..];
                let word: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
                let is_placeholder = !word.is_empty() && rest[word.len()..].starts_with("}}");
                assert!(!is_placeholder, "{path} has {{{{{word}}}}}");
            }
        }
    }
}
