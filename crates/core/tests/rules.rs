//! The rules of the design (section 4), one clause per test. Each names the planted bug that it was seen to catch.
#![allow(clippy::unwrap_used)]

mod kit;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use sosik_core::{
    Budget, Cursor, Epoch, Error, GapReason, Joined, LogId, Look, Namespace, NodeOptions, Page, Part,
    Pattern, Position, Published, Reader, Start, Store, What, limits::APPEND_QUEUE_BYTES_MAX,
};
use sosik_testkit::Memory;
use tokio::task::JoinSet;

use self::kit::{Recorded, Running, Truth, channel, draft, grant, is_ready, pattern, patterns, settle};

const SPACES: &[&str] = &["room", "shot", "typing", "disk"];
const ALL: Budget = Budget { events: 1_000, bytes: 1 << 20 };

/// A node over two memory stores, with everything that they were asked.
struct Rig {
    running: Running,
    spaces: Vec<Namespace>,
    stores: [Recorded; 2],
    now: u64,
}

impl Rig {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl Fn(&mut Namespace)) -> Self {
        let mut spaces: Vec<_> = SPACES.iter().map(|name| Namespace::new(*name)).collect();
        for space in &mut spaces {
            space.forgettable = *space.name == *"shot";
            space.signal = *space.name == *"typing";
            space.log = if *space.name == *"disk" { LogId::Disk } else { LogId::Memory };
            change(space);
        }
        let stores = [1, 2].map(|epoch| {
            let epoch = Epoch::new(epoch);
            let truth = Arc::new(Mutex::new(Truth::new(epoch)));
            Recorded::new(Arc::new(Memory::new(epoch)), truth, fastrand::Rng::with_seed(1), 0)
        });
        let running = open(&spaces, &stores).await;
        Self { running, spaces, stores, now: 1_000_000 }
    }

    /// The node again, over the same stores: its tails are empty, everything comes from pages.
    async fn restart(&mut self) {
        settle().await;
        self.running = open(&self.spaces, &self.stores).await;
    }

    /// As after a restart of the process: the memory log is empty and has another epoch.
    async fn lose_memory(&mut self) {
        self.stores[1].inner = Arc::new(Memory::new(Epoch::new(9)));
        self.stores[1].truth = Arc::new(Mutex::new(Truth::new(Epoch::new(9))));
        self.restart().await;
    }

    async fn publish(&self, names: &[&str]) -> Vec<Published> {
        let drafts = names.iter().map(|name| draft(name, "1")).collect();
        let published = self.running.node.publish(&grant(SPACES), drafts, self.now).await.unwrap();
        settle().await;
        published
    }

    /// One event after the other.
    async fn publish_each(&self, names: &[&str]) -> Vec<Published> {
        let mut all = Vec::new();
        for name in names {
            all.extend(self.publish(&[*name]).await);
        }
        all
    }

    async fn trim(&self, name: &str, at: &Published) {
        self.running.node.log(at.log).trim(&channel(name), at.position, at.seq + 1).await.unwrap();
        settle().await;
    }

    async fn forget(&self, name: &str) {
        self.running.node.log(LogId::Memory).forget(&channel(name)).await.unwrap();
        settle().await;
    }

    async fn read(&self, set: &[&str], start: Start) -> Reader {
        self.running.node.read(grant(SPACES), &patterns(set), start, self.now).await.unwrap()
    }

    /// Everything that follows, `caught up` left out.
    async fn drain(&self, reader: &mut Reader) -> Vec<String> {
        self.drain_by(reader, ALL, usize::MAX).await
    }

    async fn drain_by(&self, reader: &mut Reader, budget: Budget, step: usize) -> Vec<String> {
        let (mut page, mut told) = (Page::default(), Vec::new());
        for _ in 0..100_000 {
            match reader.look(self.now, budget, &mut page).unwrap() {
                Look::Nothing => return told,
                Look::Below => reader.fetch().await.unwrap(),
                Look::Found => {
                    // Those of one place go together: no cursor lies between them.
                    let tied = page.items.iter().position(|item| !item.is_tied_to_next()).unwrap_or(0);
                    let count = page.items.len().min(step.max(tied + 1));
                    told.extend(page.items[..count].iter().filter_map(|item| text(&item.what)));
                    reader.took(&page, count);
                }
            }
        }
        panic!("looks for ever");
    }

    async fn told(&self, set: &[&str], start: Start) -> Vec<String> {
        self.drain(&mut self.read(set, start).await).await
    }
}

async fn open(spaces: &[Namespace], stores: &[Recorded; 2]) -> Running {
    let stores = stores.clone().map(|store| Arc::new(store) as Arc<dyn Store>);
    // Batch ids must differ from those of the node before.
    let running = Running::open(NodeOptions::new(spaces.to_vec(), fastrand::u64(..)), stores).await;
    settle().await;
    running
}

