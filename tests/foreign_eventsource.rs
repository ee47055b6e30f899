//! npm's `eventsource` on `/v1/sse`: a client whose reconnects and Last-Event-ID are its own.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sosik_lab::proxy::{Cut, CutKind, Direction, FaultPlan, FaultProxy};
use sosik_tests::{
    foreign::eventsource,
    process::publish,
    server::{demo, until},
};

/// The numbers of the events that were handed out.
fn seqs(lines: &[Value]) -> Vec<u64> {
    let seq = |line: &Value| {
        let event: Value = serde_json::from_str(line["data"].as_str().unwrap()).unwrap();
        assert_eq!(event["type"], "event", "{line}");
        event["seq"].as_u64().unwrap()
    };
    lines.iter().map(seq).collect()
}

// Mutants: `id:` missing -> it comes back to its beginning and repeats; an event left out of a page -> it is missing; an
// `event:` line on events -> it sees none.
#[tokio::test]
async fn eventsource_that_is_cut_comes_back_and_loses_and_repeats_nothing() {
    const EVENTS: usize = 30;
    let server = demo().await.unwrap();
    let proxy = FaultProxy::start(server.http, 1).await.unwrap();
    let faults = proxy.faults();
    // Far enough for some events, and then in the middle of one.
    let cut = Cut { direction: Direction::Down, after_bytes: 1_400..=1_600, kind: CutKind::Rst };
    faults.set(FaultPlan { cut: Some(cut), ..FaultPlan::default() });

    let url = format!("http://{}/v1/sse?channel=demo:lobby&after=start", proxy.addr());
    let publisher = async {
        for number in 1..=EVENTS {
            publish(server.http, &json!(number)).await.unwrap();
            if number == EVENTS / 2 {
                until("cut twice", || faults.counts().cuts >= 2).await;
                faults.set(FaultPlan::default());
                until("it is back", || faults.counts().open > 0).await;
                faults.cut_all(CutKind::Fin);
            }
        }
    };
    let (ran, ()) = tokio::join!(eventsource(&url, EVENTS, None), publisher);
    let lines = ran.unwrap().expect_ok();
    assert_eq!(seqs(&lines), (1..=EVENTS as u64).collect::<Vec<_>>());
    let counts = faults.counts();
    assert!(counts.cuts >= 3 && counts.connections >= 4, "{counts:?}");
}

// Mutant: a cursor in Last-Event-ID that loses to `after` -> the first event comes again.
#[tokio::test]
async fn eventsource_of_a_reloaded_page_goes_on_where_it_was() {
    let server = demo().await.unwrap();
    for number in 1..=4 {
        publish(server.http, &json!(number)).await.unwrap();
    }
    let url = format!("http://{}/v1/sse?channel=demo:lobby&after=start", server.http);
    let before = eventsource(&url, 2, None).await.unwrap().expect_ok();
    let after = eventsource(&url, 2, before[1]["id"].as_str()).await.unwrap().expect_ok();
    assert_eq!((seqs(&before), seqs(&after)), (vec![1, 2], vec![3, 4]));
}
