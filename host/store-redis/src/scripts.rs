//! The scripts that the server runs. Each is one atomic step within one slot of a Cluster.

use std::borrow::Cow;
use std::sync::LazyLock;

use redis::{Cmd, Script};

/// A script, with its hash and its source.
pub struct ServerScript {
    pub source: &'static str,
    hash: LazyLock<String>,
}

/// An argument of a script.
pub(crate) type Argument<'a> = Cow<'a, [u8]>;

/// Returns a number in decimal digits, as an argument.
pub(crate) fn decimal(number: u64) -> Argument<'static> {
    number.to_string().into_bytes().into()
}

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(
            pub static $name: ServerScript = ServerScript {
                source: include_str!($file),
                hash: LazyLock::new(|| Script::new(include_str!($file)).get_hash().to_owned()),
            };
        )*
    };
}

scripts! {
    WRITE = "scripts/write.lua";
    TOUCH = "scripts/touch.lua";
    DELETE = "scripts/delete.lua";
    SWEEP = "scripts/sweep.lua";
    EVICTED = "scripts/evicted.lua";
    MISSING = "scripts/missing.lua";
    SURPLUS = "scripts/surplus.lua";
    LOCK = "scripts/lock.lua";
    UNLOCK = "scripts/unlock.lua";
}

impl ServerScript {
    /// Returns the command that runs the script: by its hash, or with its source, which the
    /// server then keeps.
    ///
    /// The first argument of each script says whether an earlier attempt may have been
    /// carried out.
    pub(crate) fn command(
        &self,
        with_source: bool,
        is_repeated: bool,
        keys: &[String],
        arguments: &[Argument<'_>],
    ) -> Cmd {
        let mut command = Cmd::new();
        match with_source {
            true => command.arg("EVAL").arg(self.source),
            false => command.arg("EVALSHA").arg(self.hash.as_str()),
        };
        command.arg(keys.len()).arg(keys);
        command.arg(if is_repeated { "1" } else { "0" });
        for argument in arguments {
            command.arg(&**argument);
        }
        command
    }
}