fn text(what: &What) -> Option<String> {
    Some(match what {
        What::Event(event) => format!("{}#{}", event.channel, event.seq),
        What::Gap(gap) => {
            let reason = match gap.reason {
                GapReason::Trimmed => "trimmed",
                GapReason::Epoch => "epoch",
                GapReason::Forgotten => "forgotten",
            };
            let number =
                |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
            let (next, lost) = (number(gap.next_seq), number(gap.lost));
            format!("{} {reason} at {} next {next} lost {lost}", gap.of, gap.part.position.number())
        }
        What::CaughtUp => return None,
        What::Joined(token) => format!("joined {token}"),
    })
}

fn after(log: LogId, epoch: u64, position: u64) -> Start {
    Start::After(Cursor::new([Part { log, epoch: Epoch::new(epoch), position: Position::new(position) }]))
}

/// In the memory log of a [`Rig`].
fn behind(position: u64) -> Start {
    after(LogId::Memory, 2, position)
}

// ---- Rules 1 and 2: cursors and order

// Mutant: `took` moves `told` to the place looked at -> the cursor is the head.
#[tokio::test]
async fn the_cursor_is_the_place_of_the_last_item_and_never_the_head() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:b", "room:b"]).await;
    let mut reader = rig.read(&["room:a"], Start::Beginning).await;
    assert_eq!(rig.drain(&mut reader).await, ["room:a#1"]);
    let part = |reader: &Reader| reader.cursor().unwrap().part(LogId::Memory).unwrap().position.number();
    assert_eq!(part(&reader), 1);
    rig.publish(&["room:b"]).await;
    assert!(rig.drain(&mut reader).await.is_empty());
    assert_eq!(part(&reader), 1, "nothing of its set has come");
    assert_eq!(part(&rig.read(&["room:a"], Start::Now).await), 1, "now is of the set, not of the log");
    assert_eq!(part(&rig.read(&["room:a", "room:b"], Start::Now).await), 4);
}

#[tokio::test]
async fn a_cursor_has_a_part_for_each_log_of_the_set_and_drops_those_that_it_left() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "disk:a"]).await;
    let mut reader = rig.read(&["room:a"], Start::Now).await;
    assert_eq!(reader.cursor().unwrap().parts().len(), 1);
    reader.join(&patterns(&["disk:a"]), Start::Now, rig.now, 1).await.unwrap();
    assert_eq!(reader.cursor().unwrap().parts().len(), 2, "the missing part is filled at once");
    rig.publish_each(&["room:a", "disk:a"]).await;
    assert_eq!(rig.drain(&mut reader).await.len(), 2);
    reader.leave(&patterns(&["room:a"])).unwrap();
    let cursor = reader.cursor().unwrap();
    assert_eq!(cursor.parts().len(), 1);
    assert_eq!(cursor.part(LogId::Disk).unwrap().position.number(), 2);
    let lacking = rig.read(&["room:a", "disk:a"], Start::After(cursor)).await.cursor().unwrap();
    assert_eq!(lacking.part(LogId::Memory).unwrap().position.number(), 2, "a part that lacks is `now`");
}

// ---- Rule 3: the committed head

