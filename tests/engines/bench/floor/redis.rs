//! The scripts of the store, with the client library `redis` on one connection.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, Script, Value};
use session3_store::{SessionId, SessionState, Version};
use session3_store_redis::scripts::{DELETE, TOUCH, WRITE};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use super::nonce;
use crate::contest::{Operate, Operation};
use crate::sessions::EXPIRES;

/// The bare scripts.
pub struct Floor {
    connection: MultiplexedConnection,
    prefix: String,
    write: String,
    touch: String,
    delete: String,
}

impl Floor {
    /// Connects as the store does.
    pub async fn connect(port: u16, prefix: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let settings = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connecting = MultiplexedConnection::new_with_config(&settings, stream, config);
        let (mut connection, driver) = connecting.await.unwrap();
        tokio::spawn(driver);
        let mut hashes = Vec::new();
        for script in [&WRITE, &TOUCH, &DELETE] {
            let script = Script::new(script.source);
            script.load_async(&mut connection).await.unwrap();
            hashes.push(script.get_hash().to_owned());
        }
        let [write, touch, delete] = hashes.try_into().unwrap();
        Self {
            connection,
            prefix: prefix.to_owned(),
            write,
            touch,
            delete,
        }
    }

    /// Returns the name of a key in the slot of a session.
    fn key(&self, id: &SessionId, name: &str) -> String {
        format!("{{{}:{:02x}}}:{name}", self.prefix, id.prefix())
    }

    fn script(&self, hash: &str, keys: &[String]) -> Cmd {
        let mut command = Cmd::new();
        command.arg("EVALSHA").arg(hash).arg(keys.len()).arg(keys);
        // No earlier attempt was made.
        command.arg("0");
        command
    }

    fn keys(&self, id: &SessionId) -> [String; 3] {
        let session = format!("s:{id}");
        [
            self.key(id, &session),
            self.key(id, "ids"),
            self.key(id, "u"),
        ]
    }

    fn write(&self, id: &SessionId, state: &SessionState, expected: Option<Version>) -> Cmd {
        let user = state.user.as_deref();
        let hash = user.map(|user| Sha256::digest(user).to_vec());
        let mut command = self.script(&self.write, &self.keys(id));
        let is_once = if expected.is_some() { "0" } else { "1" };
        command.arg("").arg(is_once);
        match expected {
            Some(version) => command.arg(version).arg(version + 1),
            None => command.arg("").arg(1),
        };
        command
            .arg(nonce().to_le_bytes().as_slice())
            .arg("")
            .arg(state.expires)
            .arg(state.data.as_slice())
            .arg(id.to_string())
            .arg(hash.unwrap_or_default())
            .arg(user.unwrap_or_default());
        command
    }

    fn command(
        &self,
        operation: Operation,
        id: &SessionId,
        state: &SessionState,
        version: Version,
    ) -> Cmd {
        match operation {
            Operation::Create => self.write(id, state, None),
            Operation::Save => self.write(id, state, Some(version)),
            Operation::Load => {
                let mut command = redis::cmd("HMGET");
                command.arg(self.key(id, &format!("s:{id}")));
                command.arg(&["v", "m", "e", "u", "d"]);
                command
            }
            Operation::Touch => {
                let key = self.key(id, &format!("s:{id}"));
                let mut command = self.script(&self.touch, &[key]);
                command.arg("").arg(version).arg(EXPIRES);
                command
            }
            Operation::Delete => {
                let mut command = self.script(&self.delete, &self.keys(id));
                command.arg(id.to_string());
                command
            }
        }
    }
}

impl Operate for Floor {
    async fn operate(
        &self,
        operation: Operation,
        id: &SessionId,
        state: &SessionState,
        version: Version,
    ) {
        let command = self.command(operation, id, state, version);
        let mut connection = self.connection.clone();
        let answer = connection.send_packed_command(&command).await.unwrap();
        let Value::Array(values) = answer else {
            panic!("{operation}: {answer:?}");
        };
        let is_done = match operation {
            Operation::Load => matches!(values[4], Value::BulkString(_)),
            _ => matches!(&values[0], Value::BulkString(word) if word == b"ok"),
        };
        assert!(is_done, "{operation}: {values:?}");
    }
}
