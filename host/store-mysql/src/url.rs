//! The URL of a store.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use session3_store::url::{one_line, printable, seconds};
use thiserror::Error;

/// What a URL says.
#[derive(Clone, Debug)]
pub struct Target {
    pub host: Host,
    pub database: String,
    pub user: Option<String>,
    pub password: Option<Secret>,
    pub tls: TlsMode,
    pub tls_ca: Option<PathBuf>,
    pub timeout: Option<Duration>,
    /// Whether a server is accepted whose crash may undo acknowledged changes.
    pub may_lose: bool,
    pub table: String,
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Tcp(String, u16),
    Unix(String),
}

/// A password, which no debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a password)")
    }
}

/// Whether connections are encrypted, and how the server proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Off,
    Prefer,
    Require,
    Verify,
}

/// Why a text is not the URL of a store. No message repeats the URL, which may have a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The URL has another scheme.
    #[error("the URL of a MySQL store starts with `mysql://` or `mariadb://`")]
    Scheme,
    /// The part before the parameters cannot be parsed.
    #[error(
        "the URL of the MySQL store cannot be parsed; write \
         `mysql://user:password@host:port/database`, with `%40` for an `@`, `%3F` for a `?` and \
         `%2F` for a `/` of the password"
    )]
    Syntax,
    /// The URL has no host.
    #[error(
        "the URL of the MySQL store names no host; write `mysql://host/database`, or \
         `mysql://%2Frun%2Fmysqld%2Fmysqld.sock/database` for a socket"
    )]
    NoHost,
    /// The URL has no database.
    #[error("the URL of the MySQL store names no database; write `mysql://host/database`")]
    NoDatabase,
    /// The URL has a parameter that this store does not know.
    #[error(
        "the URL of the MySQL store has the unknown parameter {0}; known are `durability`, \
         `table`, `timeout`, `tls` and `tls-ca`"
    )]
    UnknownParameter(String),
    /// A parameter occurs twice.
    #[error("the URL of the MySQL store has the parameter `{0}` twice; leave one out")]
    Repeated(&'static str),
    /// A parameter has a value that is not possible.
    #[error("the parameter `{0}` of the URL of the MySQL store is {1}")]
    Value(&'static str, &'static str),
}

impl Target {
    /// Parses a URL.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let schemes = ["mysql://", "mariadb://"];
        let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
        let rest = rest.ok_or(UrlError::Scheme)?;
        let (server, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let mut target = parse_server(server)?;
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(parameters.as_bytes()) {
            let name = target.set(&name, &value)?;
            if seen.contains(&name) {
                return Err(UrlError::Repeated(name));
            }
            seen.push(name);
        }
        // An authority is named for the sake of the check that `verify` makes.
        if !seen.contains(&"tls") && target.tls_ca.is_some() {
            target.tls = TlsMode::Verify;
        }
        target.check_tls()?;
        Ok(target)
    }

    /// Sets a parameter, and returns its name.
    fn set(&mut self, name: &str, value: &str) -> Result<&'static str, UrlError> {
        match name {
            "durability" if value == "off" => {
                self.may_lose = true;
                Ok("durability")
            }
            "durability" => Err(UrlError::Value("durability", "not `off`; leave it out")),
            "table" => {
                self.table = parse_table(value)?;
                Ok("table")
            }
            "timeout" => {
                self.timeout = Some(parse_timeout(value)?);
                Ok("timeout")
            }
            "tls" => {
                self.tls = parse_tls_mode(value)?;
                Ok("tls")
            }
            "tls-ca" if value.is_empty() => Err(UrlError::Value("tls-ca", "empty; name a file")),
            "tls-ca" => {
                self.tls_ca = Some(value.into());
                Ok("tls-ca")
            }
            _ => Err(UrlError::UnknownParameter(printable(name))),
        }
    }

    fn check_tls(&self) -> Result<(), UrlError> {
        if self.tls_ca.is_some() && self.tls != TlsMode::Verify {
            let why = "of no use unless `tls` is `verify`";
            return Err(UrlError::Value("tls-ca", why));
        }
        let is_encrypted = matches!(self.tls, TlsMode::Require | TlsMode::Verify);
        if is_encrypted && matches!(self.host, Host::Unix(_)) {
            return Err(UrlError::Value("tls", "not possible over a socket"));
        }
        Ok(())
    }

    /// Returns the host and the database, for messages.
    pub fn place(&self) -> String {
        let place = match &self.host {
            Host::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Host::Tcp(host, port) => format!("{host}:{port}"),
            Host::Unix(path) => path.clone(),
        };
        one_line(&format!("{place}/{}", self.database))
    }
}

