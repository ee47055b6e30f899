//! Sync before ack, which `kill -9` cannot show because the system keeps what was written: seen from outside, by `strace`.

use std::collections::BTreeMap;

use serde_json::json;
use sosik_testkit::carriers::{Carrier, POLL, TCP, WEBSOCKET};
use sosik_tests::{
    scratch::Scratch,
    sosik::Serve,
    strace::{Step, Strace},
};
use tokio::task::JoinSet;

use crate::{
    block_on,
    up::{Up, place, publish},
};

// Mutants: no sync in the commit; the answers sent between write and sync; the head moved before the commit -> all fail.
#[test]
fn each_ack_comes_after_a_sync_that_began_after_its_write() {
    let seen = block_on(traced(1, 30));
    assert!(seen.syncs >= 30, "one sync cannot cover two that did not overlap: {seen:?}");
}

// Mutants: as above; commits of one event each -> all fail.
#[test]
fn sixty_four_at_a_time_share_syncs_and_each_ack_comes_after_its_own() {
    let seen = block_on(traced(64, 8));
    assert!(seen.syncs * 2 < seen.acks, "no group commit: {seen:?}");
}

/// What a trace came to.
#[derive(Debug)]
struct Seen {
    acks: usize,
    syncs: usize,
}

/// Publishes over `at_once` connections, `each` events over each, under strace; panics at an ack, or a delivery to the
/// reader beside them, before its sync.
async fn traced(at_once: usize, each: u64) -> Seen {
    let scratch = Scratch::new().unwrap();
    let serve = Serve::open(&[("talk", "")]);
    let server = serve.start(&scratch.path().join("data"), scratch.path()).await.unwrap();
    let strace = Strace::attach(server.pid(), &["-e", CALLS, "-e", SLOWER], scratch.path()).await.unwrap();
    let mut reader = crate::follow(&server, &WEBSOCKET, &["talk:*"]).await;
    reader.live().await;
    let place = place(&server);
    let mut publishing = JoinSet::new();
    for number in 0..at_once as u64 {
        publishing.spawn(async move {
            let ways: [&dyn Carrier; 3] = [&POLL, &WEBSOCKET, &TCP];
            let mut up = Up::open(ways[number as usize % ways.len()], &place).await.unwrap();
            for id in (number * each..).take(each as usize) {
                let frame = publish(id, &format!("talk:{}", id % 7), &json!(mark(id)));
                let said = up.say(&frame).await.unwrap();
                assert_eq!((&said["type"], &said["durability"]), (&json!("ok"), &json!("synced")), "{said}");
            }
        });
    }
    publishing.join_all().await;
    let count = at_once as u64 * each;
    reader.events(count as usize).await;
    let steps = strace.detach().await.unwrap();
    judge(&steps, count)
}

fn judge(steps: &[Step], count: u64) -> Seen {
    let written = writes(steps, count);
    let synced = syncs(steps);
    let first =
        |what: &dyn Fn(&Step) -> bool| steps.iter().position(|step| step.ended.is_none() && what(step));
    for id in 0..count {
        let write =
            written.get(&id).unwrap_or_else(|| panic!("event {id} is not in the journal in the clear"));
        let sync = synced.iter().find(|(began, _)| began > write);
        let (_, ended) = sync.unwrap_or_else(|| panic!("no sync after the write of {id}"));
        let ack = first(&|step| step.is_to_a_socket() && step.text.contains(&acked(id)));
        let told = first(&|step| step.is_to_a_socket() && step.text.contains(&mark(id)));
        let (ack, told) = (ack.expect("an ack in the trace"), told.expect("a delivery in the trace"));
        assert!(
            ended < &ack,
            "the ack of {id} (step {ack}) was sent before its sync had ended (step {ended})"
        );
        assert!(
            ended < &told,
            "event {id} was delivered (step {told}) before its sync had ended (step {ended})"
        );
    }
    Seen { acks: count as usize, syncs: synced.len() }
}

/// At which step the write of each event's mark to the journal had ended. The journal is put together from its writes,
/// because one may end in the middle of a mark.
fn writes(steps: &[Step], count: u64) -> BTreeMap<u64, usize> {
    let (mut journal, mut ends) = (String::new(), Vec::new());
    for (at, step) in steps.iter().enumerate() {
        if matches!(&*step.call, "write" | "pwrite64") && step.ended.is_some() && step.text.contains(".jnl>")
        {
            let text = step.text.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"'));
            journal.push_str(text.expect("a write of something").0);
            ends.push((journal.len(), at));
        }
    }
    let ended = |id| {
        let end = journal.find(&mark(id))? + mark(id).len();
        ends.iter().find(|(to, _)| *to >= end).map(|(_, at)| *at)
    };
    (0..count).filter_map(|id| Some((id, ended(id)?))).collect()
}

/// Where each sync of the journal that succeeded began and ended.
fn syncs(steps: &[Step]) -> Vec<(usize, usize)> {
    let mut syncs = Vec::new();
    for (began, step) in steps.iter().enumerate().filter(|(_, step)| step.is_sync_of(".jnl")) {
        if step.ended.is_none() {
            let ended =
                steps[began..].iter().position(|other| other.thread == step.thread && other.ended.is_some());
            if let Some(ended) = ended.map(|ended| began + ended).filter(|at| steps[*at].ended == Some(0)) {
                syncs.push((began, ended));
            }
        }
    }
    syncs
}

/// How strace writes the beginning of an `ok` for a publish.
fn acked(id: u64) -> String {
    format!(r#"\"id\":{id},\"channel\":"#)
}

fn mark(id: u64) -> String {
    format!("mark-{id}-end")
}

const CALLS: &str = "trace=read,readv,recvfrom,recvmsg,write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync";
/// Each sync takes 5 ms more, so that whoever does not wait for it is ahead of it.
const SLOWER: &str = "inject=fsync,fdatasync:delay_enter=5000";