// Mutants: `Life::apply` moves the head with each event -> half a batch is visible; before the events -> they are passed.
#[tokio::test]
async fn a_reader_on_another_thread_sees_whole_batches_only() {
    // So few that all of them stay in the tails.
    const BATCHES: usize = 25;
    let rig = Rig::new().await;
    let names: Vec<_> = (0..200).map(|i| format!("room:{}", i % 5)).collect();
    let mut reader = rig.read(&["room:0", "room:1", "room:2", "room:3", "room:4"], Start::Now).await;
    let (now, over) = (rig.now, Arc::new(AtomicBool::new(false)));
    let published = over.clone();
    let watching = std::thread::spawn(move || {
        let (mut page, mut seen) = (Page::default(), 0);
        loop {
            let was_over = published.load(Ordering::SeqCst);
            if reader.look(now, ALL, &mut page).unwrap() == Look::Found {
                let events = page.items.iter().filter(|item| matches!(item.what, What::Event(_))).count();
                assert_eq!(events % 200, 0, "half a batch, after {seen} events");
                seen += events;
                reader.took(&page, page.items.len());
            } else if was_over {
                return seen;
            }
        }
    });
    for _ in 0..BATCHES {
        let drafts = names.iter().map(|name| draft(name, "1")).collect();
        rig.running.node.publish(&grant(SPACES), drafts, now).await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    assert_eq!(watching.join().unwrap(), BATCHES * 200);
}

// Mutant: a channel's later entries linked to the first entry of the batch -> the log hangs in conflicts.
#[tokio::test]
async fn an_atomic_batch_is_consecutive_and_becomes_visible_at_once() {
    let rig = Rig::new().await;
    let mut reader = rig.read(&["room:*"], Start::Now).await;
    rig.drain(&mut reader).await;
    let names = ["room:a", "room:b", "room:a", "room:c"];
    let mut jobs = JoinSet::new();
    for _ in 0..20 {
        let node = rig.running.node.clone();
        let drafts = names.iter().map(|name| draft(name, "1")).collect();
        jobs.spawn(async move { node.publish(&grant(SPACES), drafts, 1).await.unwrap() });
    }
    let (mut page, mut seen) = (Page::default(), 0);
    while seen < 80 {
        tokio::task::yield_now().await;
        if reader.look(rig.now, ALL, &mut page).unwrap() == Look::Found {
            let events = page.items.iter().filter(|item| matches!(item.what, What::Event(_))).count();
            assert_eq!(events % names.len(), 0, "half a batch is visible");
            seen += events;
            reader.took(&page, page.items.len());
        }
    }
    while let Some(published) = jobs.join_next().await {
        let published = published.unwrap();
        let places: Vec<_> = published.iter().map(|placed| placed.position.number()).collect();
        assert!(places.windows(2).all(|two| two[0] + 1 == two[1]), "{places:?}");
        assert_eq!(published[2].seq, published[0].seq + 1);
    }
}

// Mutants: the herald called for channels that nobody follows; prefixes left out -> other calls.
#[tokio::test]
async fn the_herald_is_called_once_per_change_and_for_followed_channels_only() {
    let rig = Rig::new().await;
    let heard = rig.running.heard.clone();
    rig.publish(&["room:a", "room:b"]).await;
    assert_eq!(heard.take(), []);
    let named = rig.read(&["room:a"], Start::Now).await;
    let under = rig.read(&["room:*"], Start::Now).await;
    rig.publish(&["room:a", "room:a", "room:b"]).await;
    let mut told = heard.take();
    told.sort();
    let mut both: Vec<_> = named.watches().chain(under.watches()).collect();
    both.sort();
    assert_eq!(told, both);
    rig.publish(&["room:b"]).await;
    assert_eq!(heard.take(), under.watches().collect::<Vec<_>>());
    drop(under);
    rig.publish(&["room:b"]).await;
    assert_eq!(heard.take(), []);
}

// ---- Rule 4: gaps

// Mutants: `gap_before` left out; `lost` counted with the event itself -> fails.
#[tokio::test]
async fn a_gap_stands_at_the_prev_of_the_first_event_that_is_left() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        let a = rig.publish_each(&["room:a", "room:b", "room:a", "room:a"]).await;
        rig.trim("room:a", &a[2]).await;
        if restarts {
            rig.restart().await;
        }
        let told = rig.told(&["room:a", "room:b"], behind(1)).await;
        assert_eq!(told, ["room:b#1", "room:a trimmed at 3 next 3 lost ?", "room:a#3"]);
        let told = rig.told(&["room:a"], Start::Beginning).await;
        assert_eq!(told, ["room:a trimmed at 3 next 3 lost 2", "room:a#3"], "lost is known from the start");
        assert_eq!(rig.told(&["room:a"], behind(3)).await, ["room:a#3"], "above the mark nothing is missing");
    }
}

// Mutant: a channel without events in the page tells no mark -> silence.
#[tokio::test]
async fn a_channel_of_which_nothing_is_left_tells_its_mark() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        let a = rig.publish_each(&["room:a", "room:a", "room:b"]).await;
        rig.trim("room:a", &a[1]).await;
        if restarts {
            rig.restart().await;
        }
        let told = rig.told(&["room:a", "room:b"], behind(1)).await;
        assert_eq!(told, ["room:a trimmed at 2 next 3 lost ?", "room:b#1"]);
        assert_eq!(rig.told(&["room:a", "room:b"], behind(2)).await, ["room:b#1"]);
        let told = rig.told(&["room:*"], behind(1)).await;
        assert_eq!(told, ["room:a trimmed at 2 next 3 lost ?", "room:b#1"], "one alone is told by its name");
    }
}

// Mutant: the marks sorted from the highest -> the gap stands behind what it should stand before.
#[tokio::test]
async fn many_marks_under_a_prefix_are_one_gap_at_the_lowest() {
    let rig = Rig::new().await;
    let a = rig.publish_each(&["room:a", "room:b", "room:c", "room:a", "room:b", "room:d"]).await;
    rig.trim("room:a", &a[3]).await;
    rig.trim("room:b", &a[4]).await;
    let told = rig.told(&["room:*"], Start::Beginning).await;
    assert_eq!(told, ["room:c#1", "room:* trimmed at 4 next ? lost ?", "room:d#1"]);
    let one = Budget { events: 1, bytes: 1 };
    let told = rig.drain_by(&mut rig.read(&["room:*"], Start::Beginning).await, one, 1).await;
    let apart =
        ["room:c#1", "room:* trimmed at 4 next ? lost ?", "room:b trimmed at 5 next 3 lost ?", "room:d#1"];
    assert_eq!(told, apart, "whoever stops behind the lowest is told of the rest when it comes back");
}

