//! Which store a URL names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::OpenError;

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    Directory(PathBuf),
    Memory,
    /// A URL that the store of the engine reads.
    Engine(Engine, String),
}

/// A kind of store that is a feature of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Redis,
    Postgres,
    Mysql,
}

impl Engine {
    /// Returns the feature that builds the engine in.
    pub fn feature(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
        }
    }

    fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            "mysql" | "mariadb" => Some(Self::Mysql),
            _ => {
                // As in redis+sentinel.
                let (base, _) = scheme.split_once('+').unwrap_or((scheme, ""));
                ["redis", "rediss", "valkey", "valkeys"]
                    .contains(&base)
                    .then_some(Self::Redis)
            }
        }
    }
}

impl Place {
    /// Reads a URL or a path. What begins like a URL is one, so that a misspelt URL never
    /// becomes a directory.
    pub fn parse(text: &OsStr) -> Result<Self, OpenError> {
        let Some((scheme, rest)) = split_scheme(text) else {
            return directory(text);
        };
        match scheme {
            "dir" => directory(rest),
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(OpenError::Url("write memory: and nothing after it")),
            _ => {
                let engine = Engine::of_scheme(scheme)
                    .ok_or_else(|| OpenError::UnknownScheme(scheme.into()))?;
                let url = text.to_str().ok_or(OpenError::Url(
                    "it is not in UTF-8; write other bytes as in %FF",
                ))?;
                Ok(Self::Engine(engine, url.into()))
            }
        }
    }
}

fn directory(path: &OsStr) -> Result<Place, OpenError> {
    match path.is_empty() {
        true => Err(OpenError::Url("the path of the directory is missing")),
        false => Ok(Place::Directory(path.into())),
    }
}

/// Returns the scheme of a URL and what follows its colon. A path has none if there is no
/// colon, or a character before it that a scheme cannot have, such as a slash.
fn split_scheme(text: &OsStr) -> Option<(&str, &OsStr)> {
    let bytes = text.as_bytes();
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let scheme = str::from_utf8(bytes.get(..colon)?).ok()?;
    let is_scheme = scheme.starts_with(|char: char| char.is_ascii_alphabetic())
        && scheme.chars().all(is_of_scheme);
    let rest = OsStr::from_bytes(bytes.get(colon + 1..)?);
    is_scheme.then_some((scheme, rest))
}

/// Returns whether a scheme may contain a character. URLs have no underscore there, but people
/// who misspell them do.
fn is_of_scheme(char: char) -> bool {
    char.is_ascii_alphanumeric() || "+-._".contains(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Place, OpenError> {
        Place::parse(OsStr::new(text))
    }

    #[test]
    fn a_path_is_a_directory() {
        let paths = [
            "sessions",
            "/var/lib/a:b",
            "./a:b",
            "../x",
            "a b:c",
            "10:30",
            "ä:b",
            ":",
        ];
        for path in paths {
            assert_eq!(parse(path).unwrap(), Place::Directory(path.into()));
        }
        let raw = OsStr::from_bytes(b"/tmp/\xff:x");
        assert_eq!(Place::parse(raw).unwrap(), Place::Directory(raw.into()));
    }

    #[test]
    fn a_directory_of_any_name_has_a_url() {
        for path in ["redis://x", "a:b", " ", "dir:x"] {
            let place = parse(&format!("dir:{path}")).unwrap();
            assert_eq!(place, Place::Directory(path.into()));
        }
    }

    #[test]
    fn a_scheme_names_a_store() {
        let schemes = [
            ("sqlite:a.db", Engine::Sqlite),
            ("redis://h", Engine::Redis),
            ("valkeys+cluster://h", Engine::Redis),
            ("postgres://h/d", Engine::Postgres),
            ("postgresql://h/d", Engine::Postgres),
            ("mysql://h/d", Engine::Mysql),
            ("mariadb://h/d", Engine::Mysql),
        ];
        for (url, engine) in schemes {
            assert_eq!(parse(url).unwrap(), Place::Engine(engine, url.into()));
        }
        assert_eq!(parse("memory:").unwrap(), Place::Memory);
    }

    #[test]
    fn a_misspelt_url_is_no_directory() {
        for url in [
            "sqlit:x",
            "Redis://h",
            "http://h",
            "my_sql://h",
            "C:\\x",
            "postgre+x://h",
        ] {
            let error = parse(url).unwrap_err();
            assert!(matches!(error, OpenError::UnknownScheme(_)), "{url}");
            assert!(error.to_string().contains("dir:PATH"));
        }
        for url in ["", "dir:", "memory:x"] {
            assert!(matches!(parse(url), Err(OpenError::Url(_))), "{url}");
        }
    }
}
