//! What a log may say after its files were damaged: what was written, an announced loss, an error, or nothing of what is
//! younger than its witness; never anything else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use sosik_core::{
    cursor::{Epoch, LogId, Position},
    name::ChannelName,
    record,
    store::{
        Batch, Change, Followed, Keep, Memo, MemoKey, MemoKind, Place, Placed, Scope, Store, StoreError,
        Stored,
    },
};
use sosik_store::Disk;
use sosik_testkit::store_suite::{ALL, channel, entry};

use crate::kit::{Scratch, next};

/// All that a log ever acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Original {
    pub(crate) epoch: Epoch,
    events: BTreeMap<Position, Stored>,
    /// The channels' last places, of those that have a record.
    heads: BTreeMap<ChannelName, (u64, Position)>,
    gone: BTreeMap<ChannelName, Position>,
    memos: Vec<(Memo, Placed)>,
}

/// One thing done to a log, each a commit or more of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Events of these channels, in one batch.
    Append(&'static [&'static str]),
    Signal(&'static str),
    /// Everything but the last event.
    Trim(&'static str),
    Forget(&'static str),
}

/// What the small log consists of.
pub(crate) const STEPS: [Step; 12] = [
    Step::Append(&["room:a"]),
    Step::Append(&["room:a", "room:b", "match:x"]),
    Step::Append(&["match:x", "match:x", "room:a"]),
    Step::Signal("typing:a"),
    Step::Append(&["room:b", "room:b"]),
    Step::Trim("room:a"),
    Step::Append(&["match:y", "room:c", "room:a"]),
    Step::Forget("match:x"),
    Step::Append(&["room:a"]),
    Step::Append(&["room:d", "room:d", "room:d", "room:b"]),
    Step::Trim("room:d"),
    Step::Append(&["room:c", "room:a"]),
];

impl Original {
    pub(crate) async fn new(store: &Disk) -> Self {
        let epoch = Store::open(store).await.unwrap().epoch;
        let (events, heads, gone) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { epoch, events, heads, gone, memos: Vec::new() }
    }

    pub(crate) async fn step(&mut self, store: &Disk, step: Step, id: u128) {
        match step {
            Step::Append(names) => self.append(store, names, id, true).await,
            Step::Signal(name) => self.append(store, &[name], id, false).await,
            Step::Trim(name) => {
                let page = store.page(&channel(name), Position::START, Position::END, ALL).await.unwrap();
                let to = page.events[page.events.len() - 2].position;
                store.trim(&channel(name), to).await.unwrap();
                self.gone.insert(channel(name), to);
            }
            Step::Forget(name) => {
                store.forget(&channel(name)).await.unwrap();
                let (_, last) = self.heads.remove(&channel(name)).unwrap();
                self.gone.insert(channel(name), last);
            }
        }
    }

    async fn append(&mut self, store: &Disk, names: &[&str], id: u128, kept: bool) {
        let mut entries = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let data = format!("{id} {at}");
            let before = names[..at].iter().rposition(|other| other == name);
            entries.push(match before {
                Some(before) => entry(&channel(name), Place::Behind(before as u32), &data, kept),
                None => next(store, name, Position::START, &data, kept).await,
            });
        }
        let memo = memo(id);
        let batch = Batch { id, entries: entries.clone(), memos: vec![memo.clone()] };
        let placed = store.append(batch).await.unwrap().placed;
        self.memos.push((memo, placed[0]));
        for (entry, placed) in entries.into_iter().zip(placed) {
            let before = self.heads.insert(entry.channel.clone(), (placed.seq, placed.position));
            let prev = before.map_or(Position::START, |(_, position)| position);
            let channel = entry.channel.clone();
            let stored =
                Stored { position: placed.position, channel, seq: placed.seq, prev, body: entry.body, kept };
            if kept {
                self.events.insert(placed.position, stored);
            }
        }
    }

    fn channels(&self) -> BTreeSet<ChannelName> {
        let of_events = self.events.values().map(|event| event.channel.clone());
        of_events.chain(self.heads.keys().cloned()).collect()
    }

    /// What must be there of `channels` in the epoch in which it was acknowledged.
    fn kept(&self, channel: &ChannelName, vouched: Position) -> BTreeSet<Position> {
        let gone = self.gone.get(channel).copied().unwrap_or_default();
        let own = self.events.values().filter(|event| event.channel == *channel && event.position > gone);
        own.map(|event| event.position).filter(|position| *position <= vouched).collect()
    }

    pub(crate) fn only_what_was_written(&self, told: &[Stored]) {
        told.iter().for_each(|event| assert_eq!(Some(event), self.events.get(&event.position)));
    }

    fn allows(&self, told: &Stored) {
        let written = self.events.get(&told.position);
        let written = written.unwrap_or_else(|| panic!("told what never was: {told:?}"));
        assert_eq!((&told.channel, told.seq), (&written.channel, written.seq), "{told:?}");
        if record::decode(LogId::Disk, self.epoch, told).is_ok() {
            assert_eq!(told, written);
        }
    }

    /// Reads all of `store`, whose files were damaged. What lies above `vouched` may be gone in silence.
    pub(crate) async fn check(&self, store: &Disk, vouched: Position) {
        let opened = Store::open(store).await.unwrap();
        let is_same = opened.epoch == self.epoch;
        assert_eq!(is_same, store.renewed().is_none());
        let mut all = BTreeSet::new();
        for channel in self.channels() {
            let page = store.page(&channel, Position::START, Position::END, ALL).await;
            let Some(page) = answer(page) else { continue };
            page.events.iter().for_each(|event| self.allows(event));
            let told: BTreeSet<_> = page.events.iter().map(|event| event.position).collect();
            let expected = self.kept(&channel, vouched);
            all.extend(expected.iter().copied());
            if is_same {
                assert!(told.is_superset(&expected), "{channel}: {told:?} of {expected:?} in silence");
            }
            if let Some(mut before) = answer(store.before(&channel, Position::END, ALL).await) {
                before.events.reverse();
                assert_eq!(before.events, page.events);
            }
            let head = answer(store.channel(&channel).await).flatten();
            let last = page.events.last().map(|event| (event.seq, event.position));
            assert!(last.is_none_or(|last| head.is_some_and(|head| last <= (head.seq, head.position))));
        }
        if let Some(range) = answer(store.range(Scope::All, Position::START, Position::END, ALL).await) {
            range.events.iter().for_each(|event| self.allows(event));
            let told: BTreeSet<_> = range.events.iter().map(|event| event.position).collect();
            assert!(!is_same || told.is_superset(&all), "{told:?} of {all:?} in silence");
        }
        for (memo, placed) in &self.memos {
            let found = answer(store.recall(vec![memo.key.clone()]).await);
            let Some(found) = found.map(|mut found| found.remove(0)) else { continue };
            assert!(found.is_some() || !is_same || placed.position > vouched, "{memo:?} in silence");
            // Without a value it is damaged, and said to be so.
            if let Some(found) = found.filter(|found| !found.value.is_empty()) {
                assert_eq!((&found.value, &found.placed), (&memo.value, &vec![*placed]));
            }
        }
        if opened.head > Position::START
            && let Followed::News { changes, .. } = store.follow(Position::START).next().await
        {
            for change in changes {
                if let Change::Event(event) = change {
                    self.allows(&event);
                }
            }
        }
        self.goes_on(store, is_same, vouched).await;
    }

    /// A place is given at most once in an epoch.
    async fn goes_on(&self, store: &Disk, is_same: bool, vouched: Position) {
        for name in ["room:a", "room:d"] {
            let Some(head) = answer(store.channel(&channel(name)).await) else { continue };
            let place = head.map_or(Place::First { prev: Position::START }, |head| Place::After {
                seq: head.seq + 1,
                prev: head.position,
            });
            let entries = vec![entry(&channel(name), place, "more", true)];
            let Ok(placed) = store.append(Batch::new(fastrand::u128(..), entries)).await else { continue };
            let placed = placed.placed[0];
            let page = answer(store.page(&channel(name), Position::START, Position::END, ALL).await);
            for told in page.iter().flat_map(|page| &page.events).filter(|told| told.seq == placed.seq) {
                assert_eq!(told.position, placed.position, "a number is given twice");
            }
            let written = self.events.keys().next_back().copied().unwrap_or_default().min(vouched);
            assert!(!is_same || placed.position > written, "a position is given twice");
        }
    }
}

fn memo(id: u128) -> Memo {
    let kind = if id.is_multiple_of(2) { MemoKind::Key } else { MemoKind::Producer };
    let key = MemoKey { kind, namespace: "room".into(), name: format!("memo {id}").into() };
    Memo {
        key,
        value: format!("value {id}").into(),
        entries: vec![0],
        keep: Keep { most: 100, ms: u64::MAX },
    }
}

/// A read that fails says why; one that panics is a fault.
fn answer<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Option<T> {
    match answer {
        Ok(found) => Some(found),
        Err(StoreError::Failed(why)) => {
            assert!(!why.is_empty() && !why.contains("without an answer"), "{why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The files of a directory, as they are now, without the zeros at their ends.
#[derive(Debug, Clone)]
pub(crate) struct Files(pub(crate) BTreeMap<PathBuf, (Vec<u8>, u64)>);

impl Files {
    pub(crate) fn read(directory: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut open = vec![directory.to_owned()];
        while let Some(directory_now) = open.pop() {
            for found in fs::read_dir(directory_now).unwrap() {
                let path = found.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let name = path.strip_prefix(directory).unwrap().to_owned();
                files.insert(name, (used(&path), fs::metadata(&path).unwrap().len()));
            }
        }
        Self(files)
    }

    pub(crate) fn write(&self, scratch: &Scratch) {
        for (name, (bytes, length)) in &self.0 {
            let path = scratch.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let file = fs::File::create(path).unwrap();
            file.write_all_at(bytes, 0).unwrap();
            file.set_len(*length).unwrap();
        }
    }

    /// Lays them down in `directory` without those zeros, with a list of their names and lengths.
    pub(crate) fn keep(&self, directory: &Path) {
        let mut list = String::new();
        for (name, (bytes, length)) in &self.0 {
            let path = directory.join(USED).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
            list.push_str(&format!("{length} {}\n", name.display()));
        }
        fs::write(directory.join(LIST), list).unwrap();
    }

    /// What [`Files::keep`] has laid down.
    pub(crate) fn kept(directory: &Path) -> Self {
        let list = fs::read_to_string(directory.join(LIST)).unwrap();
        let files = list.lines().map(|line| {
            let (length, name) = line.split_once(' ').unwrap();
            let bytes = fs::read(directory.join(USED).join(name)).unwrap();
            (name.into(), (bytes, length.parse().unwrap()))
        });
        Self(files.collect())
    }

    /// What the witness in them vouches for.
    pub(crate) fn vouched(&self) -> Position {
        let (bytes, _) = &self.0[Path::new("witness")];
        let number = |at: usize| {
            let bytes: [u8; 8] = bytes.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let slot = |at: usize| Some((number(at + 5)?, number(at + 21)?));
        let newest = [slot(0), slot(4096)].into_iter().flatten().max();
        newest.map_or(Position::START, |(_, head)| Position::new(head))
    }
}

/// The part of a file before its last zeros. The engine makes its journals 64 MiB long at once.
fn used(path: &Path) -> Vec<u8> {
    let file = fs::File::open(path).unwrap();
    let mut bytes = vec![0; file.metadata().unwrap().len().min(USED_BYTES_MAX) as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    assert!((end as u64) < USED_BYTES_MAX, "{} is not small", path.display());
    bytes.truncate(end);
    bytes
}

const USED: &str = "files";
const LIST: &str = "files.txt";
const USED_BYTES_MAX: u64 = 512 * 1024;
