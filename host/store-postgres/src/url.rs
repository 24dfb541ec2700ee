//! The URL of a store.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use session3_store::url::{one_line, printable, seconds};
use thiserror::Error;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// What a URL says.
#[derive(Clone, Debug)]
pub struct Target {
    /// The hosts, the database, the user and the password.
    pub config: Config,
    pub tls: TlsMode,
    pub tls_ca: Option<PathBuf>,
    pub timeout: Option<Duration>,
    pub durability: Option<Durability>,
    /// Whether connections prepare their statements.
    pub prepares: bool,
    pub table: String,
}

/// Whether connections are encrypted, and how the server proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyFull,
}

/// What a change waits for: a value of the server's setting `synchronous_commit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Off,
    Local,
    RemoteWrite,
    On,
    RemoteApply,
}

impl Durability {
    /// Returns the value of `synchronous_commit`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Local => "local",
            Self::RemoteWrite => "remote_write",
            Self::On => "on",
            Self::RemoteApply => "remote_apply",
        }
    }
}

/// Why a text is not the URL of a store. No message repeats the URL, which may have a password.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The URL has another scheme.
    #[error("the URL of a PostgreSQL store starts with `postgres://` or `postgresql://`")]
    Scheme,
    /// The part before the parameters cannot be parsed.
    #[error(
        "the URL of the PostgreSQL store cannot be parsed; write \
         `postgres://user:password@host:port,host:port/database`, with `%40` for an `@`, `%3F` \
         for a `?` and `%2F` for a `/` of the password"
    )]
    Syntax,
    /// The URL has no host.
    #[error(
        "the URL of the PostgreSQL store names no host; write `postgres://host/database`, or \
         `postgres://%2Frun%2Fpostgresql/database` for a socket"
    )]
    NoHost,
    /// The URL has a parameter that this store does not know.
    #[error(
        "the URL of the PostgreSQL store has the unknown parameter {0}; known are `durability`, \
         `prepare`, `sslmode`, `table`, `timeout` and `tls-ca`"
    )]
    UnknownParameter(String),
    /// A parameter occurs twice.
    #[error("the URL of the PostgreSQL store has the parameter `{0}` twice; leave one out")]
    Repeated(&'static str),
    /// A parameter has a value that is not possible.
    #[error("the parameter `{0}` of the URL of the PostgreSQL store is {1}")]
    Value(&'static str, &'static str),
}

impl Target {
    /// Parses a URL.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let schemes = ["postgres://", "postgresql://"];
        if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(UrlError::Scheme);
        }
        let (server, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut target = Self::new(parse_server(server)?);
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(parameters.as_bytes()) {
            let name = target.set(&name, &value)?;
            if seen.contains(&name) {
                return Err(UrlError::Repeated(name));
            }
            seen.push(name);
        }
        // An authority is named for the sake of the check that `verify-full` makes.
        if !seen.contains(&"sslmode") && target.tls_ca.is_some() {
            target.tls = TlsMode::VerifyFull;
        }
        target.check_tls()?;
        Ok(target)
    }

    fn new(config: Config) -> Self {
        Self {
            config,
            tls: TlsMode::Prefer,
            tls_ca: None,
            timeout: None,
            durability: None,
            prepares: false,
            table: "session3".into(),
        }
    }

    /// Sets a parameter, and returns its name.
    fn set(&mut self, name: &str, value: &str) -> Result<&'static str, UrlError> {
        match name {
            "durability" => {
                self.durability = Some(parse_durability(value)?);
                Ok("durability")
            }
            "prepare" => {
                self.prepares = parse_switch(value)?;
                Ok("prepare")
            }
            "sslmode" => {
                self.tls = parse_tls_mode(value)?;
                Ok("sslmode")
            }
            "table" => {
                self.table = parse_table(value)?;
                Ok("table")
            }
            "timeout" => {
                self.timeout = Some(parse_timeout(value)?);
                Ok("timeout")
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
        let is_checked = matches!(self.tls, TlsMode::VerifyFull);
        if self.tls_ca.is_some() && !is_checked {
            let why = "of no use unless `sslmode` is `verify-full`";
            return Err(UrlError::Value("tls-ca", why));
        }
        Ok(())
    }

    /// Returns the hosts and the database, for messages.
    pub fn place(&self) -> String {
        let mut place = String::new();
        let ports = self.config.get_ports();
        for (number, host) in self.config.get_hosts().iter().enumerate() {
            let separator = if number > 0 { "," } else { "" };
            let port = ports.get(number).or(ports.first()).unwrap_or(&5432);
            // Writing to a string does not fail.
            let _ = match host {
                Host::Tcp(host) => write!(place, "{separator}{host}:{port}"),
                Host::Unix(path) => write!(place, "{separator}{}", path.display()),
            };
        }
        if let Some(database) = self.config.get_dbname() {
            place.push('/');
            place.push_str(database);
        }
        one_line(&place)
    }
}

