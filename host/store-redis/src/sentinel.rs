//! Asking Sentinels for the primary.

use redis::RedisConnectionInfo;

use crate::ConnectError;
use crate::address::Host;
use crate::connect::{Login, greet, refusal};
use crate::stream::connect_tcp;

/// Returns the address of the primary, from the first Sentinel that knows it.
pub(crate) async fn primary(
    sentinels: &[Host],
    name: &str,
    login: &Login,
) -> Result<Host, ConnectError> {
    // A Sentinel that does not answer must leave time for the next ones.
    let patience = login.timeout / (sentinels.len() as u32 + 1);
    let mut reasons = Vec::new();
    for sentinel in sentinels {
        let asking = ask(sentinel, name, login);
        match tokio::time::timeout(patience, asking).await {
            Ok(Ok(host)) => return Ok(host),
            Ok(Err(error)) => reasons.push(format!("{sentinel}: {error}")),
            Err(_) => reasons.push(format!("{sentinel}: no answer within {patience:?}")),
        }
    }
    Err(ConnectError::Sentinel(reasons.join("; ")))
}

async fn ask(sentinel: &Host, name: &str, login: &Login) -> Result<Host, ConnectError> {
    let without = login.settings_without_login();
    match ask_with(sentinel, name, login, &without).await {
        // Sentinels that need a login have the one of the server.
        Err(ConnectError::Login(_)) if login.password.is_some() => {
            let settings = login.settings().set_db(0);
            ask_with(sentinel, name, login, &settings).await
        }
        other => other,
    }
}

async fn ask_with(
    sentinel: &Host,
    name: &str,
    login: &Login,
    settings: &RedisConnectionInfo,
) -> Result<Host, ConnectError> {
    let stream = connect_tcp(sentinel, login.tls.as_ref()).await?;
    let (mut connection, driver) = greet(stream, settings).await?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("get-master-addr-by-name").arg(name);
    let answer = tokio::select! {
        answer = command.query_async::<Option<(String, u16)>>(&mut connection) => answer,
        () = driver => return Err(ConnectError::Sentinel("it closed the connection".into())),
    };
    let unknown = || ConnectError::Sentinel(format!("it knows no primary {name}"));
    let (name, port) = answer.map_err(refusal)?.ok_or_else(unknown)?;
    Ok(Host { name, port })
}
