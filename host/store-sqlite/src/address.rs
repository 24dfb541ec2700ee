//! The URL of a store.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use session3_store::url::seconds;

use crate::{Durability, OpenError};

/// What a URL says.
#[derive(Debug, PartialEq)]
pub struct Address {
    pub path: PathBuf,
    pub durability: Option<Durability>,
    pub timeout: Option<Duration>,
}

impl Address {
    /// Reads `sqlite:PATH?durability=process|disk&timeout=SECONDS`.
    ///
    /// A general parser of URLs would resolve `..` in the path without regard to symbolic
    /// links, so this splits the text itself.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        read(text).map_err(OpenError::Url)
    }
}

fn read(text: &str) -> Result<Address, String> {
    let example = "write sqlite:PATH, as in sqlite:/var/lib/app/sessions.db";
    let rest = text.strip_prefix("sqlite:").ok_or(example)?;
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match path.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => return Err(format!("it has a host, which a file has not; {example}")),
        None => path,
    };
    let mut address = Address {
        path: decoded_path(path)?,
        durability: None,
        timeout: None,
    };
    for parameter in parameters.split('&').filter(|it| !it.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        set_parameter(&mut address, name, value)?;
    }
    Ok(address)
}

fn decoded_path(path: &str) -> Result<PathBuf, String> {
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    if bytes.is_empty() {
        return Err("the path is missing; write sqlite:PATH".into());
    }
    if bytes.contains(&0) {
        return Err("the path contains NUL; name another file".into());
    }
    Ok(OsString::from_vec(bytes).into())
}

fn set_parameter(address: &mut Address, name: &str, value: &str) -> Result<(), String> {
    match name {
        "durability" => address.durability = Some(durability(value)?),
        "timeout" => address.timeout = Some(timeout(value)?),
        _ => {
            return Err(format!(
                "the parameter {name:?} is unknown; the parameters are durability and timeout"
            ));
        }
    }
    Ok(())
}

fn durability(value: &str) -> Result<Durability, String> {
    match value {
        "process" => Ok(Durability::Process),
        "disk" => Ok(Durability::Disk),
        _ => Err(format!(
            "`durability` is {value:?}; write process, or disk to survive power cuts"
        )),
    }
}

fn timeout(value: &str) -> Result<Duration, String> {
    seconds(value).ok_or_else(|| {
        format!("`timeout` is {value:?}; write a number of seconds, such as 2 or 0.5")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(text: &str) -> PathBuf {
        Address::parse(text).expect("a good URL").path
    }

    #[test]
    fn a_url_names_a_relative_or_an_absolute_path() {
        for (url, path) in [
            ("sqlite:sessions.db", "sessions.db"),
            ("sqlite:./a/../b.db", "./a/../b.db"),
            ("sqlite:/var/lib/s.db?", "/var/lib/s.db"),
            ("sqlite:///var/lib/s.db", "/var/lib/s.db"),
            ("sqlite:a%20b%3f.db", "a b?.db"),
            ("sqlite:a b#c.db", "a b#c.db"),
            ("sqlite:file:x", "file:x"),
        ] {
            assert_eq!(path_of(url), PathBuf::from(path), "{url}");
        }
    }

    #[test]
    fn parameters_set_durability_and_timeout() {
        let address = Address::parse("sqlite:s.db?durability=disk&timeout=0.5");
        let address = address.expect("a good URL");
        assert_eq!(address.durability, Some(Durability::Disk));
        assert_eq!(address.timeout, Some(Duration::from_millis(500)));
    }

    #[test]
    fn anything_else_is_refused_in_one_line_that_helps() {
        for (url, part) in [
            ("s.db", "write sqlite:PATH"),
            ("redis://host", "write sqlite:PATH"),
            ("sqlite:", "the path is missing"),
            ("sqlite:?timeout=1", "the path is missing"),
            ("sqlite://host/s.db", "it has a host"),
            ("sqlite:a%00", "NUL"),
            ("sqlite:s.db?mode=ro", "are durability and timeout"),
            ("sqlite:s.db?durability=full", "write process, or disk"),
            ("sqlite:s.db?timeout=0", "a number of seconds"),
            ("sqlite:s.db?timeout=1e99", "a number of seconds"),
            ("sqlite:s.db?timeout", "a number of seconds"),
            ("sqlite:s.db?a\nb=1", r#""a\nb""#),
        ] {
            let error = Address::parse(url).expect_err("a bad URL").to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
    }
}
