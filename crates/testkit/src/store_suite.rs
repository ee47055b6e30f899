//! What every store must do: the promises of [`sosik_core::store`] as tests.
//!
//! `store_suite!(make)` in a test file of an engine makes one `#[test]` of each case. `make` is a
//! `Fn(u64) -> Arc<dyn Store>` that gives an empty store; the number is a seed for what the engine may do at random.
//! `store_suite!(make, seeds = 50)` sets how many seeds the random cases run at least (default 200). The suite holds an
//! engine to nothing but the trait: pages may be shorter than asked, positions may have holes, news may come late.

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]

pub mod append;
pub mod follow;
pub mod memos;
pub mod model;
pub mod read;
pub mod remove;

mod hand;
mod listener;

use std::{fmt, future::Future, sync::Arc};

use sosik_core::store::Store;

pub use hand::{ALL, channel, check_before, check_page, entry, space};
pub use listener::Listener;

/// Makes the stores that the cases run on.
pub struct Maker {
    make: Box<dyn Fn(u64) -> Arc<dyn Store>>,
    /// How many seeds a random case runs at least.
    pub seeds: u64,
}

impl Maker {
    /// From a function that gives an empty store.
    pub fn new(make: impl Fn(u64) -> Arc<dyn Store> + 'static, seeds: u64) -> Self {
        Self { make: Box::new(make), seeds }
    }

    /// An empty, opened store.
    pub async fn store(&self, seed: u64) -> Arc<dyn Store> {
        let store = (self.make)(seed);
        store.open().await.expect("a fresh store opens");
        store
    }
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "maker of stores, {} seeds", self.seeds)
    }
}

/// Runs a case to its end on a runtime of one thread.
pub fn block_on<T>(case: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime of one thread starts").block_on(case)
}

/// Makes one `#[test]` of each case of the suite, see [`mod@crate::store_suite`].
#[macro_export]
macro_rules! store_suite {
    ($make:expr) => { $crate::store_suite!($make, seeds = 200); };
    ($make:expr, seeds = $seeds:expr) => {
        $crate::store_suite!(@cases $make, $seeds;
            append: positions_rise_seq_counts_and_prev_links
                a_batch_over_many_channels_chains_each_of_them
                a_batch_with_one_wrong_guard_stores_nothing
                a_wrong_guard_is_a_conflict
                a_wrong_link_inside_a_batch_is_a_conflict
                a_first_event_takes_its_number_from_its_position
                a_batch_sent_again_is_answered_with_its_places
                a_batch_that_conflicted_may_be_stored_later
                positions_are_never_used_twice;
            read: pages_join_at_every_boundary
                ranges_join_at_every_boundary
                pages_backwards_join_at_every_boundary
                a_page_holds_at_least_one_event_and_respects_its_limits
                a_page_after_a_trim_tells_the_mark
                what_does_not_exist_is_read_as_nothing
                a_namespace_answers_all_its_records_and_no_other
                ten_thousand_channels;
            remove: a_trim_raises_the_mark_and_keeps_the_record
                a_channel_trimmed_to_nothing_goes_on
                a_mark_never_falls
                a_forgotten_channel_leaves_only_the_mark
                a_reused_name_never_goes_back
                forgetting_nothing_answers_the_present_mark;
            follow: follow_tells_everything_above_its_place
                follow_goes_on_while_events_come
                two_followers_hear_the_same
                a_cancelled_wait_loses_nothing
                a_waiting_follower_is_woken_by_a_trim_and_by_a_forgotten_channel
                a_trim_is_told_before_the_event_behind_it
                what_is_removed_before_it_was_told_is_told_as_removed
                a_reused_name_is_told_as_forgotten_first
                signals_are_told_and_counted_but_in_no_page
                appends_from_many_threads_are_told_once_and_in_order;
            memos: a_memo_comes_back_with_the_places_of_its_entries
                a_memo_replaces_the_one_under_its_key
                a_memo_is_stored_with_its_batch_or_not_at_all
                the_newest_so_many_memos_are_held
                a_memo_is_let_go_of_when_it_is_old
                what_is_due_at_once_goes_little_by_little
                memos_are_what_the_diary_says;
            model: a_store_does_what_the_naive_model_does;
        );
    };
    (@cases $make:expr, $seeds:expr; $($subject:ident: $($case:ident)*;)*) => {
        $($(
            #[test]
            fn $case() {
                let maker = $crate::store_suite::Maker::new($make, $seeds);
                $crate::store_suite::block_on($crate::store_suite::$subject::$case(&maker));
            }
        )*)*
    };
}
