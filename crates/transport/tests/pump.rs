//! The pump against peers that take a few bytes at a time.
#![allow(clippy::unwrap_used)]

use std::{future::poll_fn, io::IoSlice, sync::Arc, task::Poll};

use bytes::Bytes;
use sosik_core::{
    ChannelName, Cursor, Draft, Epoch, Event, Grant, LogId, Namespace, Node, NodeOptions, Pattern, Reader,
    Start, Store, Verb, Verbs,
};
use sosik_testkit::Memory;
use sosik_transport::{
    Sweep,
    form::{Form, Pieces},
    pump::{Encode, Outbox, Peer, Pumped, ROUNDS_MAX, Socket, Tally, Wrote, pump},
};
use sosik_wire::Down;
use tokio::io::AsyncReadExt;

/// Takes `room` bytes, then blocks until it is given room again.
struct Narrow {
    taken: Vec<u8>,
    room: usize,
}

impl Peer for Narrow {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Wrote {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(self.room).collect();
        self.room -= bytes.len();
        self.taken.extend_from_slice(&bytes);
        if bytes.is_empty() { Wrote::Blocked } else { Wrote::Bytes(bytes.len()) }
    }
}

async fn node(epoch: u64) -> Arc<Node> {
    let stores = [epoch, epoch + 1].map(|bits| Arc::new(Memory::new(Epoch::new(bits))) as Arc<dyn Store>);
    let options = NodeOptions::new(vec![Namespace::new("room")], 1);
    let node = Node::open(options, stores, Sweep::new(1)).await.unwrap();
    let log = node.log(LogId::Memory).clone();
    #[allow(clippy::disallowed_methods)]
    tokio::spawn(async move { log.run().await });
    node
}

fn grant() -> Grant {
    Grant::anonymous([(Pattern::parse("room:*").unwrap(), Verbs::from_iter(Verb::ALL))])
}

async fn read(node: &Arc<Node>, set: &[String], start: Start) -> Reader {
    let set: Vec<_> = set.iter().map(|text| Pattern::parse(text).unwrap()).collect();
    node.read(grant(), &set, start, 1).await.unwrap()
}