/// Parses the part of a URL between the scheme and the parameters.
fn parse_server(server: &str) -> Result<Target, UrlError> {
    // A second `@` would make the end of a password the start of the host's name.
    if server.matches('@').count() > 1 || server.contains('#') {
        return Err(UrlError::Syntax);
    }
    let (user, address) = match server.split_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, server),
    };
    // A `/` of a password would end the host's name.
    if user.is_some_and(|user| user.contains('/')) {
        return Err(UrlError::Syntax);
    }
    let (host, database) = address.split_once('/').unwrap_or((address, ""));
    let host = parse_host(host)?;
    let database = decode(database)?;
    if database.is_empty() {
        return Err(UrlError::NoDatabase);
    }
    let (user, password) = user.map_or(Ok((None, None)), parse_user)?;
    Ok(Target {
        host,
        database,
        user,
        password,
        tls: TlsMode::Prefer,
        tls_ca: None,
        timeout: None,
        may_lose: false,
        table: "session3".into(),
    })
}

type UserAndPassword = (Option<String>, Option<Secret>);

fn parse_user(text: &str) -> Result<UserAndPassword, UrlError> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(Secret(decode(password)?))),
        None => (text, None),
    };
    let user = decode(user)?;
    Ok(((!user.is_empty()).then_some(user), password))
}

fn parse_host(text: &str) -> Result<Host, UrlError> {
    const PORT: u16 = 3306;
    let (host, port) = match text.strip_prefix('[') {
        // The colons of an IPv6 address are none before a port.
        Some(rest) => rest.split_once(']').ok_or(UrlError::Syntax)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let host = decode(host)?;
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    if host.starts_with('/') {
        return match port {
            "" => Ok(Host::Unix(host)),
            _ => Err(UrlError::Syntax),
        };
    }
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().map_err(|_| UrlError::Syntax)?,
        None if port.is_empty() => PORT,
        None => return Err(UrlError::Syntax),
    };
    Ok(Host::Tcp(host, port))
}

fn decode(text: &str) -> Result<String, UrlError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| UrlError::Syntax)
}

fn parse_tls_mode(value: &str) -> Result<TlsMode, UrlError> {
    match value {
        "off" => Ok(TlsMode::Off),
        "prefer" => Ok(TlsMode::Prefer),
        "require" => Ok(TlsMode::Require),
        "verify" => Ok(TlsMode::Verify),
        _ => {
            let why = "none of `off`, `prefer`, `require` and `verify`";
            Err(UrlError::Value("tls", why))
        }
    }
}

/// The names of the other tables add up to 6 characters to that of the table, and MySQL's
/// names have at most 64.
const MAX_TABLE_LENGTH: usize = 58;

fn parse_table(value: &str) -> Result<String, UrlError> {
    let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
    let is_good = |c: char| is_letter(c) || c.is_ascii_digit();
    let is_name = value.starts_with(is_letter) && value.chars().all(is_good);
    if !is_name || value.len() > MAX_TABLE_LENGTH {
        let why = "no name of lower-case letters, digits and `_`, of at most 58 characters";
        return Err(UrlError::Value("table", why));
    }
    Ok(value.into())
}

/// The longest timeout: the sockets of the system do not know any number.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

