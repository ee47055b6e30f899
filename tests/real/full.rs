//! A disk that is full, while eight publish and five read: refused, not lost, and well again by itself.

use sosik_testkit::seed::seeds;
use sosik_tests::{
    process::PATIENCE,
    scratch::Scratch,
    small_disk::SmallDisk,
    sosik::{Serve, note, run},
};
use tokio::time::timeout;

use crate::{block_on, burst::Retries, crowd::Crowd, past, up::place};

// Mutants: appends that do not mind the reserve; a log that stays closed once it was full; trims that mind the reserve as
// publishes do -> all fail.
#[test]
fn a_full_disk_refuses_goes_on_reading_and_is_well_again_without_a_restart() {
    for seed in seeds(1).take(1) {
        block_on(async {
            let (disk, near) = (SmallDisk::of_mib(DISK_MIB).await.unwrap(), Scratch::new().unwrap());
            let data = disk.inside().join("data");
            let open = Serve::open(&[("talk", ""), ("short", "events_max = 40")]);
            let serve = Serve { through: disk.through(), ..open };
            let server = serve.start(&data, near.path()).await.unwrap();
            let at = place(&server);
            let mut crowd = Crowd::gather(&[Retries::Keys, Retries::Numbers], &mut seed.rng());
            crowd.tell(Some(at));
            for left in [RESERVE_MIB / 4, 0] {
                within("events are stored", crowd.stored(50)).await;
                // The reserve is touched, which stops the publishes and leaves trims and tables room; then there is none.
                disk.leave(RESERVE_MIB / 2 * MIB).await.unwrap();
                within("publishes are refused", crowd.refused("storage_full", 20)).await;
                for (args, kept) in
                    [(&["trim", "short:0", "--keep", "2"][..], 2), (&["delete", "short:0"], 0)]
                {
                    let args = [args, &["--data", data.to_str().unwrap()]].concat();
                    let removed = run(&serve.through, &args).await.unwrap();
                    assert!(removed.status.success(), "{args:?}: {removed:?}");
                    assert_eq!(past(&at, "short:0").await.len(), kept, "{args:?} goes on");
                }
                disk.leave(left * MIB).await.unwrap();
                within("publishes are still refused", crowd.refused("storage_full", 20)).await;
                assert!(!past(&at, "talk:0").await.is_empty(), "reads go on");
                disk.give_back().unwrap();
            }
            within("events are stored again", crowd.stored(50)).await;
            note(&format!("{} refused as full", crowd.outcomes.refused("storage_full")));
            crowd.end(&at).await;

            // What was acknowledged outlives the process, too.
            let before = past(&at, "talk:0").await;
            server.kill().await;
            let server = serve.start(&data, near.path()).await.unwrap();
            assert_eq!(past(&place(&server), "talk:0").await, before);
        });
    }
}

async fn within(what: &str, waited: impl Future<Output = ()>) {
    timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"));
}

/// Of the disk: the reserve, the log's own files, and some room.
const DISK_MIB: u64 = 512;
/// What appends leave free.
const RESERVE_MIB: u64 = 256;
const MIB: u64 = 1024 * 1024;
