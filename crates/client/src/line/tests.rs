//! One line against a stage that sends when it is told to, with the clock paused.
#![allow(clippy::unwrap_used)]
use sosik_wire::{Data, PublishFrame, Welcome};

use super::*;
use crate::options::Options;

/// A carrier that brings what the test puts in.
struct Played {
    came: mpsc::Receiver<Down>,
    next: VecDeque<Down>,
    sent: mpsc::Sender<Up>,
}

impl Carrier for Played {
    async fn open(_: Arc<Target>, _: Ask) -> Result<Self, Error> {
        unreachable!("the test makes it")
    }

    async fn more(&mut self) -> Result<(), Error> {
        let down = self.came.recv().await.ok_or_else(|| Error::Lost("over".to_owned()))?;
        self.next.push_back(down);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<News>, Error> {
        Ok(self.next.pop_front().map(News::Frame))
    }

    async fn send(&mut self, up: &Up) -> Result<(), Error> {
        self.sent.send(up.clone()).await.map_err(|_| Error::Lost("over".to_owned()))
    }
}

struct Stage {
    line: Line<Played>,
    put: mpsc::Sender<Down>,
    sent: mpsc::Receiver<Up>,
    calls: mpsc::Sender<Call>,
    called: mpsc::Receiver<Call>,
    items: mpsc::Sender<Item>,
    taken: mpsc::Receiver<Item>,
}

fn stage() -> Stage {
    let target = Target::new(Options::default()).unwrap();
    let (put, came) = mpsc::channel(10_000);
    let (sent, was_sent) = mpsc::channel(8);
    let (calls, called) = mpsc::channel(8);
    let (items, taken) = mpsc::channel(1);
    let line = Line::new(&target, Played { came, next: VecDeque::new(), sent });
    Stage { line, put, sent: was_sent, calls, called, items, taken }
}

fn event(seq: u64) -> Down {
    Down::Event(EventFrame {
        channel: "room:1".into(),
        epoch: "aaaaaa".into(),
        seq,
        time: 0,
        name: String::new(),
        data: Data::Json("1".into()),
        from: String::new(),
        signal: false,
        cursor: "c".into(),
    })
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

// Mutants: the grace left out; the heartbeat of the welcome ignored; no watchdog at all -> fails, or never ends.
#[tokio::test(start_paused = true)]
async fn silence_is_noticed_after_the_heartbeat_that_was_promised_and_the_grace() {
    for (welcome, silent_after) in [(None, 35), (Some(5_000), 15)] {
        let mut on = stage();
        let began = Instant::now();
        if let Some(heartbeat_ms) = welcome {
            on.put.send(Down::Welcome(Welcome { heartbeat_ms, ..Welcome::default() })).await.unwrap();
        }
        let error = on.line.serve(&on.items, &mut on.called).await.unwrap_err();
        assert!(matches!(error, Error::Silent(_)), "{error}");
        assert_eq!(began.elapsed().as_secs(), silent_after);
    }
}

// Mutant: `heard` not set -> a connection that only beats is dropped.
#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_connection() {
    let mut on = stage();
    let beats = async {
        for _ in 0..100 {
            tokio::time::sleep(seconds(30)).await;
            on.put.send(Down::Heartbeat).await.unwrap();
        }
        drop(on.put);
    };
    let (error, ()) = tokio::join!(on.line.serve(&on.items, &mut on.called), beats);
    assert!(matches!(&error, Err(Error::Lost(_))), "{error:?}");
}

// Mutants: no limit on what is held -> more is taken than fits; the watchdog runs while nobody reads -> a slow reader loses
// its connection.
#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_its_time_is_waited_for_and_its_socket_with_it() {
    let mut on = stage();
    for seq in 1..=1_000 {
        on.put.send(event(seq)).await.unwrap();
    }
    let read = async {
        tokio::time::sleep(seconds(600)).await;
        let left_in_socket = on.put.max_capacity() - on.put.capacity();
        assert!(left_in_socket >= 1_000 - HELD_MAX - 2, "{left_in_socket}");
        for expected in 1..=1_000 {
            let Some(Item::Event(event)) = on.taken.recv().await else { panic!() };
            assert_eq!(event.seq, expected);
        }
        drop(on.taken);
    };
    let (outcome, ()) = tokio::join!(on.line.serve(&on.items, &mut on.called), read);
    assert!(outcome.is_ok(), "{outcome:?}");
}

// Mutant: room for calls not made -> whoever publishes between two reads waits for himself.
#[tokio::test(start_paused = true)]
async fn an_answer_behind_events_that_nobody_takes_arrives() {
    let mut on = stage();
    let work = async {
        let (answer, answered) = oneshot::channel();
        let frame = PublishFrame {
            id: None,
            channel: "room:1".into(),
            name: String::new(),
            data: Data::Json("1".into()),
            once: None,
        };
        on.calls.send(Call { up: Up::Publish(frame), answer }).await.unwrap();
        let Some(Up::Publish(frame)) = on.sent.recv().await else { panic!() };
        for seq in 1..=5_000 {
            on.put.send(event(seq)).await.unwrap();
        }
        on.put.send(Down::Ok(OkFrame { id: frame.id, seq: Some(7), ..OkFrame::default() })).await.unwrap();
        assert_eq!(answered.await.unwrap().unwrap().seq, Some(7));
        drop(on.taken);
    };
    let (outcome, ()) = tokio::join!(on.line.serve(&on.items, &mut on.called), work);
    assert!(outcome.is_ok(), "{outcome:?}");
}
