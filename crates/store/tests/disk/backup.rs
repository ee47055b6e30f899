//! Backups of a log that lives, logs made of them, and what readers of the old one are told.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sosik_core::{
    ChannelName, Cursor, Draft, Epoch, GapReason, Grant, Herald, LogId, Look, Namespace, Node, NodeOptions,
    Page, Pattern, Start, Store, Verb, Verbs, WatchId, What,
    cursor::Position,
    store::{Batch, Place},
};
use sosik_store::{
    Disk, Memory,
    disk::{Copied, CopyError, OpenError, restore},
};
use sosik_testkit::store_suite::{block_on, channel, entry};
use tokio::task::JoinSet;

use crate::kit::{Scratch, append, options, whole};

// Mutants: the tables read as they are now and not as they were -> never comes to its end; a table left out -> fails.
#[test]
fn a_backup_is_the_log_at_one_moment_whatever_goes_on() {
    let (scratch, kept, restored) = (Scratch::new(), Scratch::new(), Scratch::new());
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    threads.block_on(async {
        let store = scratch.open();
        for id in 0..200 {
            append(&store, id, &format!("room:{}", id % 7)).await;
        }
        let gone = whole(&store, "room:0").await.events[3].position;
        store.trim(&channel("room:0"), gone).await.unwrap();
        store.forget(&channel("room:6")).await.unwrap();
        let before = everything(&store).await;
        // Events come all the time: the first ones while the first rows are read.
        let writing = store.clone();
        let mut writers = JoinSet::new();
        let parts = Arc::new(AtomicU64::new(0));
        let seen = parts.clone();
        let wrote = Arc::new(AtomicU64::new(0));
        let count = wrote.clone();
        writers.spawn(async move {
            for id in 1_000.. {
                append(&writing, id, &format!("room:{}", id % 6)).await;
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let waits = wrote.clone();
        let told = move |_: Copied| {
            let had = waits.load(Ordering::SeqCst);
            // The log does not wait for the backup: between two parts an append is acknowledged.
            let waited = (0..PATIENCE).take_while(|_| waits.load(Ordering::SeqCst) == had);
            let waited = waited.inspect(|_| std::thread::sleep(Duration::from_millis(10))).count();
            assert!(waited < PATIENCE, "no append was acknowledged");
            seen.fetch_add(1, Ordering::SeqCst);
        };
        let backup = store.backup(kept.path(), told).await.unwrap();
        writers.shutdown().await;
        assert!(parts.load(Ordering::SeqCst) >= 4 && wrote.load(Ordering::SeqCst) >= 4);
        assert!(backup.head < store.given().unwrap());

        let made = restore(kept.path(), restored.path(), Epoch::new(99), |_| ()).unwrap();
        assert_eq!((made.epoch, made.head), (Epoch::new(99), backup.head));
        let again = restored.open();
        let opened = Store::open(&again).await.unwrap();
        assert_eq!((opened.epoch, opened.base, opened.head), (Epoch::new(99), backup.head, backup.head));
        let after = everything(&again).await;
        // What was there before the backup began is there, and what came while it ran is there up to its moment.
        for ((name, old), (_, new)) in before.iter().zip(&after) {
            assert!(new.starts_with(old), "{name}");
            assert!(new.iter().all(|event| event.0 <= backup.head.number()), "{name}");
        }
        let record = again.channel(&channel("room:0")).await.unwrap().unwrap();
        assert_eq!(record.trimmed_to, gone);
        let live: Vec<_> = everything(&store).await;
        for ((name, new), (_, old)) in after.iter().zip(&live) {
            assert!(old.starts_with(new), "{name}: {} of {}", new.len(), old.len());
            assert_eq!(
                old.iter().filter(|event| event.0 <= backup.head.number()).count(),
                new.len(),
                "{name}"
            );
        }
    });
}

/// Channels with their events: position, number, bytes.
async fn everything(store: &Disk) -> Vec<(String, Vec<(u64, u64, bytes::Bytes)>)> {
    let mut all = Vec::new();
    for at in 0..6 {
        let name = format!("room:{at}");
        let events = whole(store, &name).await.events;
        let events =
            events.into_iter().map(|event| (event.position.number(), event.seq, event.body)).collect();
        all.push((name, events));
    }
    all
}

// Mutants: a backup opened as a log; whatever lies in the directory thrown away for a new one -> both fail.
#[test]
fn what_is_not_a_finished_backup_is_refused_in_words() {
    let (scratch, kept, other) = (Scratch::new(), Scratch::new(), Scratch::new());
    block_on(async {
        let store = scratch.open();
        append(&store, 1, "room:a").await;
        assert!(matches!(store.backup(scratch.path(), |_| ()).await, Err(CopyError::Inside(_))));
        fs::create_dir(other.path()).unwrap();
        fs::write(other.path().join("photo.jpg"), "x").unwrap();
        assert!(matches!(store.backup(other.path(), |_| ()).await, Err(CopyError::NotEmpty(_))));
        store.backup(kept.path(), |_| ()).await.unwrap();
        assert!(matches!(store.backup(kept.path(), |_| ()).await, Err(CopyError::NotEmpty(_))));
        let opened = Disk::open(kept.path(), options());
        assert!(matches!(&opened, Err(OpenError::Backup(path)) if path == kept.path()), "{opened:?}");
    });
    let again = |from: &Path, to: &Path| restore(from, to, Epoch::new(5), |_| ());
    assert!(matches!(again(scratch.path(), other.path()), Err(CopyError::NotABackup(_))), "a log");
    assert!(matches!(again(other.path(), scratch.path()), Err(CopyError::NotABackup(_))), "photographs");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1, "something was left there");
    let missing = Scratch::new();
    assert!(matches!(again(missing.path(), missing.path()), Err(CopyError::NotABackup(_))));
    assert!(!missing.path().exists());
    assert!(matches!(again(kept.path(), other.path()), Err(CopyError::NotEmpty(_))));
    assert!(matches!(again(kept.path(), scratch.path()), Err(CopyError::NotEmpty(_))), "a log");
    let marker = kept.path().join("format");
    let finished = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, finished.replace('1', "2")).unwrap();
    let error = again(kept.path(), missing.path()).unwrap_err();
    assert!(matches!(error, CopyError::Open(OpenError::Format { .. })), "{error}");
    fs::write(&marker, finished.replace("backup", "backup begun")).unwrap();
    assert!(matches!(again(kept.path(), missing.path()), Err(CopyError::Unfinished(_))));
    block_on(async {
        // A backup that was not finished is begun anew.
        let store = scratch.open();
        store.backup(kept.path(), |_| ()).await.unwrap();
    });
    let made = again(kept.path(), missing.path()).unwrap();
    assert_eq!(made.head, Position::new(1));
}

// Mutant: a row not held against its checksum -> copied.
#[test]
fn a_damaged_row_is_named_and_nothing_is_finished() {
    let (scratch, kept) = (Scratch::new(), Scratch::new());
    block_on(async {
        let store = scratch.open();
        append(&store, 1, "room:a").await;
        append(&store, 2, "room:b").await;
    });
    spoil(scratch.path(), "room:b");
    block_on(async {
        let store = scratch.open();
        let error = store.backup(kept.path(), |_| ()).await.unwrap_err();
        assert!(matches!(&error, CopyError::Damaged(what) if what.contains("room:b")), "{error}");
        assert!(matches!(Disk::open(kept.path(), options()), Err(OpenError::Backup(_))));
    });
    let missing = Scratch::new();
    let error = restore(kept.path(), missing.path(), Epoch::new(5), |_| ()).unwrap_err();
    assert!(matches!(error, CopyError::Unfinished(_)), "{error}");
}

/// Flips a bit of the events of a channel, past the engine.
fn spoil(directory: &Path, name: &str) {
    let database = fjall::Database::builder(directory.join("tables")).open().unwrap();
    let events = database.keyspace("events", Default::default).unwrap();
    for row in events.prefix(name.as_bytes()) {
        let (key, value) = row.into_inner().unwrap();
        let mut value = value.to_vec();
        *value.last_mut().unwrap() ^= 1;
        events.insert(key, value).unwrap();
    }
    database.persist(fjall::PersistMode::SyncAll).unwrap();
}

// Mutants: the epoch of the backup kept -> other events are told under the old numbers; the base 0 -> old ones are repeated.
#[test]
fn a_reader_of_before_the_restore_gets_a_gap_and_what_came_since() {
    let (scratch, kept, restored) = (Scratch::new(), Scratch::new(), Scratch::new());
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    threads.block_on(async {
        let cursors = {
            let server = Server::over(scratch.open()).await;
            let mut cursors = vec![server.publish("old", 15).await];
            server.store.backup(kept.path(), |_| ()).await.unwrap();
            cursors.push(server.publish("lost", 10).await);
            cursors
        };
        restore(kept.path(), restored.path(), Epoch::new(99), |_| ()).unwrap();
        let server = Server::over(restored.open()).await;
        server.publish("new", 20).await;
        for cursor in cursors {
            let told = server.told(Start::After(cursor), 21).await;
            assert_eq!(told[0], "gap at 15");
            assert!(told[1..].iter().cloned().eq((0..20).map(|at| format!("new {at}"))), "{told:?}");
        }
        let told = server.told(Start::Beginning, 35).await;
        assert_eq!((&*told[0], &*told[14], &*told[15]), ("old 0", "old 14", "new 0"));
    });
}

#[test]
fn a_cursor_of_another_server_gets_a_gap_and_the_whole_log() {
    let (one, other) = (Scratch::new(), Scratch::new());
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    threads.block_on(async {
        let cursor = Server::over(one.open()).await.publish("there", 3).await;
        let server = Server::over(other.open()).await;
        server.publish("here", 5).await;
        let told = server.told(Start::After(cursor), 6).await;
        assert_eq!(told, ["gap at 0", "here 0", "here 1", "here 2", "here 3", "here 4"]);
    });
}

/// A node over a log on disk.
struct Server {
    store: Disk,
    node: Arc<Node>,
    grant: Grant,
    _logs: JoinSet<()>,
}

#[derive(Debug)]
struct Deaf;

impl Herald for Deaf {
    fn changed(&self, _: WatchId) {}
}

impl Server {
    async fn over(store: Disk) -> Self {
        let mut space = Namespace::new("room");
        space.log = LogId::Disk;
        let stores: [Arc<dyn Store>; 2] = [Arc::new(store.clone()), Arc::new(Memory::new(Epoch::new(1)))];
        let node = Node::open(NodeOptions::new(vec![space], fastrand::u64(..)), stores, Arc::new(Deaf));
        let node = node.await.unwrap();
        let mut logs = JoinSet::new();
        for id in LogId::ALL {
            let log = node.log(id).clone();
            logs.spawn(async move { log.run().await });
        }
        let rules = vec![(Pattern::parse("room:*").unwrap(), Verbs::from_iter(Verb::ALL))];
        Self { store, node, grant: Grant::anonymous(rules), _logs: logs }
    }

    /// Answers the place of the last one.
    async fn publish(&self, what: &str, count: u32) -> Cursor {
        let room = ChannelName::parse("room:a").unwrap();
        let mut last = None;
        for at in 0..count {
            let draft = Draft::json(room.clone(), format!("\"{what} {at}\""));
            last = self.node.publish(&self.grant, vec![draft], NOW).await.unwrap().pop();
        }
        Cursor::new([last.unwrap().part()])
    }

    /// The first `count` items that follow `start`; nothing may follow them.
    async fn told(&self, start: Start, count: usize) -> Vec<String> {
        let set = [Pattern::parse("room:a").unwrap()];
        let mut reader = self.node.read(self.grant.clone(), &set, start, NOW).await.unwrap();
        let (mut page, mut told) = (Page::default(), Vec::new());
        let budget = sosik_core::Budget { events: 1_000, bytes: 1 << 20 };
        for _ in 0..PATIENCE {
            match reader.look(NOW, budget, &mut page).unwrap() {
                Look::Nothing if told.len() >= count => return told,
                Look::Nothing => tokio::time::sleep(Duration::from_millis(10)).await,
                Look::Below => reader.fetch().await.unwrap(),
                Look::Found => {
                    told.extend(page.items.iter().filter_map(|item| match &item.what {
                        What::Event(event) => {
                            let text = String::from_utf8_lossy(event.data.bytes()).into_owned();
                            Some(text.trim_matches('"').to_owned())
                        }
                        What::Gap(gap) => {
                            assert_eq!(gap.reason, GapReason::Epoch);
                            Some(format!("gap at {}", gap.part.position.number()))
                        }
                        What::CaughtUp | What::Joined(_) => None,
                    }));
                    reader.took(&page, page.items.len());
                }
            }
        }
        panic!("{told:?}, and no more");
    }
}

#[test]
fn a_disk_that_is_too_small_for_the_copy_is_named() {
    crate::full::on_a_disk_of(24, "backup::is_backed_up_onto_a_small_disk");
}

/// Not a test of its own: a child of the one above.
#[test]
fn is_backed_up_onto_a_small_disk() {
    let Some(mounted) = crate::kit::child_directory() else { return };
    let scratch = Scratch::new();
    block_on(async {
        let store = scratch.open();
        let first = Place::First { prev: Position::START };
        for at in 0..40 {
            let entries = vec![entry(&channel(&format!("room:{at}")), first, &"x".repeat(1 << 20), true)];
            store.append(Batch::new(at, entries)).await.unwrap();
        }
        let error = store.backup(&mounted.join("backup"), |_| ()).await.unwrap_err();
        assert!(matches!(error, CopyError::NoRoom(_)), "{error:?}");
        assert!(matches!(Disk::open(&mounted.join("backup"), options()), Err(OpenError::Backup(_))));
        // The log itself goes on.
        append(&store, 100, "room:x").await;
    });
}

const NOW: u64 = 1_760_000_000_000;
const PATIENCE: usize = 1_000;
