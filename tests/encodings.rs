//! An event is encoded at most once per format, however many read it and over whatever transports.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use sosik_core::{Budget, Event, Grant, Look, Page, Pattern, Reader, Start, Verb, What};
use sosik_testkit::{
    carriers::{
        Ask, Begin, Carrier, LONG_POLL, Line, POLL, SSE, STREAM, STREAM_BINARY, TCP, TCP_BINARY, WEBSOCKET,
        WEBSOCKET_BINARY,
    },
    transport_suite::{Ground, block_on},
};
use sosik_wire::Encoding;
use tokio::task::JoinSet;

/// Each carrier with the format that its events are made in.
const CARRIERS: [(&dyn Carrier, Encoding); 9] = [
    (&POLL, Encoding::JsonLine),
    (&LONG_POLL, Encoding::JsonLine),
    (&STREAM, Encoding::JsonLine),
    (&TCP, Encoding::JsonLine),
    (&SSE, Encoding::Sse),
    (&WEBSOCKET, Encoding::WebSocketText),
    (&STREAM_BINARY, Encoding::Binary),
    (&WEBSOCKET_BINARY, Encoding::Binary),
    (&TCP_BINARY, Encoding::Binary),
];

// Mutant: an encoding made without its slot (`json::event` called by the answer itself) -> its slot stays empty, fails.
// Mutant: an event with a cursor of its own encoded as a whole -> its slot stays empty where nobody else needs it, fails.
#[test]
fn a_thousand_readers_over_every_transport_cost_one_encoding_per_format() {
    block_on(async {
        let ground = Ground::start(&STREAM).await;
        let mut own = follow(&ground, &["disk:a", "mem:a"]).await;
        let mut readers = JoinSet::new();
        for number in 0..READERS {
            let (carrier, _) = CARRIERS[number % CARRIERS.len()];
            let place = ground.place;
            // Half of them within one log, half over both: those have cursors of their own.
            let set: &[&str] =
                if (number / CARRIERS.len()).is_multiple_of(2) { &["disk:a"] } else { &["disk:a", "mem:a"] };
            let count = if set.len() == 1 { EVENTS } else { 2 * EVENTS };
            let mut line =
                Line::open(carrier, &place, Ask::new(set, Begin::Now), number as u64).await.unwrap();
            line.live().await;
            readers.spawn(async move { line.events(count).await.len() });
        }
        for number in 0..EVENTS as u64 {
            ground.publish_numbers("disk:a", number, number).await;
            ground.publish_numbers("mem:a", number, number).await;
        }
        let mut delivered = 0;
        while let Some(count) = readers.join_next().await {
            delivered += count.unwrap();
        }
        assert!(delivered >= READERS * EVENTS);
        let events = collect(&mut own);
        assert_eq!(events.len(), 2 * EVENTS);
        for event in &events {
            assert_eq!(event.encodings.made(), Encoding::ALL.len(), "{event:?}");
        }
    });
}

#[test]
fn formats_that_nobody_reads_are_not_made() {
    block_on(async {
        let ground = Ground::start(&STREAM).await;
        for (carrier, encoding) in CARRIERS {
            let channel = format!("disk:{}", carrier.name());
            let mut own = follow(&ground, &[&channel]).await;
            let mut line =
                Line::open(carrier, &ground.place, Ask::new(&[&channel], Begin::Now), 1).await.unwrap();
            line.live().await;
            ground.publish_numbers(&channel, 1, 3).await;
            line.events(3).await;
            for event in collect(&mut own) {
                assert_eq!(event.encodings.made(), 1, "{}", carrier.name());
                event
                    .encodings
                    .get_or_make(encoding as usize, || panic!("{} used another format", carrier.name()));
            }
        }
    });
}

/// A reader beside the transports: it is given the same events and encodes none.
async fn follow(ground: &Ground, channels: &[&str]) -> Reader {
    let set: Vec<_> = channels.iter().map(|channel| Pattern::parse(channel).unwrap()).collect();
    let rules: Vec<_> =
        set.iter().map(|pattern| (pattern.clone(), [Verb::Read].into_iter().collect())).collect();
    let hub = &ground.running.hub;
    hub.node.read(Grant::anonymous(rules), &set, Start::Now, hub.clock.wall_ms()).await.unwrap()
}

fn collect(reader: &mut Reader) -> Vec<Arc<Event>> {
    let (mut events, mut page) = (Vec::new(), Page::default());
    while reader.look(0, Budget { events: 64, bytes: 1 << 20 }, &mut page).unwrap() == Look::Found {
        events.extend(page.items.iter().filter_map(|item| match &item.what {
            What::Event(event) => Some(event.clone()),
            _ => None,
        }));
        reader.took(&page, page.items.len());
    }
    events
}

const READERS: usize = 1_000;
const EVENTS: usize = 20;
