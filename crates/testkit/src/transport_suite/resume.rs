//! Coming back: nothing repeated, nothing lost without a word.

use sosik_lab::checker::Observed;

use super::{Ground, begin::seqs};
use crate::carriers::{Ask, Begin, Carrier, Line, News};

// Mutant: a server that skips the first event of a page after a resume -> fails.
// Mutant: a pump that loses the rest of a half-written frame -> torn, or a hole.
pub async fn resume_in_mid_batch_repeats_nothing(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    // One batch, of events that fill several answers and several writes.
    ground.publish_padded("disk:a", 1, 90, 9_000).await;
    for taken in [1, 2, 27, 28, 29, 64, 89] {
        let mut line = ground.follow(&["disk:a"], Begin::Start).await;
        let mut events = line.events(taken).await;
        let cursor = line.cursor().expect("an event hands out a cursor").to_owned();
        line.cut();
        let mut line = ground.follow(&["disk:a"], Begin::After(cursor)).await;
        events.extend(line.events(90 - taken).await);
        assert_eq!(seqs(&events), (1..=90).collect::<Vec<_>>(), "after {taken}");
        line.cut();
    }
}

pub async fn trimming_while_away_is_told_in_its_place(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let set = ["small:a", "disk:b"];
    ground.publish_numbers("small:a", 1, 3).await;
    let mut line = ground.follow(&set, Begin::Start).await;
    line.events(3).await;
    let cursor = line.cursor().unwrap().to_owned();
    line.cut();
    ground.publish_numbers("disk:b", 1, 1).await;
    ground.publish_numbers("small:a", 4, 103).await;
    // Retention comes a moment after the publish: before it, all of them would be delivered.
    ground.trimmed("small:a", 87).await;
    let mut line = ground.follow(&set, Begin::After(cursor)).await;
    // It was published before what was trimmed.
    assert_eq!(line.event().await.channel, "disk:b");
    let gap = line.gap().await;
    let next = gap.next_seq.expect("the gap of one channel says what is next");
    assert_eq!((gap.channel.as_str(), gap.reason.as_str()), ("small:a", "trimmed"));
    assert!((87..=88).contains(&next), "16 to 17 of 103 are kept, but {next} is next");
    let rest = line.events((104 - next) as usize).await;
    assert_eq!(seqs(&rest), (next..=103).collect::<Vec<_>>());
}

pub async fn trimming_during_catch_up_is_told_in_its_place(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    ground.publish_padded("small:a", 1, 16, 60_000).await;
    let mut line = ground.open(Ask { narrow: true, ..Ask::new(&["small:a"], Begin::Start) }).await;
    assert_eq!(seqs(&line.events(2).await), [1, 2]);
    // Far more than fits into what lies between the log and this reader.
    ground.publish_padded("small:a", 17, 150, 60_000).await;
    let (mut expected, mut gaps) = (3, 0);
    while expected <= 150 {
        match line.next().await {
            News::Seen(Observed::Event(event)) => {
                assert_eq!(event.seq, expected);
                expected += 1;
            }
            News::Seen(Observed::Gap(gap)) => {
                assert_eq!((gap.channel.as_str(), gap.reason.as_str()), ("small:a", "trimmed"));
                let next = gap.next_seq.unwrap();
                assert!(next > expected, "a gap of nothing: {expected} was due, {next} is next");
                expected = next;
                gaps += 1;
            }
            News::Seen(_) | News::Answered => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(gaps > 0, "nothing was trimmed before the reader had it: the test proves nothing");
}

// Mutant: a foreign cursor moved to the base without its gap -> fails.
pub async fn a_new_epoch_is_told_and_what_came_since_is_delivered(carrier: &'static dyn Carrier) {
    let set = ["disk:a", "mem:a"];
    let old = Ground::start(carrier).await;
    old.publish_numbers("disk:a", 1, 5).await;
    old.publish_numbers("mem:a", 1, 5).await;
    let mut line = old.follow(&set, Begin::Start).await;
    let before = line.events(10).await;
    let cursor = line.cursor().unwrap().to_owned();
    drop((line, old));
    let new = Ground::start(carrier).await;
    new.publish_numbers("disk:a", 1, 2).await;
    new.publish_numbers("mem:a", 1, 2).await;
    let mut line = new.follow(&set, Begin::After(cursor)).await;
    let (mut told, mut events) = (Vec::new(), Vec::new());
    while events.len() < 4 {
        match line.next().await {
            News::Seen(Observed::Gap(gap)) => {
                assert_eq!(gap.reason, "epoch");
                told.push(gap.channel);
            }
            News::Seen(Observed::Event(event)) => {
                assert!(told.contains(&event.channel), "an event of the new epoch before its gap");
                assert!(before.iter().all(|old| old.epoch != event.epoch));
                events.push(event);
            }
            News::Seen(_) | News::Answered => {}
            other => panic!("{other:?}"),
        }
    }
    told.sort();
    assert_eq!(told, set);
    for channel in set {
        let own: Vec<_> = events.iter().filter(|event| event.channel == channel).cloned().collect();
        assert_eq!(seqs(&own), [1, 2]);
    }
    // Where the new epoch's cursors lead there is no gap any more.
    let cursor = line.cursor().unwrap().to_owned();
    new.publish_numbers("disk:a", 3, 3).await;
    assert_eq!(new.follow(&set, Begin::After(cursor)).await.event().await.seq, 3);
}

pub async fn signals_are_delivered_and_never_a_gap(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let set = ["sig:a", "mem:a"];
    let mut line: Line = ground.follow_live(&set).await;
    ground.publish_numbers("sig:a", 1, 3).await;
    assert_eq!(seqs(&line.events(3).await), [1, 2, 3]);
    let cursor = line.cursor().unwrap().to_owned();
    line.cut();
    // More than are kept.
    ground.publish_numbers("sig:a", 4, 400).await;
    ground.publish_numbers("mem:a", 1, 1).await;
    let mut line = ground.follow(&set, Begin::After(cursor)).await;
    let mut last = 3;
    loop {
        // `event` fails at a gap.
        let event = line.event().await;
        if event.channel == "mem:a" {
            break;
        }
        assert!(event.seq > last, "{} after {last}", event.seq);
        last = event.seq;
    }
    assert_eq!(last, 400);
    // `start` has no signals.
    let mut line = ground.follow(&set, Begin::Start).await;
    assert_eq!(line.event().await.channel, "mem:a");
}
