//! The tests that the stores in PostgreSQL and MariaDB share, the proxy that disturbs their
//! connections, and the measurement of failovers. [`engine_tests!`] makes the tests of one store.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]
#![expect(
    missing_docs,
    reason = "the name of a test is the promise that it checks"
)]

pub mod calls;
pub mod dropped;
pub mod failovers;
pub mod histories;
pub mod index;
pub mod killed;
pub mod locks;
pub mod proxy;
pub mod sweeps;
pub mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use session3_store::SessionStore;
use session3_test_servers::Server;

/// A store and its servers.
pub trait Engine {
    /// The store.
    type Store: SessionStore + 'static;
    /// A server that a test kills.
    type Server: Server;

    /// Whether a server shows a change before the change is on its disk.
    const SHOWS_EARLY: bool;

    /// Starts a server that keeps what it has acknowledged.
    fn start() -> Self::Server;

    /// Returns the port of the server that tests share.
    fn shared_port() -> u16;

    /// Returns the URL of a table of the shared server, which is reached at this port.
    fn url(port: u16, table: &str) -> String;

    /// Opens a store whose operations may take this long, and creates its tables.
    fn open(url: &str, timeout: Duration) -> impl Future<Output = Arc<Self::Store>> + Send;

    /// Checks the index by user of a table of the shared server.
    fn assert_index_is_exact(store: &Self::Store, table: &str) -> impl Future<Output = ()>;
}

/// How long an operation of a store that is not disturbed may take: the default of the stores.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Returns the name of a table that no other test uses.
pub fn table() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("t_{}", NEXT.fetch_add(1, Ordering::SeqCst))
}

/// Returns the URL of a table of the shared server that no other test uses.
pub fn new_url<E: Engine>() -> String {
    E::url(E::shared_port(), &table())
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
            histories {
                what_clients_of_several_stores_see_has_an_order
                what_clients_see_has_an_order_although_connections_are_lost_and_silent
                what_clients_see_has_an_order_although_the_server_is_killed
            }
            killed {
                acknowledged_changes_survive_a_server_that_is_killed
                the_store_follows_a_server_that_starts_again
            }
            locks {
                the_lease_of_a_process_that_was_killed_ends_at_its_deadline
            }
            sweeps {
                of_two_sweepers_each_session_is_deleted_by_one
                a_sweep_keeps_what_another_process_saves_or_touches
            }
            writers {
                no_save_counts_twice_and_none_is_lost_among_lost_connections
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
