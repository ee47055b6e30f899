//! The same 36 changes while the real server, with its log on the disk, is killed or stopped and started again in the
//! middle: nothing of the disk is lost or repeated, and the log in memory says that it began anew.
//!
//! Mutant: a disk log that keeps no memos -> fails, a retry is stored twice.

use std::{collections::BTreeSet, time::Duration};

use sosik_testkit::{
    carriers::{Carrier, LONG_POLL, POLL, Place, SIX, SSE, STREAM, TCP, WEBSOCKET},
    seed::share_of_seeds,
    transport_suite::block_on,
};
use sosik_tests::{
    scratch::Scratch,
    sosik::{Serve, Sosik},
};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::Change;

changes_from! {
    over_restarts:
    poll_to_each_over_restarts POLL;
    long_poll_to_each_over_restarts LONG_POLL;
    stream_to_each_over_restarts STREAM;
    sse_to_each_over_restarts SSE;
    websocket_to_each_over_restarts WEBSOCKET;
    tcp_to_each_over_restarts TCP;
}

fn over_restarts(from: &'static dyn Carrier) {
    for seed in share_of_seeds(SEEDS, SHARE) {
        block_on(async {
            let scratch = Scratch::new().unwrap();
            let mut rng = seed.rng();
            let mut server = start(&scratch).await;
            let (at, place) = watch::channel(place(&server));
            let (settle, settled) = watch::channel(false);
            let mut runs = JoinSet::new();
            for to in SIX {
                let change =
                    Change { from, to, place: place.clone(), settled: settled.clone(), changes: CHANGES };
                let number = seed.number();
                runs.spawn(async move { change.run(number).await });
            }
            for _ in 0..RESTARTS {
                sleep(Duration::from_millis(rng.u64(20..300))).await;
                if rng.bool() {
                    server.kill().await;
                } else {
                    assert!(server.stop().await.status.success());
                }
                server = start(&scratch).await;
                at.send_replace(self::place(&server));
            }
            settle.send_replace(true);
            let mut epochs = BTreeSet::new();
            while let Some(run) = runs.join_next().await {
                epochs.extend(run.expect("a change failed, see above"));
            }
            assert_eq!(epochs.len(), 1, "the log on the disk began anew: {epochs:?}");
        });
    }
}

async fn start(scratch: &Scratch) -> Sosik {
    let serve = Serve::open(&[("disk", ""), ("mem", "log = \"memory\"")]);
    serve.start(&scratch.path().join("data"), scratch.path()).await.unwrap()
}

fn place(server: &Sosik) -> Place {
    Place { http: server.http, tcp: server.tcp, dialect: None }
}

/// Seeds per transport in `make test`.
const SEEDS: u64 = 1;
/// A seed takes many seconds: of those asked for by `SOSIK_SEEDS`, one in so many is run.
const SHARE: usize = 1_000;
const RESTARTS: usize = 4;
/// Of each run: enough that some are under way at each restart.
const CHANGES: u32 = 20;