// Mutant: each item carries its own position -> a client that stops after the first gap never hears of the second.
#[tokio::test]
async fn of_items_at_one_position_only_the_last_carries_it() {
    let mut rig = Rig::new().await;
    let held = after(LogId::Memory, 77, 5);
    rig.publish_each(&["room:a", "room:b"]).await;
    let mut reader = rig.read(&["room:a", "room:b"], held).await;
    let mut page = Page::default();
    assert_eq!(reader.look(rig.now, ALL, &mut page).unwrap(), Look::Found);
    let parts = page.items.iter().map(|item| match (&item.cursor, &item.what) {
        (Some(cursor), _) => cursor.part(LogId::Memory).unwrap(),
        (None, What::Event(event)) => event.part(),
        (None, other) => panic!("{other:?}"),
    });
    let parts: Vec<_> = parts.map(|part| (part.epoch.bits(), part.position.number())).collect();
    assert_eq!(parts, [(77, 5), (2, 0), (2, 1), (2, 2)]);
    // Stopped between the two gaps: both come again, on this node and on the next.
    reader.took(&page, 1);
    let again = rig.drain(&mut reader).await;
    assert_eq!(again.len(), 4, "{again:?}");
    rig.restart().await;
}

// Mutant: `marks_before` left out -> the gap is passed in silence.
#[tokio::test]
async fn a_gap_below_an_event_of_a_later_page_does_not_wait_for_it() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        // A name that was used before, and is used again behind events of another channel.
        rig.publish_each(&["shot:a", "shot:a"]).await;
        rig.forget("shot:a").await;
        rig.publish_each(&["shot:b", "shot:b", "shot:a"]).await;
        if restarts {
            rig.restart().await;
        }
        let one = Budget { events: 1, bytes: 1 };
        let mut reader = rig.read(&["shot:a", "shot:b"], behind(0)).await;
        let told = rig.drain_by(&mut reader, one, 1).await;
        assert!(told.contains(&"shot:a forgotten at 2 next 5 lost ?".to_owned()), "{told:?}");
    }
}

// Mutant: the mark that a page brings along not taken -> what another node has trimmed is passed in silence.
#[tokio::test]
async fn a_mark_that_was_raised_elsewhere_comes_with_the_page() {
    let mut rig = Rig::new().await;
    let a = rig.publish_each(&["room:a", "room:a", "room:b"]).await;
    rig.restart().await;
    let mut reader = rig.read(&["room:a", "room:b"], Start::Beginning).await;
    assert_eq!(reader.look(rig.now, ALL, &mut Page::default()).unwrap(), Look::Below);
    // Not settled: this node has not heard of it.
    rig.stores[1].inner.trim(&channel("room:a"), a[1].position).await.unwrap();
    assert_eq!(rig.drain(&mut reader).await, ["room:a trimmed at 2 next 3 lost 2", "room:b#1"]);
}

// Mutant: `retain_kept` left out -> an event above the place hides that those below it are gone.
#[tokio::test]
async fn a_mark_that_rises_before_the_store_has_trimmed_loses_nothing() {
    let mut rig = Rig::new().await;
    rig.publish(&["room:a", "room:a"]).await;
    rig.publish(&["room:b"; 300]).await;
    let a = rig.publish(&["room:a", "room:a"]).await;
    let first = a[0].position;
    rig.running.node.log(LogId::Memory).trim(&channel("room:a"), Position::new(2), 3).await.unwrap();
    rig.restart().await;
    let mut reader = rig.read(&["room:*"], Start::Beginning).await;
    let mut page = Page::default();
    assert_eq!(reader.look(rig.now, ALL, &mut page).unwrap(), Look::Below);
    reader.fetch().await.unwrap();
    // The first page ends below it. Now the mark rises to there, and the store takes its time.
    let held = rig.stores[1].trimming.clone().lock_owned().await;
    let log = rig.running.node.log(LogId::Memory).clone();
    let mut trim = Box::pin(async move { log.trim(&channel("room:a"), first, 4).await });
    assert!(is_ready(&mut trim).await.is_none());
    let told = rig.drain(&mut reader).await;
    let gap = format!("room:a trimmed at {} next 4 lost ?", first.number());
    assert_eq!(told[300..], [gap, "room:a#4".to_owned()]);
    drop(held);
    is_ready(&mut trim).await.unwrap().unwrap();
}

// ---- Rule 6: forgotten channels

// Mutant: a first event numbered 1 where channels can be forgotten -> the reused name goes back.
#[tokio::test]
async fn the_first_number_of_a_name_that_can_be_forgotten_is_its_position() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:a"]).await;
    let first = rig.publish_each(&["shot:a", "shot:a"]).await;
    assert_eq!((first[0].seq, first[1].seq), (3, 4));
    rig.forget("shot:a").await;
    let again = rig.publish_each(&["room:a", "shot:a"]).await;
    assert_eq!(again[1].seq, 6, "a reused name never goes back");
    let told = rig.told(&["shot:a"], behind(3)).await;
    assert_eq!(told, ["shot:a forgotten at 4 next 6 lost ?", "shot:a#6"]);
    assert_eq!(rig.told(&["shot:a"], behind(4)).await, ["shot:a#6"]);
}

