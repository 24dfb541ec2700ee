//! Making one connection: finding the server, logging in, and checking what it is.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError};
use thiserror::Error;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::address::{Host, Place};
use crate::facts::Facts;
use crate::sentinel;
use crate::stream::{ByteStream, connect_tcp, connect_unix};

/// Why there is no connection to the server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The system reported this error.
    #[error("the server cannot be reached ({0}); start it, or correct the URL")]
    Io(#[source] io::Error),
    /// The server did not answer in this time.
    #[error("the server did not answer within {0:?}")]
    Timeout(Duration),
    /// The connection with TLS failed.
    #[error("TLS failed ({0}); check `tls-ca` and the name of the host")]
    Tls(String),
    /// The server refuses the user or the password.
    #[error("the server refuses the login ({0}); check the user and the password")]
    Login(String),
    /// The server refuses a command that the store needs, or is not ready yet.
    #[error("the server refuses connections ({0})")]
    Refused(String),
    /// The server is a replica, which may lag behind and accepts no changes.
    #[error("the server is a replica; name the primary, or use redis+sentinel://")]
    Replica,
    /// No Sentinel knows the primary.
    #[error("no Sentinel names the primary ({0})")]
    Sentinel(String),
}

/// What moves the bytes of a connection. It ends when the connection is closed.
pub(crate) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection, and what moves its bytes.
pub(crate) struct Connected {
    pub(crate) connection: MultiplexedConnection,
    pub(crate) driver: Driver,
    pub(crate) facts: Facts,
}

/// What every connection of a store needs.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
    pub(crate) resp2: bool,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) timeout: Duration,
}

/// Connects to the primary at this place.
pub(crate) async fn connect(place: &Place, login: &Login) -> Result<Connected, ConnectError> {
    let connecting = async {
        let stream = match place {
            Place::Unix(path) => connect_unix(path).await?,
            Place::Tcp(host) => connect_tcp(host, login.tls.as_ref()).await?,
            Place::Sentinel(sentinels, name) => {
                let host = sentinel::primary(sentinels, name, login).await?;
                connect_tcp(&host, login.tls.as_ref()).await?
            }
            // Each node of a Cluster has a link of its own.
            Place::Cluster(hosts) => connect_tcp(first(hosts)?, login.tls.as_ref()).await?,
        };
        log_in(stream, &login.settings()).await
    };
    let connected = timeout(login.timeout, connecting).await;
    let connected = connected.map_err(|_| ConnectError::Timeout(login.timeout))??;
    match connected.facts.is_primary {
        true => Ok(connected),
        false => Err(ConnectError::Replica),
    }
}

fn first(hosts: &[Host]) -> Result<&Host, ConnectError> {
    let none = || ConnectError::Refused("there is no host".into());
    hosts.first().ok_or_else(none)
}

async fn log_in(
    stream: ByteStream,
    settings: &RedisConnectionInfo,
) -> Result<Connected, ConnectError> {
    let (mut connection, mut driver) = greet(stream, settings).await?;
    let command = redis::cmd("INFO");
    let info = tokio::select! {
        info = command.query_async::<String>(&mut connection) => info.map_err(refusal)?,
        () = &mut driver => return Err(refusal(closed())),
    };
    let facts = Facts::read(&info);
    if facts.is_loading {
        let why = "it is loading its data; try again later";
        return Err(ConnectError::Refused(why.into()));
    }
    Ok(Connected {
        connection,
        driver,
        facts,
    })
}

/// Logs in on a new stream of bytes.
pub(crate) async fn greet(
    stream: ByteStream,
    settings: &RedisConnectionInfo,
) -> Result<(MultiplexedConnection, Driver), ConnectError> {
    // The store has deadlines of its own.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let connecting = MultiplexedConnection::new_with_config(settings, stream, config);
    let (connection, driver) = connecting.await.map_err(refusal)?;
    Ok((connection, Box::pin(driver)))
}

impl Login {
    pub(crate) fn settings(&self) -> RedisConnectionInfo {
        let mut settings = self.settings_without_login().set_db(self.database);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        settings
    }

    pub(crate) fn settings_without_login(&self) -> RedisConnectionInfo {
        RedisConnectionInfo::default().set_protocol(match self.resp2 {
            true => ProtocolVersion::RESP2,
            false => ProtocolVersion::RESP3,
        })
    }
}

fn closed() -> RedisError {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}

/// Returns why a server refused the connection.
pub(crate) fn refusal(error: RedisError) -> ConnectError {
    let text = describe(&error);
    let is_login = matches!(error.code(), Some("WRONGPASS" | "NOAUTH"))
        || error.kind() == ErrorKind::AuthenticationFailed
        || text.contains("WRONGPASS")
        || text.contains("NOAUTH");
    match error.kind() {
        _ if is_login => ConnectError::Login(text),
        ErrorKind::Io => ConnectError::Io(io::Error::other(text)),
        _ => ConnectError::Refused(text),
    }
}

/// Returns the text of an error in one line.
pub(crate) fn describe(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    };
    text.replace(['\r', '\n'], " ")
}
