//! A server that is not the one a cursor came from: restored from a backup, or another one altogether. Readers are told a
//! gap, over every transport, and never a wrong event.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::json;
use sosik_lab::checker::{self, History, Observed, Reader};
use sosik_testkit::carriers::{SIX, TCP};
use sosik_tests::{
    scratch::Scratch,
    sosik::{Serve, Sosik, run},
};

use crate::{
    block_on,
    burst::Outcomes,
    follower::Follower,
    past,
    up::{Up, place, publish},
};

// Mutants: an epoch that is not new; one whose base is the start -> both fail.
#[test]
fn after_a_restore_old_readers_are_told_a_gap_and_never_a_wrong_event() {
    block_on(async {
        let scratch = Scratch::new().unwrap();
        let directory = |name: &str| scratch.path().join(name);
        let (first, copy, second) = (directory("first"), directory("copy"), directory("second"));
        let outcomes = Outcomes::default();
        let server = serve().start(&first, scratch.path()).await.unwrap();
        say(&server, &outcomes, 0..20).await;
        // One of each transport knows what the backup has, and another one also what it has not.
        let mut early = readers("early");
        let mut late = readers("late");
        catch_up(&mut early, &server).await;
        command(&["backup", copy.to_str().unwrap(), "--data", first.to_str().unwrap()]).await;
        say(&server, &outcomes, 20..30).await;
        catch_up(&mut late, &server).await;
        server.kill().await;

        command(&["restore", copy.to_str().unwrap(), "--data", second.to_str().unwrap()]).await;
        let server = serve().start(&second, scratch.path()).await.unwrap();
        say(&server, &outcomes, 30..50).await;
        let fresh = vec![Follower::new("fresh", &["talk:*"], vec![&TCP], Rng::new())];
        let mut all = Vec::new();
        for (expected, followers) in
            [((true, 20 + 20), early), ((true, 30 + 20), late), ((false, 20 + 20), fresh)]
        {
            for follower in followers {
                let reader = follower.drain(&place(&server)).await;
                let events =
                    reader.seen.iter().filter(|seen| matches!(seen.item, Observed::Event(_))).count();
                assert_eq!((is_told_a_new_epoch(&reader), events), expected, "{}", reader.name);
                all.push(reader);
            }
        }
        judge(&outcomes, all);
        let numbers: Vec<_> =
            past(&place(&server), "talk:1").await.iter().map(|(_, data)| data.clone()).collect();
        let expected: Vec<_> = (0..20).chain(30..50).map(|number| json!(number).to_string()).collect();
        assert_eq!(numbers, expected, "what the backup had, and what came since");
    });
}

// Mutant: every log with the same epoch -> fails.
#[test]
fn a_cursor_of_another_server_is_answered_with_a_gap_and_all_that_is_there() {
    block_on(async {
        let scratch = Scratch::new().unwrap();
        let outcomes = Outcomes::default();
        let one = serve().start(&scratch.path().join("one"), scratch.path()).await.unwrap();
        let other = serve().start(&scratch.path().join("other"), scratch.path()).await.unwrap();
        say(&one, &outcomes, 0..30).await;
        let mut readers = readers("moved");
        catch_up(&mut readers, &one).await;
        say(&other, &outcomes, 30..50).await;
        let mut all = Vec::new();
        for follower in readers {
            let reader = follower.drain(&place(&other)).await;
            assert!(is_told_a_new_epoch(&reader), "{} was told nothing", reader.name);
            all.push(reader);
        }
        judge(&outcomes, all);
    });
}

/// Every epoch but the one that was acknowledged last has ended.
fn judge(outcomes: &Outcomes, readers: Vec<Reader>) {
    let (acked, uncertain) = outcomes.told();
    let last = acked.last().map(|ack| ack.epoch.clone());
    let epochs: BTreeSet<_> = acked.iter().map(|ack| ack.epoch.clone()).collect();
    let ended_epochs = epochs.into_iter().filter(|epoch| Some(epoch) != last.as_ref()).collect();
    let verdict = checker::check(&History { acked, uncertain, ended_epochs, readers, ..History::default() });
    assert!(verdict.violations.is_empty(), "{verdict}");
    assert_eq!(verdict.counts.dropped, 0, "something came twice: {verdict}");
}

fn is_told_a_new_epoch(reader: &Reader) -> bool {
    reader.seen.iter().any(|seen| matches!(&seen.item, Observed::Gap(gap) if gap.reason == "epoch"))
}

/// A reader per transport, from the start.
fn readers(what: &str) -> Vec<Follower> {
    let reader = |carrier: &&'static dyn sosik_testkit::carriers::Carrier| {
        Follower::new(&format!("{what} by {}", carrier.name()), &["talk:*"], vec![*carrier], Rng::new())
    };
    SIX.iter().map(reader).collect()
}

async fn catch_up(readers: &mut [Follower], server: &Sosik) {
    for reader in readers {
        reader.catch_up(&place(server)).await;
    }
}

/// Publishes numbers, no two alike.
async fn say(server: &Sosik, outcomes: &Outcomes, numbers: std::ops::Range<u64>) {
    let mut up = Up::open(&TCP, &place(server)).await.unwrap();
    for number in numbers {
        let ok = up.say(&publish(number, "talk:1", &json!(number))).await.unwrap();
        assert_eq!(ok["type"], "ok", "{ok}");
        outcomes.note("talk:1", &json!(number), &ok);
    }
}

async fn command(args: &[&str]) {
    let ran = run(&[], args).await.unwrap();
    assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn serve() -> Serve {
    Serve::open(&[("talk", "")])
}