// Mutant: channels with a record compared with the namespace's mark -> each reader is told gaps of others.
#[tokio::test]
async fn only_a_channel_without_a_record_is_compared_with_the_mark_of_its_namespace() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        rig.publish_each(&["shot:a", "shot:b", "shot:b"]).await;
        rig.forget("shot:b").await;
        if restarts {
            rig.restart().await;
        }
        assert_eq!(rig.told(&["shot:a"], behind(1)).await, [""; 0], "it has a record");
        assert_eq!(rig.told(&["shot:x"], behind(1)).await, ["shot:x forgotten at 3 next ? lost ?"]);
        assert_eq!(rig.told(&["shot:*"], behind(1)).await, ["shot:* forgotten at 3 next ? lost ?"]);
        assert_eq!(rig.told(&["shot:x"], behind(3)).await, [""; 0]);
        let mut fresh = rig.read(&["shot:x"], Start::Now).await;
        assert_eq!(rig.drain(&mut fresh).await, [""; 0]);
        rig.publish(&["shot:x"]).await;
        assert_eq!(rig.drain(&mut fresh).await, ["shot:x#4"], "now is the mark: nothing was asked below it");
    }
}

// Mutant: the mark raised here only when the store tells of it -> who reads a page in between is told nothing.
#[tokio::test]
async fn what_is_being_forgotten_is_told_before_the_store_tells_of_it() {
    for set in [["shot:a"], ["shot:*"]] {
        let mut rig = Rig::new().await;
        rig.publish_each(&["shot:a", "shot:a", "room:a"]).await;
        rig.restart().await;
        let mut reader = rig.read(&set, behind(0)).await;
        assert_eq!(reader.look(rig.now, ALL, &mut Page::default()).unwrap(), Look::Below);
        // Not settled: the news is still on its way.
        rig.running.node.log(LogId::Memory).forget(&channel("shot:a")).await.unwrap();
        let told = rig.drain(&mut reader).await;
        assert_eq!(told, [format!("{} forgotten at 2 next ? lost ?", set[0])]);
    }
}

#[tokio::test]
async fn a_name_can_be_used_again_at_once_after_it_was_forgotten() {
    let rig = Rig::new().await;
    rig.publish_each(&["shot:a", "shot:a"]).await;
    let store = rig.stores[1].clone();
    // Another node does it: this one has not heard of it yet.
    store.inner.forget(&channel("shot:a")).await.unwrap();
    let node = rig.running.node.clone();
    let mut publish =
        Box::pin(async move { node.publish(&grant(SPACES), vec![draft("shot:a", "1")], 1).await });
    let placed = is_ready(&mut publish).await.unwrap().unwrap();
    assert_eq!(placed[0].seq, 3);
}

// ---- Rule 7: where reading begins

// Mutant: the floor of `last` is the N-th last event itself -> one too few.
#[tokio::test]
async fn last_tells_the_last_of_each_channel_and_no_gap() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        let a = rig.publish_each(&["room:a", "room:a", "room:b", "room:a", "room:b", "room:a"]).await;
        rig.trim("room:a", &a[0]).await;
        if restarts {
            rig.restart().await;
        }
        let set = ["room:a", "room:b"];
        assert_eq!(rig.told(&set, Start::Last(1)).await, ["room:b#2", "room:a#4"]);
        let told = rig.told(&set, Start::Last(2)).await;
        assert_eq!(told, ["room:b#1", "room:a#3", "room:b#2", "room:a#4"]);
        let told = rig.told(&set, Start::Last(9)).await;
        assert_eq!(told, ["room:a#2", "room:b#1", "room:a#3", "room:b#2", "room:a#4"], "fewer are left");
        assert_eq!(rig.told(&set, Start::Last(0)).await, [""; 0]);
    }
}

// Mutants: the feed starts at 0 instead of its floor -> too many; no floors of the channels -> gaps.
#[tokio::test]
async fn last_of_a_prefix_counts_over_all_of_it() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        let a = rig.publish_each(&["room:a", "room:b", "room:a", "room:c", "room:b", "room:c"]).await;
        rig.trim("room:a", &a[2]).await;
        if restarts {
            rig.restart().await;
        }
        assert_eq!(rig.told(&["room:*"], Start::Last(2)).await, ["room:b#2", "room:c#2"]);
        let told = rig.told(&["room:*"], Start::Last(50)).await;
        assert_eq!(told, ["room:b#1", "room:c#1", "room:b#2", "room:c#2"], "no gap for what was not asked");
    }
}

// Mutant: the floor of a name's first event without its `prev` -> a gap for what was not asked.
#[tokio::test]
async fn last_tells_nothing_of_channels_that_were_forgotten_before() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        rig.publish_each(&["shot:a", "shot:b", "shot:b"]).await;
        rig.forget("shot:b").await;
        rig.publish_each(&["shot:b", "shot:c"]).await;
        if restarts {
            rig.restart().await;
        }
        assert_eq!(rig.told(&["shot:b"], Start::Last(9)).await, ["shot:b#4"]);
        assert_eq!(rig.told(&["shot:*"], Start::Last(9)).await, ["shot:a#1", "shot:b#4", "shot:c#5"]);
    }
}