fn parse_timeout(value: &str) -> Result<Duration, UrlError> {
    let why = "no number of seconds, such as 2 or 0.5, of at most an hour";
    seconds(value)
        .filter(|timeout| *timeout <= MAX_TIMEOUT)
        .ok_or(UrlError::Value("timeout", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        let error = Target::parse(url).expect_err("the URL is bad").to_string();
        assert!(
            !error.contains('\n') && !error.contains("secret"),
            "{error}"
        );
        error
    }

    #[test]
    fn a_url_names_host_database_and_parameters() {
        let url = "mariadb://alice:s%40cret+:@[::1]:1/web%20site\
                   ?tls=verify&tls-ca=/ca.pem&timeout=0.5&durability=off&table=s_1";
        let target = Target::parse(url).expect("the URL is good");
        assert_eq!(target.place(), "[::1]:1/web site");
        assert_eq!(target.user.as_deref(), Some("alice"));
        assert_eq!(target.password, Some(Secret("s@cret+:".into())));
        assert_eq!(target.tls, TlsMode::Verify);
        assert_eq!(target.tls_ca, Some("/ca.pem".into()));
        assert_eq!(target.timeout, Some(Duration::from_millis(500)));
        assert!(target.may_lose);
        assert_eq!(target.table, "s_1");
        assert!(!format!("{target:?}").contains("s@cret"));
    }

    #[test]
    fn a_url_needs_a_host_and_a_database_only() {
        let host = |url| Target::parse(url).expect("the URL is good").host;
        assert_eq!(host("mysql://h/d"), Host::Tcp("h".into(), 3306));
        assert_eq!(host("mysql://u@%2Frun%2Fs/d"), Host::Unix("/run/s".into()));
        let target = Target::parse("mysql://h/d").expect("the URL is good");
        assert_eq!((target.user, target.password), (None, None));
        assert!(!target.may_lose);
    }

    #[test]
    fn an_authority_turns_the_check_of_certificates_on() {
        let tls = |url| Target::parse(url).expect("the URL is good").tls;
        assert_eq!(tls("mysql://h/d"), TlsMode::Prefer);
        assert_eq!(tls("mysql://h/d?tls-ca=x"), TlsMode::Verify);
        error("mysql://h/d?tls-ca=x&tls=require");
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        for (url, part) in [
            ("redis://:secret@h", "starts with"),
            ("mysql://u:secret@secret@h/d", "%40"),
            ("mysql://u:1?secret@h/d", "no database"),
            ("mysql://u:x@h/d?sec%20ret=1", "(not a name)"),
            ("mysql://u:sec/secret@h/d", "cannot be parsed"),
            ("mysql://u:sec#secret@h/d", "cannot be parsed"),
            ("mysql://u:%ffsecret@h/d", "cannot be parsed"),
            ("mysql://u:secret@h:x/d", "cannot be parsed"),
            ("mysql://u:secret@[::1/d", "cannot be parsed"),
            ("mysql://u:secret@/d", "no host"),
            ("mysql://u:secret@h", "no database"),
            ("mysql://u:secret@h/?table=a", "no database"),
            ("mysql://h/d?prefix=x", "`prefix`"),
            ("mysql://h/d?prefix=x", "known are `durability`"),
            ("mysql://h/d?table=a&table=b", "`table` twice"),
            ("mysql://h/d?table=a%60b", "`table`"),
            ("mysql://h/d?table=A", "lower-case"),
            ("mysql://h/d?timeout=0", "`timeout`"),
            ("mysql://h/d?timeout=2s", "seconds"),
            ("mysql://h/d?timeout=-1", "seconds"),
            ("mysql://h/d?durability=on", "not `off`"),
            ("mysql://h/d?tls=on", "`verify`"),
            ("mysql://%2Fs/d?tls=require", "over a socket"),
        ] {
            let error = error(url);
            assert!(error.contains(part), "{url}: {error}");
        }
    }
}
