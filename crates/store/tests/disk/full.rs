//! A disk that is full: a real one, of some megabytes, mounted for one test alone. Needs `unshare` and the right to mount,
//! which a user namespace gives to everybody.

use std::{
    env, fs,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sosik_core::{
    cursor::Position,
    store::{AppendError, Appended, Batch, Place, Store, StoreError},
};
use sosik_store::Disk;
use sosik_testkit::store_suite::{Listener, block_on, channel, entry};
use tokio::task::JoinSet;

use crate::kit::{Scratch, append, child, child_directory, next, options, whole};

/// Runs `test` in a child on a file system of its own of `megabytes`.
pub(crate) fn on_a_disk_of(megabytes: u32, test: &str) {
    let mounted = Scratch::new();
    fs::create_dir(mounted.path()).unwrap();
    let mut program = Command::new("unshare");
    program.args(["-rm", "sh", "-c", MOUNTED]).arg(mounted.path()).arg(format!("size={megabytes}m"));
    program.arg(env::current_exe().unwrap());
    let ran = child(program, test, mounted.path()).output().expect("unshare is installed (util-linux)");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(
        !said.contains(CANNOT),
        "this machine lets nobody mount a tmpfs of his own, which the test needs: {said}"
    );
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

// Mutants: the room not asked for -> stored; trims refused as well; the question asked before a batch is known as stored ->
// `Full` instead of `Duplicate`: all fail.
#[test]
fn appends_stop_at_the_reserve_trims_go_on_and_room_is_seen_at_once() {
    on_a_disk_of(96, "full::fills_up_to_the_reserve");
}

/// Not a test of its own: a child of the one above.
#[test]
fn fills_up_to_the_reserve() {
    let Some(mounted) = child_directory() else { return };
    block_on(async {
        let store = open(&mounted, RESERVE_BYTES);
        let mut listener = Listener::new(&store, Position::START, Default::default());
        for id in 1..=5 {
            append(&store, id, "room:a").await;
        }
        let last = append(&store, 6, "room:b").await.position;
        let filler = Filler::leaving(&mounted, RESERVE_BYTES / 2);
        let late = next(&store, "room:a", Position::START, "late", true).await;
        let batch = Batch::new(7, vec![late]);
        assert_eq!(store.append(batch.clone()).await, Err(AppendError::Full));
        let again = store.append(Batch { id: 5, ..batch.clone() }).await;
        assert!(matches!(again, Err(AppendError::Duplicate(_))), "{again:?}");
        assert_eq!(whole(&store, "room:a").await.events.len(), 5);
        let first = whole(&store, "room:a").await.events[0].position;
        store.trim(&channel("room:a"), first).await.unwrap();
        store.forget(&channel("room:b")).await.unwrap();
        listener.until(last).await;
        while !listener.knows_gone(&channel("room:b"), last) {
            listener.hear().await;
        }
        assert!(listener.knows_gone(&channel("room:a"), first));
        let figures = store.figures();
        assert_eq!((figures.appends_full, figures.failed, figures.events), (1, false, 6));
        assert!(figures.free_bytes.unwrap() < RESERVE_BYTES);
        drop(filler);
        assert_eq!(store.append(batch).await.unwrap().placed[0].seq, 6);
        assert_eq!(store.figures().reopened, 0);
    });
}

// Mutants: a write without room final -> never stored; the answer `Full` for what is under way; the engine not opened anew
// -> refused for ever: all fail.
#[test]
fn a_write_without_room_is_unknown_and_the_log_goes_on_by_itself() {
    on_a_disk_of(96, "full::runs_out_of_room_in_a_write");
}

/// Not a test of its own: a child of the one above. Its appends are larger on the disk than what they are judged by, so
/// that one passes the question for room and does not find it.
#[test]
fn runs_out_of_room_in_a_write() {
    let Some(mounted) = child_directory() else { return };
    block_on(async {
        let store = open(&mounted, 0);
        let mut listener = Listener::new(&store, Position::START, Default::default());
        let mut last = Position::START;
        for id in 1..=50 {
            last = append(&store, id, "room:a").await.position;
        }
        listener.until(last).await;
        let filler = Filler::leaving(&mounted, PAGE_BYTES);
        let lost = many(&store, 51, "room:a", 100).await;
        assert_eq!(store.append(lost.clone()).await, Err(AppendError::Unknown));
        // All that was acknowledged can be read, and nothing else; nothing is written.
        assert_eq!(whole(&store, "room:a").await.events.len(), 50);
        assert_eq!(store.append(lost.clone()).await, Err(AppendError::Unknown), "the same question again");
        let other = many(&store, 52, "room:b", 1).await;
        assert_eq!(store.append(other.clone()).await, Err(AppendError::Full));
        assert_eq!(store.trim(&channel("room:a"), last).await, Err(StoreError::Unavailable));
        assert!(!listener.glance().await, "something was told");
        assert!(!store.figures().failed);
        drop(filler);
        let placed = until_stored(&store, &lost).await.placed;
        assert_eq!(store.figures().reopened, 1);
        assert_eq!((placed[0].seq, placed[99].seq), (51, 150));
        listener.until(placed[99].position).await;
        assert_eq!(listener.events().count(), 150);
        until_stored(&store, &other).await;
        store.trim(&channel("room:a"), last).await.unwrap();
        drop((store, listener));
        let store = open(&mounted, 0);
        assert_eq!(whole(&store, "room:a").await.events.len(), 100);
        assert_eq!(whole(&store, "room:b").await.events.len(), 1);
    });
}

// Mutants: the failed commit forgotten -> what was stored after all is another log than the one acknowledged; what is found
// not published -> stored twice or told to nobody: both fail.
#[test]
fn a_write_that_came_to_its_end_after_all_is_told_and_stored_once() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.path()).unwrap();
    let mut program = Command::new("sh");
    // A write beyond the limit is an error, not the end of the process.
    program.args(["-c", "trap '' 25; exec \"$0\" \"$@\""]).arg(env::current_exe().unwrap());
    let ran = child(program, "full::is_stopped_by_a_limit_for_a_moment", scratch.path()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

/// Not a test of its own: a child of the one above. The limit to the size of files stands for a disk that has room again
/// before the engine has given up: its buffer is written out when it goes.
#[test]
fn is_stopped_by_a_limit_for_a_moment() {
    let Some(directory) = child_directory() else { return };
    block_on(async {
        let store = open(&directory, 0);
        let mut listener = Listener::new(&store, Position::START, Default::default());
        for id in 1..=5 {
            append(&store, id, "room:a").await;
        }
        limit_files(Some(written(&directory)));
        let lost = many(&store, 6, "room:a", 20).await;
        assert_eq!(store.append(lost.clone()).await, Err(AppendError::Unknown));
        limit_files(None);
        let again = until_answered(&store, &lost).await;
        assert!(matches!(again, Err(AppendError::Duplicate(_))), "{again:?}: not the case that was meant");
        let last = whole(&store, "room:a").await.events[24].position;
        listener.until(last).await;
        assert_eq!(listener.events().count(), 25);
        // The same for a mark.
        limit_files(Some(written(&directory)));
        let marks: Vec<_> = (0..120).map(|at| channel(&format!("room:{at}"))).collect();
        for (at, name) in marks.iter().enumerate() {
            limit_files(None);
            append(&store, 100 + at as u128, name.as_str()).await;
        }
        limit_files(Some(written(&directory)));
        let mut forgotten = JoinSet::new();
        for name in marks.clone() {
            let store = store.clone();
            forgotten.spawn(async move { store.forget(&name).await });
        }
        let refused = forgotten.join_all().await.iter().filter(|answer| answer.is_err()).count();
        limit_files(None);
        assert!(refused > 0, "nothing was stopped");
        for name in &marks {
            while store.forget(name).await == Err(StoreError::Unavailable) {
                tokio::time::sleep(PAUSE).await;
            }
            assert_eq!(store.channel(name).await, Ok(None));
        }
        while !marks.iter().all(|name| listener.knows_gone(name, Position::START)) {
            listener.hear().await;
        }
        assert!(!store.figures().failed);
        drop((store, listener));
        let store = open(&directory, 0);
        assert_eq!(whole(&store, "room:a").await.events.len(), 25);
    });
}

// Mutants: a refusal of the engine always final; the engine not opened anew -> both fail.
#[test]
fn publishers_that_fill_the_disk_themselves_lose_nothing() {
    on_a_disk_of(192, "full::is_filled_by_publishers");
}

/// Not a test of its own: a child of the one above. Without a reserve it is whatever the engine does that finds no room:
/// the journal, a table written out, tables merged.
#[test]
fn is_filled_by_publishers() {
    let Some(mounted) = child_directory() else { return };
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    threads.block_on(async {
        let store = open(&mounted, 0);
        let filler = Filler::of(&mounted, 64 << 20);
        let mut writers = JoinSet::new();
        for writer in 0..4 {
            writers.spawn(write_until_full(store.clone(), format!("room:{writer}")));
        }
        let stored = writers.join_all().await;
        drop(filler);
        for (name, count, lost) in stored {
            until_stored(&store, &lost).await;
            let page = whole(&store, &name).await;
            assert_eq!(page.events.len() as u64, count + 1, "{name}");
            assert!(page.events.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq), "{name} has a hole");
            assert!(page.events.iter().all(|event| event.body.len() > LARGE_BYTES), "{name} is damaged");
            store.trim(&channel(&name), page.events[count as usize / 2].position).await.unwrap();
        }
        assert!(!store.figures().failed);
    });
}

/// Answers how many were stored, and the batch that was not.
async fn write_until_full(store: Disk, name: String) -> (String, u64, Batch) {
    let data = "x".repeat(LARGE_BYTES);
    for count in 0.. {
        let entries = vec![next(&store, &name, Position::START, &data, true).await];
        let batch = Batch::new(fastrand::u128(..), entries);
        match until_known(&store, &batch).await {
            Ok(_) | Err(AppendError::Duplicate(_)) => {}
            Err(AppendError::Full | AppendError::Unknown) => return (name, count, batch),
            Err(error) => panic!(
                "{name} after {count}: {error:?}, {:?}, {:?}",
                store.trim(&channel(&name), Position::new(1)).await,
                store.figures()
            ),
        }
    }
    unreachable!()
}

/// As a core does: what is unknown is asked again, some times.
async fn until_known(store: &Disk, batch: &Batch) -> Result<Appended, AppendError> {
    for _ in 0..3 {
        match store.append(batch.clone()).await {
            Err(AppendError::Unknown) => tokio::time::sleep(PAUSE).await,
            known => return known,
        }
    }
    Err(AppendError::Unknown)
}

/// Asks until something else is answered than that it cannot be said now.
async fn until_answered(store: &Disk, batch: &Batch) -> Result<Appended, AppendError> {
    for _ in 0..PATIENCE {
        match store.append(batch.clone()).await {
            Err(AppendError::Unknown | AppendError::Full | AppendError::Unavailable) => {
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
    panic!("it has not come back: {:?}", store.figures());
}

async fn until_stored(store: &Disk, batch: &Batch) -> Appended {
    match until_answered(store, batch).await {
        Ok(appended) | Err(AppendError::Duplicate(appended)) => appended,
        other => panic!("{other:?}"),
    }
}

/// One batch of small events behind what the channel holds.
async fn many(store: &Disk, id: u128, name: &str, count: u32) -> Batch {
    let mut entries = vec![next(store, name, Position::START, "x", true).await];
    entries.extend((1..count).map(|at| entry(&channel(name), Place::Behind(at - 1), "x", true)));
    Batch::new(id, entries)
}

fn open(directory: &Path, reserve_bytes: u64) -> Disk {
    let mut options = options();
    options.reserve_bytes = reserve_bytes;
    Disk::open(&directory.join("log"), options).unwrap()
}

/// A file of somebody else, which goes with its owner.
struct Filler(PathBuf);

impl Filler {
    fn of(mounted: &Path, bytes: u64) -> Self {
        let path = mounted.join("filler");
        let mut file = File::create(&path).unwrap();
        let page = [1; PAGE_BYTES as usize];
        for _ in 0..bytes / PAGE_BYTES {
            file.write_all(&page).unwrap();
        }
        Self(path)
    }

    fn leaving(mounted: &Path, free: u64) -> Self {
        let now = rustix::fs::statvfs(mounted).unwrap();
        Self::of(mounted, now.f_bavail * now.f_frsize - free)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// Where the written part of the journal ends, up to a block.
fn written(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(directory.join("log/tables/0.jnl")).unwrap().blocks() * 512
}

/// Limits the size of files that this process writes.
fn limit_files(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum }).unwrap();
}

/// What the shell does: mounts, then becomes the test.
const MOUNTED: &str =
    "mount -t tmpfs -o \"$1\" tmpfs \"$0\" || { echo cannot mount; exit 1; }; shift; exec \"$@\"";
const CANNOT: &str = "cannot mount";
const RESERVE_BYTES: u64 = 32 << 20;
const PAGE_BYTES: u64 = 4096;
const LARGE_BYTES: usize = 200_000;
const PAUSE: Duration = Duration::from_millis(50);
/// Pauses until a test gives up.
const PATIENCE: usize = 600;