/// Pumps with `room` bytes at a time until nothing follows.
fn drain(reader: &mut Reader, room: usize) -> (String, Tally) {
    let (mut peer, mut outbox, mut tally) =
        (Narrow { taken: Vec::new(), room: 0 }, Outbox::default(), Tally::default());
    for _ in 0..1_000_000 {
        peer.room = room;
        match pump(reader, &mut outbox, &Form::Lines, &mut peer, 1, ROUNDS_MAX, &mut tally) {
            Pumped::Idle => return (String::from_utf8(peer.taken).unwrap(), tally),
            Pumped::Blocked | Pumped::Again => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("it never ends");
}

// Mutant: the rest of a half-written frame dropped in `write_page` -> lines are torn.
// Mutant: `took` with one item fewer -> it begins the same frame again and never ends.
#[tokio::test]
async fn a_peer_that_takes_any_number_of_bytes_gets_every_frame_whole_and_once() {
    let node = node(1).await;
    for i in 1..=40 {
        let channel = ChannelName::parse(if i % 2 == 0 { "room:a" } else { "room:b" }).unwrap();
        let draft = Draft::json(channel, format!("\"{}\"", "x".repeat(i * 7)));
        node.publish(&grant(), vec![draft], 1).await.unwrap();
    }
    let set = ["room:a", "room:b"].map(str::to_owned);
    let (whole, tally) = drain(&mut read(&node, &set, Start::Beginning).await, usize::MAX);
    assert_eq!((whole.lines().count(), tally.events), (41, 40));
    for room in [1, 2, 7, 100, 1000, 5000] {
        let (pieces, tally) = drain(&mut read(&node, &set, Start::Beginning).await, room);
        assert_eq!((pieces == whole, tally.events), (true, 40), "with {room} bytes at a time");
    }
}

// Mutant: `is_tied_to_next` always false -> the first gaps are told again for ever.
#[tokio::test]
async fn gaps_at_one_place_are_told_once_each_however_narrow_the_peer() {
    let set: Vec<String> = (0..300).map(|i| format!("room:{i}")).collect();
    let old = node(1).await;
    let cursor = read(&old, &set, Start::Now).await.cursor().unwrap();
    let new = node(7).await;
    let (text, tally) = drain(&mut read(&new, &set, Start::After(cursor)).await, 1_000);
    assert_eq!(tally.gaps.len(), 300);
    assert_eq!(text.lines().filter(|line| line.contains("\"reason\":\"epoch\"")).count(), 300);
}

// Mutant: an event that carries the cursor of the one before it -> the last whole one comes again.
#[tokio::test]
async fn a_frame_that_the_end_of_a_connection_cut_comes_whole_over_another_transport() {
    let node = node(1).await;
    for number in 1..=12 {
        let channel = ChannelName::parse(if number % 2 == 0 { "room:a" } else { "room:b" }).unwrap();
        node.publish(&grant(), vec![Draft::json(channel, number.to_string())], 1).await.unwrap();
    }
    let set = ["room:a", "room:b"].map(str::to_owned);
    let all: Vec<u64> = (1..=12).collect();
    let whole = written(&mut read(&node, &set, Start::Beginning).await, Form::Lines, usize::MAX);
    assert_eq!(told(&whole).map(|(number, _)| number).collect::<Vec<_>>(), all);
    for cut in (0..whole.len()).step_by(7) {
        let before = written(&mut read(&node, &set, Start::Beginning).await, Form::Lines, cut);
        let (mut numbers, cursors): (Vec<_>, Vec<_>) = told(&before).unzip();
        let start =
            cursors.last().map_or(Start::Beginning, |cursor| Start::After(Cursor::parse(cursor).unwrap()));
        let after = written(&mut read(&node, &set, start).await, Form::Sse, usize::MAX);
        let objects: String = after.lines().filter_map(|line| line.strip_prefix("data:")).map(line).collect();
        numbers.extend(told(&objects).map(|(number, _)| number));
        assert_eq!(numbers, all, "cut after {cut} bytes");
    }
}

/// What a peer has that takes so many bytes and no more.
fn written(reader: &mut Reader, form: Form, room: usize) -> String {
    let (mut peer, mut outbox, mut tally) =
        (Narrow { taken: Vec::new(), room }, Outbox::default(), Tally::default());
    let pumped = pump(reader, &mut outbox, &form, &mut peer, 1, ROUNDS_MAX, &mut tally);
    assert!(matches!(pumped, Pumped::Idle | Pumped::Blocked), "{pumped:?}");
    String::from_utf8(peer.taken).unwrap()
}

fn line(object: &str) -> String {
    format!("{}\n", object.trim())
}

/// The events among whole lines: number and, where the object has it, cursor.
fn told(lines: &str) -> impl Iterator<Item = (u64, String)> {
    let whole = lines.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.filter_map(|line| {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        Some((object["data"].as_u64()?, object["cursor"].as_str().unwrap_or_default().to_owned()))
    })
}

/// Takes its first bytes and then nothing at all.
struct Stuck(usize);

impl Peer for Stuck {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Wrote {
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = std::mem::take(&mut self.0).min(offered);
        if taken == 0 { Wrote::Blocked } else { Wrote::Bytes(taken) }
    }
}

// Mutant: `pump` looking on after a blocked flush, and a page going whole into the outbox -> pieces pile up.
#[tokio::test]
async fn a_slow_peer_makes_no_queue() {
    let node = node(1).await;
    let mut reader = read(&node, &["room:a".to_owned()], Start::Now).await;
    let (mut peer, mut outbox, mut tally) = (Stuck(200), Outbox::default(), Tally::default());
    for i in 0..500 {
        let draft = Draft::json(ChannelName::parse("room:a").unwrap(), i.to_string());
        node.publish(&grant(), vec![draft], 1).await.unwrap();
        let pumped = pump(&mut reader, &mut outbox, &Form::Lines, &mut peer, 1, ROUNDS_MAX, &mut tally);
        assert!(matches!(pumped, Pumped::Blocked | Pumped::Idle), "{pumped:?}");
        assert!(outbox.len() <= 1, "the rest of one frame, not {} pieces", outbox.len());
    }
}

/// A protocol with words for events only.
struct EventsOnly;

impl Encode for EventsOnly {
    fn event(&self, event: &Event, cursor: Option<&Cursor>) -> Pieces {
        Form::Lines.event(event, cursor)
    }

    fn frame(&self, _: &Down) -> Pieces {
        Pieces::from_iter([Bytes::new()])
    }
}

// Mutant: `write_page` offering what is empty -> a socket takes 0 bytes of it, which means that it is closed.
#[tokio::test]
async fn a_frame_that_a_protocol_has_no_word_for_is_passed() {
    let node = node(1).await;
    let mut reader = read(&node, &["room:a".to_owned()], Start::Now).await;
    let (near, mut far) = tokio::io::duplex(1_000);
    let mut io = near;
    let (mut outbox, mut tally) = (Outbox::default(), Tally::default());
    let pumped = poll_fn(|cx| {
        let mut peer = Socket { io: &mut io, cx };
        Poll::Ready(pump(&mut reader, &mut outbox, &EventsOnly, &mut peer, 1, ROUNDS_MAX, &mut tally))
    });
    assert!(matches!(pumped.await, Pumped::Idle));
    let draft = Draft::json(ChannelName::parse("room:a").unwrap(), "1");
    node.publish(&grant(), vec![draft], 1).await.unwrap();
    let pumped = poll_fn(|cx| {
        let mut peer = Socket { io: &mut io, cx };
        Poll::Ready(pump(&mut reader, &mut outbox, &EventsOnly, &mut peer, 1, ROUNDS_MAX, &mut tally))
    });
    assert!(matches!(pumped.await, Pumped::Idle));
    drop(io);
    let mut said = String::new();
    far.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
}
