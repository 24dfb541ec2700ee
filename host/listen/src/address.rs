//! The text that names what a server listens on.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// The mode of a Unix socket without `mode=`: only the server's own user may connect.
const DEFAULT_MODE: u32 = 0o600;

/// What a server listens on.
///
/// | text | meaning |
/// | --- | --- |
/// | `127.0.0.1:8080`, `[::1]:8080` | TCP, on one IP address |
/// | `localhost:8080` | TCP, on all addresses of a host; port 0 chooses one that is free on all |
/// | `unix:/run/app.sock` | a Unix socket with mode 600 |
/// | `unix:/run/app.sock,mode=660` | a Unix socket with this mode, in octal digits |
/// | `systemd` | every socket that systemd passed to this process |
/// | `systemd:NAME` | the sockets that systemd passed with this `FileDescriptorName=` |
///
/// ```
/// use session3_listen::Address;
///
/// let address: Address = "unix:/run/app.sock,mode=660".parse()?;
/// assert_eq!(address.to_string(), "unix:/run/app.sock,mode=660");
/// let error = "8080".parse::<Address>().unwrap_err().to_string();
/// assert_eq!(error, "8080: the port is missing; write HOST:PORT, such as 127.0.0.1:8080");
/// # Ok::<(), session3_listen::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// All TCP addresses of a host.
    Tcp {
        /// An IP address without brackets, or a host name.
        host: String,
        /// The port; 0 chooses a free one.
        port: u16,
    },
    /// A socket in the file system.
    Unix {
        /// The path of its file.
        path: PathBuf,
        /// The permissions of its file. Connecting needs the permission to write.
        mode: u32,
    },
    /// Sockets that systemd opened and passed to this process.
    Systemd {
        /// The `FileDescriptorName=` of the sockets; `None` takes all.
        name: Option<String>,
    },
}

/// Why a text is no [`Address`].
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{}: {why}", text.escape_debug())]
pub struct AddressError {
    text: String,
    why: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let parsed = match text.split_once(':') {
            _ if text.chars().any(char::is_control) => Err("it contains a control character"),
            None if text == "systemd" => Ok(Self::Systemd { name: None }),
            Some(("systemd", name)) => systemd(name),
            Some(("unix", file)) => unix(file),
            _ => tcp(text),
        };
        parsed.map_err(|why| AddressError {
            text: text.to_owned(),
            why,
        })
    }
}

fn systemd(name: &str) -> Result<Address, &'static str> {
    // The characters that systemd allows in `FileDescriptorName=`.
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    match !name.is_empty() && name.len() < 256 && name.bytes().all(is_allowed) {
        true => Ok(Address::Systemd {
            name: Some(name.to_owned()),
        }),
        false => Err("write systemd:NAME, with the FileDescriptorName= of the .socket unit"),
    }
}

fn unix(text: &str) -> Result<Address, &'static str> {
    let (path, option) = match text.rsplit_once(',') {
        Some((path, option)) if option.contains('=') => (path, Some(option)),
        _ => (text, None),
    };
    if path.starts_with('@') {
        return Err(
            "abstract sockets are not supported, since every user may connect to them; \
             name a file, or write unix:./@NAME for one of this name",
        );
    }
    if path.is_empty() || path.ends_with('/') {
        return Err("name the file of the socket, as in unix:/run/app.sock");
    }
    let mode = option.map_or(Ok(DEFAULT_MODE), mode)?;
    let path = path.into();
    Ok(Address::Unix { path, mode })
}

fn mode(option: &str) -> Result<u32, &'static str> {
    let digits = option.strip_prefix("mode=");
    let digits = digits.ok_or("the only option of a Unix socket is mode, as in ,mode=660")?;
    let is_octal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if is_octal && digits.len() >= 3 && mode <= 0o777 => Ok(mode),
        _ => Err("the mode is three octal digits, such as 660"),
    }
}