// Mutant: marks at or below the one seen at the beginning left out for ever -> what is forgotten later is not told.
#[tokio::test]
async fn what_is_forgotten_after_last_was_asked_is_told() {
    for set in [["shot:a"], ["shot:*"]] {
        let rig = Rig::new().await;
        rig.publish_each(&["shot:a", "shot:z"]).await;
        rig.forget("shot:z").await;
        let mut reader = rig.read(&set, Start::Last(9)).await;
        // The mark of the namespace stays where it is.
        rig.forget("shot:a").await;
        assert_eq!(rig.drain(&mut reader).await, [format!("{} forgotten at 2 next ? lost ?", set[0])]);
    }
}

// Mutant: signals made to start at 0 -> old typing is told again.
#[tokio::test]
async fn signals_start_now_expire_and_leave_no_gap() {
    let mut rig = Rig::new().await;
    rig.publish_each(&["typing:a", "room:a"]).await;
    let told = rig.told(&["typing:a", "room:a"], Start::Beginning).await;
    assert_eq!(told, ["room:a#1"], "start is now for signals");
    assert_eq!(rig.told(&["typing:a", "room:a"], Start::Last(5)).await, ["room:a#1"], "last skips them");
    assert_eq!(rig.told(&["typing:a"], behind(0)).await, ["typing:a#1"], "a poll sees what came since");
    rig.now += 10_000;
    assert_eq!(rig.told(&["typing:a"], behind(0)).await, [""; 0], "gone without a mark");
    for _ in 0..300 {
        rig.publish(&["typing:b"]).await;
    }
    let told = rig.told(&["typing:b"], behind(0)).await;
    assert_eq!((told.len(), told[0].as_str()), (256, "typing:b#45"), "the newest 256 of a channel");
}

// Mutant: the bound of channels per look applied to signals -> looks for ever.
#[tokio::test]
async fn signals_of_any_number_of_channels_are_seen_through_a_prefix() {
    let rig = Rig::new().await;
    let mut reader = rig.read(&["typing:*"], Start::Now).await;
    let names: Vec<_> = (0..100).map(|i| format!("typing:{i}")).collect();
    rig.publish(&names.iter().map(|name| &**name).collect::<Vec<_>>()).await;
    assert_eq!(rig.drain(&mut reader).await.len(), 100);
}

// ---- Rule 8: joining and leaving

// Mutant: events collected once for each member that they belong to -> twice.
#[tokio::test]
async fn a_prefix_that_joins_a_channel_of_its_own_repeats_nothing() {
    for restarts in [false, true] {
        let mut rig = Rig::new().await;
        let first = rig.publish_each(&["room:a", "room:b"]).await;
        if restarts {
            rig.restart().await;
        }
        let mut reader = rig.read(&["room:a"], Start::Beginning).await;
        assert_eq!(rig.drain(&mut reader).await, ["room:a#1"]);
        reader.join(&patterns(&["room:*"]), Start::Now, rig.now, 1).await.unwrap();
        let a = rig.publish_each(&["room:a", "room:b", "room:a"]).await;
        assert_eq!(rig.drain(&mut reader).await, ["room:a#2", "room:b#2", "room:a#3"]);
        let refused = reader.join(&patterns(&["room:b"]), Start::Now, rig.now, 2).await.unwrap_err();
        assert_eq!(refused, Error::Already(pattern("room:b")));
        rig.publish_each(&["room:a"]).await;
        rig.trim("room:a", &a[2]).await;
        let cursor = reader.cursor().unwrap();
        let mut reader = rig.read(&["room:a"], behind(first[0].position.number())).await;
        let joined = reader.join(&patterns(&["room:*"]), Start::After(cursor), rig.now, 1).await.unwrap();
        assert_eq!(joined, Joined::Now, "above the feed's place");
        let told = rig.drain(&mut reader).await;
        assert_eq!(
            told,
            ["room:a trimmed at 5 next 4 lost ?", "room:a#4"],
            "once, by whoever followed it first"
        );
    }
}

// Mutant: `Joined` forgotten when it could not be written -> the client waits for its `ok` for ever.
#[tokio::test]
async fn the_end_of_a_backlog_is_told_again_until_it_was_written() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:b"]).await;
    let mut reader = rig.read(&["room:a"], Start::Now).await;
    rig.drain(&mut reader).await;
    let joined = reader.join(&patterns(&["room:b"]), Start::Beginning, rig.now, 42).await.unwrap();
    assert_eq!(joined, Joined::Later);
    let mut page = Page::default();
    reader.look(rig.now, ALL, &mut page).unwrap();
    let before = reader.cursor();
    reader.took(&page, 1);
    assert_eq!(reader.cursor(), before, "a backlog moves no cursor");
    for _ in 0..3 {
        assert_eq!(reader.look(rig.now, ALL, &mut page).unwrap(), Look::Found);
        assert!(matches!(page.items[0].what, What::Joined(42)));
        reader.took(&page, 0);
    }
    assert_eq!(rig.drain(&mut reader).await, ["joined 42"]);
    assert_eq!(rig.drain(&mut reader).await, [""; 0]);
}

