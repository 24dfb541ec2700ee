//! The places where the programs of PostgreSQL look for a password.

use std::fs::Metadata;
use std::path::PathBuf;
use std::{env, fs, io};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::OpenError;

/// Sets the password: the given one, that of the URL, `PGPASSWORD`, or that of the password
/// file. A server that asks for none needs none.
pub fn set_password(config: &mut Config, given: Option<String>) -> Result<(), OpenError> {
    if let Some(password) = given {
        config.password(password);
    } else if config.get_password().is_none() {
        let found = match env::var("PGPASSWORD") {
            Ok(password) => Some(password),
            Err(_) => from_file(config)?,
        };
        if let Some(password) = found {
            config.password(password);
        }
    }
    Ok(())
}

fn from_file(config: &Config) -> Result<Option<String>, OpenError> {
    let in_home = || Some(PathBuf::from(env::var_os("HOME")?).join(".pgpass"));
    let path = env::var_os("PGPASSFILE").map_or_else(in_home, |path| Some(path.into()));
    let Some(path) = path else { return Ok(None) };
    let failed = |error: io::Error| OpenError::PasswordFile(path.clone(), error.to_string());
    let metadata = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(failed)?,
    };
    if is_public(&metadata) {
        let why = "other users may read it; run chmod 0600 on it".into();
        return Err(OpenError::PasswordFile(path, why));
    }
    let text = fs::read_to_string(&path).map_err(failed)?;
    Ok(find(&text, &wanted(config)))
}

#[cfg(unix)]
fn is_public(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_public(_: &Metadata) -> bool {
    false
}

/// Returns the first four fields of the line to look for: those of the first host, since
/// tokio-postgres sends one password to all hosts.
fn wanted(config: &Config) -> [String; 4] {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        _ => "localhost".into(),
    };
    let port = config.get_ports().first().unwrap_or(&5432).to_string();
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    [host, port, database.into(), user.into()]
}

/// Returns the password of the first line whose other fields are `*` or the wanted ones.
fn find(text: &str, wanted: &[String; 4]) -> Option<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut fields = split(line);
            let password = (fields.len() == 5).then(|| fields.pop())??;
            let is_match = |(field, wanted): (&String, &String)| field == "*" || field == wanted;
            fields.iter().zip(wanted).all(is_match).then_some(password)
        })
}

/// Splits a line at its colons. A backslash stands before a colon or a backslash of a field.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' => fields.push(String::new()),
            character => {
                let character = match character {
                    '\\' => characters.next().unwrap_or('\\'),
                    character => character,
                };
                if let Some(field) = fields.last_mut() {
                    field.push(character);
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let text = "# comment\nother:5432:web:alice:no\nshort:5432\n\
                    h\\:1:*:web:alice:with\\:colon\\\\\n*:*:*:*:any\n";
        let find = |host: &str, user: &str| {
            let wanted = [host, "5432", "web", user].map(str::to_owned);
            find(text, &wanted)
        };
        assert_eq!(find("h:1", "alice").as_deref(), Some("with:colon\\"));
        assert_eq!(find("h:1", "bob").as_deref(), Some("any"));
        assert_eq!(find("other", "alice").as_deref(), Some("no"));
    }
}
