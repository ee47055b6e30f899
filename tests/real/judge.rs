//! What everybody was told, judged.

use std::collections::BTreeMap;

use fastrand::Rng;
use sosik_lab::checker::{self, History, Observed, Reader};
use sosik_testkit::carriers::{Place, TCP};

use crate::{burst::Outcomes, follower::Follower, past};

/// Holds what publishers and readers were told against the promises, and against what the log has in the end.
pub(crate) async fn judge(outcomes: &Outcomes, mut readers: Vec<Reader>, place: &Place) {
    let whole = Follower::new("afterwards", &["talk:*", "short:*"], vec![&TCP], Rng::new());
    readers.push(whole.drain(place).await);
    let (acked, uncertain) = outcomes.told();
    let epochs: Vec<_> = acked.iter().map(|ack| &ack.epoch).collect();
    assert!(epochs.windows(2).all(|pair| pair[0] == pair[1]), "a mere kill began a new epoch");

    let history = History { acked, uncertain, readers, ..History::default() };
    let verdict = checker::check(&history);
    assert!(verdict.violations.is_empty(), "{verdict}");
    assert_eq!(verdict.counts.dropped, 0, "something came twice: {verdict}");

    let (_, afterwards) = seen(history.readers.last().unwrap());
    for reader in &history.readers {
        let (gaps, own) = seen(reader);
        assert_eq!(gaps, 0, "{} was told a gap where everything is kept", reader.name);
        let kept = |events: &Events| -> Events {
            let kept =
                events.iter().filter(|((name, _), _)| name.starts_with("talk") && follows(&reader.set, name));
            kept.map(|(event, body)| (event.clone(), body.clone())).collect()
        };
        assert!(kept(&own) == kept(&afterwards), "{} saw something else than the log has", reader.name);
    }
    for channel in CHANNELS.iter().filter(|name| name.starts_with("talk")) {
        let own = afterwards.iter().filter(|((name, _), _)| name == channel);
        let own: Vec<_> = own.map(|((_, seq), (_, body))| (*seq, body.clone())).collect();
        assert_eq!(past(place, channel).await, own, "the history of {channel}");
    }
}

/// An event by its channel and `seq`, with its epoch and body.
type Events = BTreeMap<(String, u64), (String, String)>;

/// The gaps that a reader was told where everything is kept, and the events that it was sent.
fn seen(reader: &Reader) -> (usize, Events) {
    let (mut gaps, mut events) = (0, Events::new());
    for seen in &reader.seen {
        match &seen.item {
            Observed::Gap(gap) if gap.channel.starts_with("talk") => gaps += 1,
            Observed::Event(event) => {
                let body = String::from_utf8(event.body.clone()).unwrap();
                events.insert((event.channel.clone(), event.seq), (event.epoch.clone(), body));
            }
            _ => {}
        }
    }
    (gaps, events)
}

fn follows(set: &[String], channel: &str) -> bool {
    set.iter().any(|entry| match entry.strip_suffix('*') {
        Some(prefix) => channel.starts_with(prefix),
        None => entry == channel,
    })
}

/// What is published to: all of `talk` is kept, of `short` little.
pub(crate) const CHANNELS: [&str; 5] = ["talk:0", "talk:1", "talk:2", "talk:3", "short:0"];
