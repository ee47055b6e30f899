//! What every transport must do, as tests over raw bytes against a server in this process.
//!
//! `transport_suite!(name: CARRIER; group group …)` makes a module of one `#[test]` per case. The groups:
//!
//! | group | for |
//! | --- | --- |
//! | `every` | whatever carries events: the dialects too |
//! | `product` | what carries the product's frames, codes and options |
//! | `endless` | what stays open: HTTP stream, SSE and the two-way ones |
//! | `http` | what reads by HTTP requests: all but the two-way ones |
//! | `two_way`, `poll`, `long_poll` | these |

#![allow(clippy::unwrap_used, reason = "a suite fails by panicking")]
#![allow(missing_docs, reason = "each case is named by what it proves")]

pub mod begin;
pub mod data;
pub mod endless;
pub mod http;
pub mod limits;
pub mod long_poll;
pub mod order;
pub mod pace;
pub mod poll;
pub mod resume;
pub mod two_way;

mod ground;

use std::future::Future;

pub use ground::Ground;

use crate::carriers::WITHIN;

/// Runs a case to its end on a runtime of two workers, so that two sweepers work. Heartbeats keep a reader that waits
/// for something else alive, so the whole has a bound too.
pub fn block_on<T>(case: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let bounded = async { tokio::time::timeout(3 * WITHIN, case).await.expect("the case does not end") };
    runtime.expect("a runtime starts").block_on(bounded)
}

/// Makes one `#[test]` of each case, see [`mod@crate::transport_suite`].
#[macro_export]
macro_rules! transport_suite {
    ($name:ident: $carrier:expr; $($group:ident)+) => {
        mod $name {
            use super::*;
            $($crate::transport_suite!(@$group $carrier);)+
        }
    };
    (@every $carrier:expr) => {
        $crate::transport_suite!(@cases $carrier;
            begin: start_begins_with_everything_and_now_with_what_comes;
            data: pretty_printed_json_comes_out_normalised_on_one_line
                what_tears_lines_elsewhere_passes_inside_strings
                a_string_of_64_kib_passes_and_one_byte_more_is_refused;
            order: two_channels_in_both_logs_keep_the_order_of_each_log
                every_cursor_over_both_logs_goes_on_exactly_behind_it
                a_prefix_follows_channels_that_come_later;
            resume: resume_in_mid_batch_repeats_nothing
                trimming_while_away_is_told_in_its_place
                trimming_during_catch_up_is_told_in_its_place
                a_new_epoch_is_told_and_what_came_since_is_delivered
                signals_are_delivered_and_never_a_gap;
            pace: a_reader_that_stops_reading_gets_all_later
                news_wakes_whoever_waits;
        );
    };
    (@product $carrier:expr) => {
        $crate::transport_suite!(@cases $carrier;
            begin: last_begins_with_the_last_of_each_channel;
            data: binary_data_comes_out_as_it_went_in;
            pace: an_abrupt_close_frees_the_feed;
            limits: a_thousand_channels_pass_and_one_more_is_refused
                last_is_at_most_a_thousand;
        );
    };
    (@endless $carrier:expr) => {
        $crate::transport_suite!(@cases $carrier;
            endless: the_welcome_comes_first_and_its_feed_has_a_cursor_before_any_event
                caught_up_is_said_once
                silence_is_broken_by_heartbeats
                a_server_that_stops_says_drain;
        );
    };
    (@http $carrier:expr) => {
        $crate::transport_suite!(@cases $carrier;
            http: the_post_form_gives_the_same_as_the_get_form
                last_event_id_wins_over_after
                thirty_two_channels_in_the_url_pass_and_one_more_is_refused
                a_query_of_more_than_8_kib_is_refused
                a_body_of_more_than_1_mib_is_refused;
        );
    };
    (@two_way $carrier:expr) => {
        $crate::transport_suite!(@cases $carrier;
            two_way: a_second_subscribe_has_its_backlog_and_moves_no_cursor
                what_is_followed_already_is_refused
                what_is_left_comes_no_more
                a_frame_of_more_than_1_mib_ends_the_connection_with_the_reason;
        );
    };
    (@poll $carrier:expr) => {
        $crate::transport_suite!(@cases $carrier;
            poll: the_same_question_with_the_same_outcome_is_answered_304
                an_answer_that_is_full_says_that_there_is_more;
        );
    };
    (@long_poll $carrier:expr) => {
        $crate::transport_suite!(@cases $carrier;
            long_poll: an_empty_answer_is_200_with_the_cursor
                the_preferred_wait_is_applied_and_said
                a_server_that_stops_answers_what_it_holds
                the_next_request_follows_a_held_answer_on_its_connection
                a_connection_that_may_not_go_on_ends_with_the_held_answer;
        );
    };
    (@cases $carrier:expr; $($subject:ident: $($case:ident)*;)*) => {
        $($(
            #[test]
            fn $case() {
                $crate::transport_suite::block_on($crate::transport_suite::$subject::$case(&$carrier));
            }
        )*)*
    };
}