fn tcp(text: &str) -> Result<Address, &'static str> {
    if text.contains('/') {
        return Err("write HOST:PORT without a scheme or a path; a Unix socket is unix:PATH");
    }
    const NO_PORT: &str = "the port is missing; write HOST:PORT, such as 127.0.0.1:8080";
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(match text.is_ascii() {
            true => NO_PORT,
            // Such as a full-width colon.
            false => "it has a character that only looks like an ASCII one; write HOST:PORT",
        });
    };
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').ok_or(NO_PORT)?,
        None if host.contains(':') => {
            return Err("write an IPv6 address in brackets, with a port, as in [::1]:8080");
        }
        None => host,
    };
    if host.contains(['[', ']']) {
        return Err("the host is in one pair of brackets or in none");
    }
    if host.is_empty() {
        return Err("the host is missing; write 0.0.0.0 or [::] for all addresses");
    }
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if is_number => Ok(Address::Tcp {
            host: host.to_owned(),
            port,
        }),
        _ => Err("the port is a number from 0 to 65535"),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path, mode } => {
                let path = path.display().to_string();
                // A path with `=` may end like an option.
                match *mode == DEFAULT_MODE && !path.contains('=') {
                    true => write!(f, "unix:{path}"),
                    false => write!(f, "unix:{path},mode={mode:03o}"),
                }
            }
            Self::Systemd { name: None } => f.write_str("systemd"),
            Self::Systemd { name: Some(name) } => write!(f, "systemd:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.into(),
            port,
        }
    }

    fn unix(path: &str, mode: u32) -> Address {
        Address::Unix {
            path: path.into(),
            mode,
        }
    }

    fn systemd(name: Option<&str>) -> Address {
        Address::Systemd {
            name: name.map(Into::into),
        }
    }

    #[test]
    fn every_kind_of_address_is_read_and_written() {
        for (text, address) in [
            ("127.0.0.1:8080", tcp("127.0.0.1", 8080)),
            ("[::1]:80", tcp("::1", 80)),
            ("[fe80::1%eth0]:80", tcp("fe80::1%eth0", 80)),
            ("localhost:0", tcp("localhost", 0)),
            ("systemd.example:1", tcp("systemd.example", 1)),
            ("unix:/run/a.sock", unix("/run/a.sock", 0o600)),
            ("unix:a.sock,mode=660", unix("a.sock", 0o660)),
            ("unix:/a,b.sock,mode=007", unix("/a,b.sock", 0o007)),
            ("unix:/a,b.sock", unix("/a,b.sock", 0o600)),
            ("unix:./@a", unix("./@a", 0o600)),
            ("unix:/a,b=c,mode=600", unix("/a,b=c", 0o600)),
            ("systemd", systemd(None)),
            ("systemd:http.socket", systemd(Some("http.socket"))),
        ] {
            assert_eq!(text.parse::<Address>(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string(), text);
        }
        assert_eq!("[localhost]:8".parse(), Ok(tcp("localhost", 8)));
        assert_eq!("unix:/a,mode=0600".parse(), Ok(unix("/a", 0o600)));
    }

    #[test]
    fn a_wrong_address_is_refused_in_one_line() {
        for (text, why) in [
            ("", "the port is missing"),
            ("8080", "the port is missing"),
            ("localhost", "the port is missing"),
            ("127.0.0.1\u{ff1a}80", "only looks like"),
            ("[::1]", "the port is missing"),
            ("[::1:80", "the port is missing"),
            ("::1:80", "in brackets"),
            ("[[]:1", "one pair of brackets"),
            ("h]:1", "one pair of brackets"),
            (":8080", "0.0.0.0"),
            ("[]:8080", "0.0.0.0"),
            ("h:", "from 0 to 65535"),
            ("h:+80", "from 0 to 65535"),
            ("h:65536", "from 0 to 65535"),
            ("http://h:80", "without a scheme"),
            ("h:80/x", "without a scheme"),
            ("unix:", "name the file"),
            ("unix:/run/", "name the file"),
            ("unix:,mode=660", "name the file"),
            ("unix:@abstract", "abstract"),
            ("unix:\0abstract", "control"),
            ("h:80\n", "control"),
            ("unix:/a,mode=", "octal"),
            ("unix:/a,mode=66", "octal"),
            ("unix:/a,mode=680", "octal"),
            ("unix:/a,mode=4777", "octal"),
            ("unix:/a,mode=+66", "octal"),
            ("unix:/a,owner=www", "the only option"),
            ("systemd:", "FileDescriptorName"),
            ("systemd:a:b", "FileDescriptorName"),
            ("systemd:a b", "FileDescriptorName"),
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains(why), "{text:?}: {error}");
            assert!(!error.contains(char::is_control), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic_and_what_is_read_is_written_alike(
            text in "(unix:|systemd:|)[a-z0-9:@,=/%.\\[\\]]{0,20}|\\PC{0,20}"
        ) {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
    }
}
