//! The URL of a store.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use session3_store::url::{printable, seconds};
use url::Url;

use crate::OpenError;

/// The parameters that a URL may have.
const PARAMETERS: &str = "prefix, timeout, wait, tls-ca";
/// The schemes that a URL may have.
const SCHEMES: &str = "redis, rediss, valkey or valkeys, each also with +cluster or +sentinel, \
    and redis+unix or valkey+unix";

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

impl Host {
    /// Reads `host:port`, where the host may be an IPv6 address without brackets, as nodes of
    /// a Cluster write it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, port) = text.rsplit_once(':')?;
        // A node may add its host name after a comma.
        let name = name.trim_start_matches('[').trim_end_matches(']');
        Some(Self {
            name: name.to_owned(),
            port: port.split(['@', ',']).next()?.parse().ok()?,
        })
    }
}

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(Host),
    Unix(PathBuf),
    /// Sentinels, and the name of the primary that they watch.
    Sentinel(Vec<Host>, String),
    /// Some nodes of a Cluster.
    Cluster(Vec<Host>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |hosts: &[Host]| {
            let hosts: Vec<_> = hosts.iter().map(Host::to_string).collect();
            hosts.join(",")
        };
        match self {
            Self::Tcp(host) => host.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
            Self::Sentinel(hosts, name) => write!(f, "{name} of the Sentinels {}", list(hosts)),
            Self::Cluster(hosts) => write!(f, "the Cluster {}", list(hosts)),
        }
    }
}

/// What a URL says. It has no `Debug`, since it has the password.
pub(crate) struct Address {
    pub(crate) place: Place,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
    pub(crate) tls: bool,
    pub(crate) certificates: Option<PathBuf>,
    pub(crate) prefix: String,
    pub(crate) timeout: Option<Duration>,
    /// The number of replicas that must confirm each change.
    pub(crate) wait: u32,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, OpenError> {
        read(text).map_err(OpenError::Url)
    }
}

fn read(text: &str) -> Result<Address, String> {
    let (scheme, rest) = text.split_once("://").ok_or("there is no scheme://")?;
    let (tls, kind) = scheme_of(scheme)?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // What follows the first of these characters in a password would be shown as a host, a
    // database or a parameter.
    if !authority.is_empty() && tail.contains('@') {
        return Err("write %2F for a `/`, %3F for a `?`, %23 for a `#` and %40 for an `@`".into());
    }
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (format!("{login}@"), hosts),
        None => (String::new(), authority),
    };
    // The crate `url` knows URLs with one host only.
    let url = Url::parse(&format!("redis://{login}host{tail}"))
        .map_err(|error| format!("it cannot be read ({error})"))?;
    if url.fragment().is_some() {
        return Err("`#` has no meaning; write %23 within a password".into());
    }
    let place = place_of(kind, hosts, &url)?;
    let mut address = Address {
        database: database_of(&place, &url)?,
        place,
        user: (!url.username().is_empty())
            .then(|| decoded(url.username()))
            .transpose()?,
        password: url.password().map(decoded).transpose()?,
        tls,
        certificates: None,
        prefix: "s3".into(),
        timeout: None,
        wait: 0,
    };
    for (name, value) in url.query_pairs() {
        set_parameter(&mut address, &name, &value)?;
    }
    Ok(address)
}