// Mutant: a backlog without channels merged as it is -> the cursor keeps a part of a log that is not followed.
#[tokio::test]
async fn a_channel_can_leave_while_it_joins() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "disk:b", "room:b"]).await;
    let mut reader = rig.read(&["room:a"], Start::Now).await;
    rig.drain(&mut reader).await;
    reader.join(&patterns(&["room:b", "disk:b"]), Start::Beginning, rig.now, 1).await.unwrap();
    reader.leave(&patterns(&["disk:b"])).unwrap();
    assert_eq!(rig.drain(&mut reader).await, ["room:b#1", "joined 1"]);
    assert_eq!(reader.cursor().unwrap().parts().len(), 1);
    assert!(matches!(reader.leave(&patterns(&["disk:b"])), Err(Error::NotFollowed(_))));
}

// Mutant: `after` above the place ignored as a floor -> what was not asked is told.
#[tokio::test]
async fn an_after_above_the_place_is_a_floor() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:b", "room:b", "room:a", "room:b"]).await;
    let mut reader = rig.read(&["room:a"], behind(1)).await;
    let joined = reader.join(&patterns(&["room:b"]), behind(3), rig.now, 1).await.unwrap();
    assert_eq!(joined, Joined::Now);
    assert_eq!(rig.drain(&mut reader).await, ["room:a#2", "room:b#3"]);
}

// ---- Rule 9: epochs

// Mutant: the gap told for signals too -> one too many.
#[tokio::test]
async fn a_cursor_of_another_epoch_is_told_one_gap_for_each_member_at_the_base() {
    let mut rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:a", "typing:a"]).await;
    rig.lose_memory().await;
    rig.publish_each(&["room:b", "room:a", "typing:a"]).await;
    let told = rig.told(&["room:a", "room:x", "typing:a"], behind(3)).await;
    assert_eq!(
        told,
        ["room:a epoch at 0 next 1 lost ?", "room:x epoch at 0 next ? lost ?", "room:a#1", "typing:a#1"]
    );
    let mut signals = rig.read(&["typing:a"], behind(3)).await;
    assert_eq!(rig.drain(&mut signals).await, ["typing:a#1"], "signals are moved without a word");
    assert_eq!(signals.cursor().unwrap().part(LogId::Memory).unwrap().epoch, Epoch::new(9));
}

// Mutant: `given` not asked -> the cursor waits five seconds and is sent in a circle.
#[tokio::test]
async fn a_cursor_above_what_a_store_that_is_alone_has_given_is_told_a_gap() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:a"]).await;
    assert_eq!(rig.told(&["room:a"], behind(2)).await, [""; 0]);
    let told = rig.told(&["room:a"], behind(3)).await;
    assert_eq!(told, ["room:a epoch at 0 next 1 lost ?", "room:a#1", "room:a#2"]);
}

// ---- Publishing: grouping, bounds, retention

// Mutants: no bound of entries; no bound of bytes -> other group sizes.
#[tokio::test]
async fn what_arrives_during_an_append_goes_into_the_next_one() {
    let rig = Rig::new().await;
    let mut jobs = JoinSet::new();
    let publish = |jobs: &mut JoinSet<_>, count: usize, bytes: usize| {
        let node = rig.running.node.clone();
        let drafts: Vec<_> = (0..count).map(|_| draft("disk:a", vec![b'1'; bytes])).collect();
        jobs.spawn(async move { node.publish(&grant(SPACES), drafts, 1).await.unwrap() });
    };
    for count in [400, 400, 300, 1] {
        publish(&mut jobs, count, 1);
    }
    while jobs.join_next().await.is_some() {}
    // The first finds nobody at work; the rest have come by the time it is stored.
    let groups = |rig: &Rig| std::mem::take(&mut *rig.stores[0].batches.lock().unwrap());
    let events = groups(&rig);
    assert_eq!(events.iter().sum::<usize>(), 1_101);
    assert_eq!(events, [800, 301], "at most 1,000 entries");
    for _ in 0..40 {
        publish(&mut jobs, 1, 60_000);
    }
    while jobs.join_next().await.is_some() {}
    assert_eq!(groups(&rig), [17, 17, 6], "at most 1 MiB");
}

// Mutant: the bound of the queue left out -> nobody is refused.
#[tokio::test]
async fn more_publishes_than_may_wait_are_refused() {
    let rig = Rig::new().await;
    let mut options = NodeOptions::new(rig.spaces.clone(), 7);
    options.append_queue_max = 2;
    let stores = [5, 6].map(|epoch| Arc::new(Memory::new(Epoch::new(epoch))) as Arc<dyn Store>);
    let running = Running::open(options, stores).await;
    let mut jobs = JoinSet::new();
    for _ in 0..4 {
        let node = running.node.clone();
        jobs.spawn(async move { node.publish(&grant(SPACES), vec![draft("room:a", "1")], 1).await });
    }
    let all = jobs.join_all().await;
    assert_eq!(all.iter().filter(|outcome| **outcome == Err(Error::Overloaded)).count(), 2);
}