fn parse_server(server: &str) -> Result<Config, UrlError> {
    // A second `@` would make the end of a password the start of the host's name.
    if server.matches('@').count() > 1 || server.contains('#') {
        return Err(UrlError::Syntax);
    }
    let config: Config = server.parse().map_err(|_| UrlError::Syntax)?;
    let is_empty = |host: &Host| matches!(host, Host::Tcp(host) if host.is_empty());
    if config.get_hosts().is_empty() || config.get_hosts().iter().any(is_empty) {
        return Err(UrlError::NoHost);
    }
    Ok(config)
}

fn parse_durability(value: &str) -> Result<Durability, UrlError> {
    use Durability::{Local, Off, On, RemoteApply, RemoteWrite};
    let all = [Off, Local, RemoteWrite, On, RemoteApply];
    let found = all.into_iter().find(|one| one.name() == value);
    let why = "none of `off`, `local`, `remote_write`, `on` and `remote_apply`";
    found.ok_or(UrlError::Value("durability", why))
}

fn parse_switch(value: &str) -> Result<bool, UrlError> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(UrlError::Value("prepare", "neither `on` nor `off`")),
    }
}

fn parse_tls_mode(value: &str) -> Result<TlsMode, UrlError> {
    match value {
        "disable" => Ok(TlsMode::Disable),
        "prefer" => Ok(TlsMode::Prefer),
        "require" => Ok(TlsMode::Require),
        "verify-full" => Ok(TlsMode::VerifyFull),
        _ => {
            let why = "none of `disable`, `prefer`, `require` and `verify-full`";
            Err(UrlError::Value("sslmode", why))
        }
    }
}

/// The names of the other tables and of the index add up to 16 characters to that of the
/// table, and PostgreSQL cuts names after 63.
const MAX_TABLE_LENGTH: usize = 47;

fn parse_table(value: &str) -> Result<String, UrlError> {
    let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
    let is_good = |c: char| is_letter(c) || c.is_ascii_digit();
    let is_name = value.starts_with(is_letter) && value.chars().all(is_good);
    if !is_name || value.len() > MAX_TABLE_LENGTH {
        let why = "no name of lower-case letters, digits and `_`, of at most 47 characters";
        return Err(UrlError::Value("table", why));
    }
    Ok(value.into())
}

/// The longest timeout: tokio-postgres and the sockets of the system do not know any number.
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
    fn a_url_names_hosts_database_and_parameters() {
        let url = "postgresql://alice:s%40cret@one:1,[::1],%2Frun/web%20site\
                   ?sslmode=verify-full&tls-ca=/ca.pem&timeout=0.5&durability=remote_write&table=s_1&prepare=on";
        let target = Target::parse(url).expect("the URL is good");
        assert_eq!(target.place(), "one:1,::1:5432,/run/web site");
        assert_eq!(target.config.get_password(), Some(&b"s@cret"[..]));
        assert_eq!(target.tls, TlsMode::VerifyFull);
        assert_eq!(target.tls_ca, Some("/ca.pem".into()));
        assert_eq!(target.timeout, Some(Duration::from_millis(500)));
        assert_eq!(target.durability, Some(Durability::RemoteWrite));
        assert!(target.prepares);
        assert_eq!(target.table, "s_1");
        assert!(!format!("{target:?}").contains("s@cret"));
    }

    #[test]
    fn an_authority_turns_the_check_of_certificates_on() {
        let tls = |url| Target::parse(url).expect("the URL is good").tls;
        assert_eq!(tls("postgres://h/d"), TlsMode::Prefer);
        assert_eq!(tls("postgres://h/d?tls-ca=x"), TlsMode::VerifyFull);
        error("postgres://h/d?tls-ca=x&sslmode=require");
    }

    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        for (url, part) in [
            ("redis://:secret@h", "starts with"),
            ("postgres://u:secret@secret@h/d", "%40"),
            ("postgres://u:1?secret@h/d", "(not a name)"),
            ("postgres://u:sec?secret@h/d", "cannot be parsed"),
            ("postgres://u:sec#secret@h/d", "cannot be parsed"),
            ("postgres://u:secret@h:x/d", "cannot be parsed"),
            ("postgres://u:secret@/d", "no host"),
            ("postgres://h/d?prefix=x", "`prefix`"),
            ("postgres://h/d?prefix=x", "known are `durability`"),
            ("postgres://h/d?table=a&table=b", "`table` twice"),
            ("postgres://h/d?table=a%22b", "`table`"),
            ("postgres://h/d?table=A", "lower-case"),
            ("postgres://h/d?timeout=0", "`timeout`"),
            ("postgres://h/d?timeout=2s", "seconds, such as 2 or 0.5"),
            ("postgres://h/d?timeout=500ms", "seconds"),
            ("postgres://h/d?timeout=-1", "seconds"),
            ("postgres://h/d?timeout=NaN", "seconds"),
            ("postgres://h/d?timeout=3601", "an hour"),
            ("postgres://h/d?durability=disk", "`remote_write`"),
            ("postgres://h/d?prepare=yes", "neither `on` nor `off`"),
            ("postgres://h/d?sslmode=allow", "`verify-full`"),
        ] {
            let error = error(url);
            assert!(error.contains(part), "{url}: {error}");
        }
    }
}