/// Returns whether the scheme has TLS, and what follows its `+`.
fn scheme_of(scheme: &str) -> Result<(bool, &str), String> {
    let (name, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let tls = matches!(name, "rediss" | "valkeys");
    let is_known = tls && kind != "unix" || matches!(name, "redis" | "valkey");
    match is_known && matches!(kind, "" | "unix" | "cluster" | "sentinel") {
        true => Ok((tls, kind)),
        false => Err(format!("the scheme {scheme} is unknown; use {SCHEMES}")),
    }
}

fn place_of(kind: &str, hosts: &str, url: &Url) -> Result<Place, String> {
    if kind == "unix" {
        let path = decoded(url.path())?;
        return match hosts.is_empty() && path.len() > 1 {
            true => Ok(Place::Unix(path.into())),
            false => Err("name the path of a socket, as in redis+unix:///run/redis.sock".into()),
        };
    }
    let default = if kind == "sentinel" { 26379 } else { 6379 };
    let read = |host: &str| read_host(host, default);
    let mut hosts = hosts.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
    match kind {
        "cluster" => Ok(Place::Cluster(hosts)),
        "sentinel" => match path_parts(url)?.first() {
            Some(name) => Ok(Place::Sentinel(hosts, name.clone())),
            None => Err("name the primary after the Sentinels, as in /mymaster/0".into()),
        },
        _ if hosts.len() > 1 => {
            Err("there are several hosts; use redis+cluster:// or redis+sentinel://".into())
        }
        _ => Ok(Place::Tcp(hosts.remove(0))),
    }
}

fn read_host(text: &str, default: u16) -> Result<Host, String> {
    let url = Url::parse(&format!("redis://{text}"))
        .map_err(|error| format!("the host {text} cannot be read ({error})"))?;
    let name = url.host_str().filter(|name| !name.is_empty());
    let name = name.ok_or("there is no host")?;
    Ok(Host {
        name: name.trim_matches(['[', ']']).to_owned(),
        port: url.port().unwrap_or(default),
    })
}

fn path_parts(url: &Url) -> Result<Vec<String>, String> {
    let parts = url.path().split('/').filter(|part| !part.is_empty());
    parts.map(decoded).collect()
}

fn database_of(place: &Place, url: &Url) -> Result<i64, String> {
    let parts = path_parts(url)?;
    let database = match (place, &parts[..]) {
        (Place::Unix(_), _) | (_, []) | (Place::Sentinel(..), [_]) => return Ok(0),
        (Place::Tcp(_) | Place::Cluster(_), [database]) => database,
        (Place::Sentinel(..), [_, database]) => database,
        _ => return Err("there is too much after the host".into()),
    };
    match (place, database.parse::<u16>()) {
        (_, Err(_)) => Err(format!("the database {database} is not a number")),
        (Place::Cluster(_), Ok(1..)) => Err("a Cluster has only the database 0".into()),
        (_, Ok(database)) => Ok(database.into()),
    }
}

fn set_parameter(address: &mut Address, name: &str, value: &str) -> Result<(), String> {
    match name {
        "prefix" => {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-".contains(&byte);
            if value.is_empty() || value.len() > 64 || !value.bytes().all(is_plain) {
                return Err("`prefix` has 1 to 64 letters, digits and `:._-`".into());
            }
            address.prefix = value.into();
        }
        "timeout" => {
            let why = "`timeout` is a number of seconds, such as 2 or 0.5";
            address.timeout = Some(seconds(value).ok_or(why)?);
        }
        "wait" => {
            let why = "`wait` is the number of replicas that confirm each change";
            address.wait = value.parse().map_err(|_| why)?;
        }
        "tls-ca" if !address.tls => {
            return Err("`tls-ca` needs rediss:// or valkeys://".into());
        }
        "tls-ca" => address.certificates = Some(value.into()),
        _ => {
            let known = format!("the parameters are {PARAMETERS}");
            let name = printable(name);
            return Err(format!("the parameter {name} is unknown; {known}"));
        }
    }
    Ok(())
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    Ok(text
        .map_err(|_| "it has an escape that is not UTF-8")?
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> Host {
        Host {
            name: name.into(),
            port,
        }
    }

    #[test]
    fn every_part_of_a_url_is_read() {
        let url = "valkeys://al%40ice:p%3A%23@example.org:7000/3\
            ?prefix=app:1&timeout=0.5&wait=1&tls-ca=/etc/ca.pem";
        let address = Address::parse(url).unwrap();
        assert_eq!(address.place, Place::Tcp(host("example.org", 7000)));
        assert_eq!(address.user.as_deref(), Some("al@ice"));
        assert_eq!(address.password.as_deref(), Some("p:#"));
        assert_eq!((address.database, address.tls, address.wait), (3, true, 1));
        assert_eq!(address.prefix, "app:1");
        assert_eq!(address.timeout, Some(Duration::from_millis(500)));
        assert_eq!(address.certificates, Some("/etc/ca.pem".into()));
    }

    #[test]
    fn every_kind_of_server_has_a_scheme() {
        for (url, place, database) in [
            ("redis://h", Place::Tcp(host("h", 6379)), 0),
            ("redis://:pw@[::1]:7/", Place::Tcp(host("::1", 7)), 0),
            (
                "redis+unix:///run/a%20b.sock",
                Place::Unix("/run/a b.sock".into()),
                0,
            ),
            (
                "rediss+cluster://u:p@h1,h2:7001",
                Place::Cluster(vec![host("h1", 6379), host("h2", 7001)]),
                0,
            ),
            (
                "valkey+sentinel://h1,h2:7001/main/2",
                Place::Sentinel(vec![host("h1", 26379), host("h2", 7001)], "main".into()),
                2,
            ),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(
                (address.place, address.database),
                (place, database),
                "{url}"
            );
        }
    }

    #[test]
    fn a_wrong_url_is_refused_in_one_line_without_its_password() {
        for (url, why) in [
            (
                "postgres://secret@h",
                "the scheme postgres is unknown; use redis, rediss",
            ),
            ("rediss+unix:///secret", "is unknown"),
            (
                "redis://u:secret@h?durability=disk",
                "the parameters are prefix, timeout, wait",
            ),
            ("redis://u:secret@h:port", "the host h:port cannot be read"),
            ("redis://u:1?secret@h", "%3F"),
            ("redis://u:secret/x@h", "%2F"),
            ("redis://u:1/secret@h", "%2F"),
            ("redis://u:p@h/secret@h", "%2F"),
            ("redis://u:1#secret@h", "%23"),
            ("redis://h?x%40secret=1", "(not a name)"),
            ("redis://u:secret@h1,h2", "several hosts"),
            ("redis://u:secret@", "no host"),
            (
                "redis://u:secret@h/zero",
                "the database zero is not a number",
            ),
            ("redis+cluster://u:secret@h/1", "only the database 0"),
            ("redis+sentinel://u:secret@h", "name the primary"),
            ("redis+unix://u:secret@/", "path of a socket"),
            ("redis://u:secret@h?timeout=-1", "seconds"),
            ("redis://u:secret@h?timeout=NaN", "seconds"),
            ("redis://u:secret@h?wait=all", "replicas"),
            ("redis://u:secret@h?prefix=%7B", "letters"),
            ("redis://u:secret@h?tls-ca=x", "needs rediss"),
        ] {
            let error = Address::parse(url).err().unwrap().to_string();
            assert!(error.contains(why), "{url}: {error}");
            assert!(
                !error.contains("secret") && !error.contains('\n'),
                "{error}"
            );
        }
    }
}