// Mutant: the bytes of the queue not counted, or not given back -> nobody is refused, or everybody from then on.
#[tokio::test]
async fn more_bytes_than_may_wait_are_refused() {
    let stores = [5, 6].map(|epoch| Arc::new(Memory::new(Epoch::new(epoch))) as Arc<dyn Store>);
    let running = Running::over(Rig::new().await.spaces, stores).await;
    let data = bytes::Bytes::from(vec![b'1'; 60_000]);
    let fits = APPEND_QUEUE_BYTES_MAX / data.len();
    for _ in 0..2 {
        let mut jobs = JoinSet::new();
        for _ in 0..fits + 20 {
            let (node, drafts) = (running.node.clone(), vec![draft("typing:a", data.clone())]);
            jobs.spawn(async move { node.publish(&grant(SPACES), drafts, 1).await });
        }
        let all = jobs.join_all().await;
        assert_eq!(all.iter().filter(|outcome| **outcome == Err(Error::Overloaded)).count(), 20);
    }
}

#[tokio::test]
async fn a_publish_into_both_logs_is_refused_and_nothing_is_stored() {
    let rig = Rig::new().await;
    let drafts = vec![draft("room:a", "1"), draft("disk:a", "1")];
    let refused = rig.running.node.publish(&grant(SPACES), drafts, 1).await;
    assert!(matches!(refused, Err(Error::Request(_))));
    assert!(rig.stores.iter().all(|store| store.truth.lock().unwrap().facts.is_empty()));
}

// Mutant: trimmed to a mark above `seq - keep` -> fewer than `events_max` stay.
#[tokio::test]
async fn retention_keeps_at_least_what_it_promises_and_at_most_a_tenth_more() {
    for most in [1, 7, 100, 1_000] {
        let rig = Rig::with(|space| space.events_max = most).await;
        for _ in 0..(most * 3).div_ceil(50) + 20 {
            rig.publish(&vec!["room:a"; 50.min(most as usize)]).await;
            settle().await;
            let truth = rig.stores[1].truth.lock().unwrap();
            let kept = truth.facts.iter().filter(|fact| fact.removed.is_none()).count() as u64;
            let all = truth.facts.len() as u64;
            assert!(kept >= most.min(all), "{kept} of {all} kept, {most} promised");
            assert!(kept <= most + most / 10 + 64.min(most / 16 + 1), "{kept} kept, {most} promised");
        }
    }
}

// ---- Pages

// Mutant: a page that was fetched for others is kept although a member has fallen behind it -> looks for ever.
#[tokio::test]
async fn a_member_that_falls_behind_while_others_are_fetched_is_fetched_too() {
    let mut rig = Rig::new().await;
    rig.publish(&vec!["room:a"; 600]).await;
    rig.restart().await;
    let mut reader = rig.read(&["room:a", "room:b"], Start::Beginning).await;
    let mut page = Page::default();
    assert_eq!(reader.look(rig.now, ALL, &mut page).unwrap(), Look::Below);
    reader.fetch().await.unwrap();
    for _ in 0..2 {
        rig.publish(&vec!["room:b"; 1_000]).await;
    }
    assert_eq!(rig.drain(&mut reader).await.len(), 2_600);
}

// Mutants: holes in a page not looked for; events behind the place of the gap left in the page -> silence.
#[tokio::test]
async fn a_page_that_was_trimmed_while_it_was_read_ends_below_the_gap() {
    let mut rig = Rig::new().await;
    let a = rig.publish_each(&["room:a", "room:a", "room:b", "room:a"]).await;
    rig.restart().await;
    let mut reader = rig.read(&["room:*"], Start::Beginning).await;
    assert_eq!(reader.look(rig.now, ALL, &mut Page::default()).unwrap(), Look::Below);
    // The first event was read before the trim, the others behind it.
    *rig.stores[1].edit.lock().unwrap() =
        Some(|page| page.events.retain(|event| event.position != Position::new(2)));
    reader.fetch().await.unwrap();
    rig.stores[1].inner.trim(&channel("room:a"), a[1].position).await.unwrap();
    let told = rig.drain(&mut reader).await;
    assert_eq!(told, ["room:a#1", "room:a trimmed at 2 next 3 lost ?", "room:b#1", "room:a#3"]);
}

// Mutant: a budget of nothing taken by its word -> looks for ever.
#[tokio::test]
async fn a_page_holds_at_least_one_event_whatever_the_budget() {
    let rig = Rig::new().await;
    rig.publish_each(&["room:a", "room:b", "room:a"]).await;
    let nothing = Budget { events: 0, bytes: 0 };
    let mut reader = rig.read(&["room:*"], Start::Beginning).await;
    assert_eq!(rig.drain_by(&mut reader, nothing, 1).await, ["room:a#1", "room:b#1", "room:a#2"]);
    let _: Pattern = pattern("room:*");
}
