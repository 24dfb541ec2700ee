//! The tests that the stores in PostgreSQL and MariaDB share, and the proxy that disturbs their
//! connections. [`engine_tests!`] makes the tests of one store.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]
#![expect(
    missing_docs,
    reason = "the name of a test is the promise that it checks"
)]

pub mod dropped;
pub mod killed;
pub mod locks;
pub mod proxy;
pub mod sweeps;

use std::sync::Arc;

use session3_store::SessionStore;
use session3_test_servers::Server;

/// A store and its servers.
pub trait Engine {
    /// A server that a test kills.
    type Server: Server;

    /// Starts a server that keeps what it has acknowledged.
    fn start() -> Self::Server;

    /// Returns the URL of a store on the server that tests share. No other test uses the store.
    fn new_url() -> String;

    /// Opens a store, and creates its tables.
    fn open(url: &str) -> impl Future<Output = Arc<dyn SessionStore>> + Send;
}

/// Makes the shared tests of a store, whose [`Engine`] it takes. Each module of this crate
/// becomes a module of the tests.
#[macro_export]
macro_rules! engine_tests {
    ($engine:ty) => {
        $crate::engine_tests! { $engine =>
            dropped {
                a_dropped_change_has_taken_effect_or_not
                a_dropped_request_for_a_lock_leaves_no_lock
                a_dropped_sweep_is_in_the_way_of_no_other
            }
            killed {
                acknowledged_changes_survive_a_server_that_is_killed
            }
            locks {
                the_lease_of_a_process_that_was_killed_ends_at_its_deadline
            }
            sweeps {
                of_two_sweepers_each_session_is_deleted_by_one
                a_sweep_keeps_what_another_process_saves_or_touches
            }
        }

        #[test]
        #[ignore = "runs in the process that a test of locks kills"]
        fn holder() {
            $crate::locks::holder::<$engine>();
        }
    };
    ($engine:ty => $($module:ident { $($test:ident)* })*) => {
        $(mod $module {
            use super::*;

            $(#[test]
            fn $test() {
                $crate::$module::$test::<$engine>();
            })*
        })*
    };
}
