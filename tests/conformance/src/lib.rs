//! The conformance suite of session3: the promises of
//! [`SessionStore`](session3_store::SessionStore) as tests for any store.
//!
//! The author of a store writes a function that creates an empty store, and calls the macro
//! [`conformance_suite!`]:
//!
//! ```
//! # mod tests {
//! use std::sync::Arc;
//!
//! use session3_store::MemoryStore;
//! use session3_store_tests::{Given, TestClock, conformance_suite};
//!
//! async fn memory() -> Given {
//!     let clock = TestClock::default();
//!     let store = Arc::new(MemoryStore::new(clock.reader()));
//!     Given::new(store, clock)
//! }
//!
//! conformance_suite!(memory);
//! # }
//! ```
//!
//! Call the macro in a module, not in a function. It defines a module `memory` with one test for each promise, and one test that
//! compares random sequences of operations with a model. A test with random numbers prints
//! their seed; set `SEED` in the environment to that seed to repeat the test.
//!
//! Describe the store with `Given::damage_with`, `multiprocess_safe` and `without_import`. Without
//! `damage_with`, the test of damaged records checks nothing.
//!
//! The promise [`promises::waiting_for_a_lock_in_vain_ends_with_busy`] waits for the lease of
//! another request until the store's lock timeout ends, so it is not part of the suite. Call it in a test of a store with a
//! short timeout.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod given;
pub mod model;
pub mod promises;
pub mod random;

pub use given::{Given, TestClock};

/// Creates a store and runs a test with it, on a runtime with several threads.
#[doc(hidden)]
pub fn run<F: Future<Output = Given>>(make: impl FnOnce() -> F, test: impl AsyncFnOnce(Given)) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { test(make().await).await });
}

/// Defines a module with the tests of the suite for a store.
///
/// The argument is the name of an asynchronous function without arguments, which returns a
/// [`Given`] with an empty store. The module has the name of the function. Each test calls
/// the function once, except for the comparison with the [`model`], which calls it for every
/// sequence of operations.
///
/// # Examples
///
/// ```
/// # mod tests {
/// use std::sync::Arc;
///
/// use session3_store::MemoryStore;
/// use session3_store_tests::{Given, TestClock, conformance_suite};
///
/// async fn memory() -> Given {
///     let clock = TestClock::default();
///     let store = Arc::new(MemoryStore::new(clock.reader()));
///     Given::new(store, clock)
/// }
///
/// conformance_suite!(memory);
/// # }
/// ```
#[macro_export]
macro_rules! conformance_suite {
    ($store:ident) => {
        mod $store {
            $crate::conformance_suite! { @each super::$store;
                what_was_created_is_loaded_back
                an_absent_session_is_an_answer_and_no_error
                a_create_never_replaces_a_session
                a_save_replaces_the_whole_state_and_counts_up
                a_save_of_another_version_changes_nothing
                a_save_after_a_delete_is_refused
                a_touch_moves_the_times_and_nothing_else
                a_touch_of_another_version_changes_nothing
                a_deleted_session_is_gone_and_deleting_nothing_is_fine
                an_expired_session_is_returned_until_something_deletes_it
                sessions_do_not_disturb_each_other
                states_of_all_sizes_come_back_as_they_were
                setup_again_changes_nothing
                of_many_creates_of_one_id_exactly_one_succeeds
                of_many_saves_of_one_version_exactly_one_succeeds
                a_clock_that_jumps_back_does_no_harm
                a_walk_sees_every_session_once
                pages_hold_no_more_than_they_may
                a_walk_under_way_sees_what_stays_exactly_once
                a_cursor_that_is_none_is_refused
                the_sessions_of_a_user_are_all_of_them_and_nobody_elses
                a_sweep_deletes_what_is_old_or_expired_and_nothing_else
                a_sweep_leaves_what_was_used_meanwhile
                a_state_may_have_any_user
                a_lock_keeps_other_locks_away_and_nothing_else
                a_lock_ends_when_its_time_is_over
                of_many_who_lock_one_has_it_at_a_time
                a_lock_ends_with_the_task_that_has_it
                it_says_who_may_use_it_at_once
                a_state_that_is_too_large_is_refused_and_changes_nothing
                a_damaged_session_is_named_and_stays_until_it_is_deleted
                a_sweep_that_stops_goes_on
                of_many_sweeps_at_once_each_is_done_or_refused
                an_import_keeps_version_and_times
                an_import_replaces_a_session_by_any_of_its_versions
                an_import_of_something_unexpected_changes_nothing
            }

            #[test]
            fn random_sequences_of_operations_agree_with_the_model() {
                $crate::model::check(super::$store);
            }
        }
    };
    (@each $make:path; $($promise:ident)*) => {
        $(
            #[test]
            fn $promise() {
                $crate::run($make, $crate::promises::$promise);
            }
        )*
    };
}
