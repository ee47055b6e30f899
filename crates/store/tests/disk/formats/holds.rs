//! All that a log tells, as text.

use std::fmt::Write as _;

use sosik_core::{
    Data,
    cursor::{Epoch, LogId, Position},
    record,
    store::{AppendError, Batch, MemoKind, Place, Placed, Scope, Store, Stored},
};
use sosik_store::Disk;
use sosik_testkit::store_suite::{ALL, channel, entry, memos::memo_key};

use crate::kit::whole;

/// Everything that reads answer, and the places of the batches.
pub(crate) async fn holds(store: &Disk) -> String {
    let mut out = String::new();
    let (opened, figures) = (Store::open(store).await.unwrap(), store.figures());
    let (epoch, base, head) = (opened.epoch.bits(), opened.base.number(), opened.head.number());
    writeln!(out, "epoch {epoch:016x}, begun at {base}, head {head}, last time {}", opened.last_time)
        .unwrap();
    writeln!(out, "kept: {} events, {} bytes", figures.kept_events, figures.kept_bytes).unwrap();
    for namespace in ["match", "room"] {
        self::namespace(&mut out, store, namespace).await;
    }
    let range = store.range(Scope::All, Position::START, Position::END, ALL).await.unwrap();
    let order: Vec<_> = range.events.iter().map(|event| event.position.number()).collect();
    writeln!(out, "order: {order:?}").unwrap();
    batches(&mut out, store).await;
    memos(&mut out, store).await;
    out
}

async fn namespace(out: &mut String, store: &Disk, namespace: &str) {
    let mut found = store.namespace(namespace).await.unwrap();
    writeln!(out, "namespace {namespace}: forgotten to {}", found.forgotten_to.number()).unwrap();
    found.channels.sort_by(|one, other| one.0.cmp(&other.0));
    for (name, head) in found.channels {
        let (trimmed_to, first) = (head.trimmed_to.number(), head.first_seq);
        write!(out, "{name}: #{} at {}, trimmed to {trimmed_to}, ", head.seq, head.position.number())
            .unwrap();
        writeln!(out, "kept from #{first} on: {} bytes", head.bytes).unwrap();
        assert_eq!(store.channel(&name).await.unwrap(), Some(head));
        let page = whole(store, name.as_str()).await;
        assert_eq!((page.trimmed_to, page.first_seq), (head.trimmed_to, head.first_seq));
        page.events.iter().for_each(|stored| event(out, stored));
    }
}

fn event(out: &mut String, stored: &Stored) {
    let Stored { position, seq, prev, body, kept, .. } = stored;
    assert!(kept);
    writeln!(out, "  #{seq} at {} after {}: {}", position.number(), prev.number(), hex(body)).unwrap();
    let event = record::decode(LogId::Disk, Epoch::new(1), stored).unwrap();
    let (name, from, content_type) = (&event.name, &event.from, &event.content_type);
    write!(out, "    time {} name {name:?} from {from:?} type {content_type:?} ", event.time).unwrap();
    let data = match &event.data {
        Data::Json(text) => format!("json {}", String::from_utf8_lossy(text)),
        Data::Binary(bytes) => format!("binary {}", hex(bytes)),
    };
    writeln!(out, "meta {:?} {data}", event.meta).unwrap();
}

/// A batch that is sent again is answered with its places, whatever is in it.
async fn batches(out: &mut String, store: &Disk) {
    for id in 1.. {
        let entries = vec![entry(&channel("room:a"), Place::Behind(7), "", true)];
        let Err(AppendError::Duplicate(found)) = store.append(Batch::new(id, entries)).await else { break };
        writeln!(out, "batch {id}: {}", places(&found.placed)).unwrap();
    }
}

async fn memos(out: &mut String, store: &Disk) {
    for kind in [MemoKind::Producer, MemoKind::Key] {
        for namespace in ["match", "room"] {
            let held = store.memos_held(kind, namespace);
            writeln!(out, "{kind:?} of {namespace}: {} since {}", held.count, held.since).unwrap();
            for name in ["one", "two", "order 1", "order 2", "order 3"] {
                let found = store.recall(vec![memo_key(kind, namespace, name)]).await.unwrap().remove(0);
                let Some(found) = found else { continue };
                let value = found.value.escape_ascii();
                writeln!(out, "  {name}: {value}, {}", places(&found.placed)).unwrap();
            }
        }
    }
}

fn places(placed: &[Placed]) -> String {
    let places: Vec<_> =
        placed.iter().map(|one| format!("#{} at {}", one.seq, one.position.number())).collect();
    places.join(", ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
