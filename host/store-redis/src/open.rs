//! Opening a store: the server, and the schema.

use std::sync::Arc;

use redis::Value;
use session3_store::StoreError;

use crate::address::Address;
use crate::connect::Login;
use crate::facts::Facts;
use crate::keys::{Keys, Tag};
use crate::server::{Body, Effect, Server};
use crate::stream;
use crate::{OpenError, Options, record};

/// What the key of the schema holds, before its version.
const SCHEMA: &str = "session3:";
/// The version of the schema that this release writes.
const VERSION: u64 = 1;

/// Connects twice: for requests, and for sweeps and walks.
pub(crate) async fn open(url: &str, options: &Options) -> Result<(Server, Server), OpenError> {
    let address = Address::parse(url)?;
    let login = login(&address, options)?;
    let keys = Arc::new(Keys::new(&address.prefix));
    let server = Server::new(&address, login.clone(), keys.clone(), true);
    let bulk = Server::new(&address, login, keys, false);
    connect(&server).await?;
    connect(&bulk).await?;
    if options.create {
        create(&server).await.map_err(refused)?;
    }
    check_schema(&server, &address.prefix).await?;
    Ok((server, bulk))
}

fn refused(error: StoreError) -> OpenError {
    OpenError::Server(match error {
        // It names the server.
        StoreError::Unavailable(why) => why,
        other => other.to_string(),
    })
}

fn login(address: &Address, options: &Options) -> Result<Login, OpenError> {
    let tls = match address.tls {
        true => Some(stream::tls(address.certificates.as_deref())?),
        false => None,
    };
    Ok(Login {
        user: address.user.clone(),
        password: options
            .password
            .clone()
            .or_else(|| address.password.clone()),
        database: address.database,
        resp2: options.resp2,
        tls,
        timeout: address.timeout.unwrap_or(options.timeout),
    })
}

async fn connect(server: &Server) -> Result<(), OpenError> {
    let facts = server.connect().await;
    let facts = facts.map_err(|error| OpenError::Connect(server.name.clone(), error))?;
    facts
        .iter()
        .try_for_each(|facts| check_server(server, facts))
}

fn check_server(server: &Server, facts: &Facts) -> Result<(), OpenError> {
    let name = server.name.clone();
    if !facts.is_new_enough() {
        return Err(OpenError::TooOld(name, facts.version.clone()));
    }
    if facts.evicts_sessions() {
        return Err(OpenError::Evicts(name, facts.eviction.clone()));
    }
    match (server.is_cluster(), facts.is_cluster) {
        (false, true) => {
            let why = "the server is a node of a Cluster; use redis+cluster://";
            Err(OpenError::WrongKind(name, why))
        }
        (true, false) => {
            let why = "the server is no node of a Cluster; use redis:// without +cluster";
            Err(OpenError::WrongKind(name, why))
        }
        _ => Ok(()),
    }
}

/// Writes the version of the schema, unless there is one.
pub(crate) async fn create(server: &Server) -> Result<(), StoreError> {
    let mut command = redis::cmd("SET");
    command
        .arg(server.keys.schema())
        .arg(format!("{SCHEMA}{VERSION}"))
        .arg("NX");
    let body = Body::Command(command);
    server.call(Tag::Store, Effect::Repeatable, &body).await?;
    Ok(())
}

async fn check_schema(server: &Server, prefix: &str) -> Result<(), OpenError> {
    let name = || server.name.clone();
    let not_ours = || OpenError::NotOurs(name(), server.keys.schema());
    let mut command = redis::cmd("GET");
    command.arg(server.keys.schema());
    let found = match server.read(Tag::Store, command).await {
        Ok(Value::BulkString(found)) => found,
        Ok(_) => return Err(OpenError::Missing(name(), prefix.into())),
        Err(error) if record::is_of_another_type(&error) => return Err(not_ours()),
        Err(error) => return Err(refused(error)),
    };
    let found = String::from_utf8(found).map_err(|_| not_ours())?;
    let version = found
        .strip_prefix(SCHEMA)
        .and_then(|version| version.parse().ok());
    match version.ok_or_else(not_ours)? {
        version if version > VERSION => Err(OpenError::Newer(name(), version)),
        _ => Ok(()),
    }
}
