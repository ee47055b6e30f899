//! A transport with faults before it.

use std::time::Duration;

use fastrand::Rng;
use sosik_lab::proxy::{Buffer, Cut, CutKind, Delay, Direction, FaultPlan, FaultProxy, Rechunk};
use sosik_testkit::carriers::{Carrier, Manner, Place};

/// A transport with a proxy of its own before it.
pub(crate) struct Way {
    pub(crate) carrier: &'static dyn Carrier,
    /// Where clients go.
    pub(crate) place: Place,
    proxy: FaultProxy,
}

impl Way {
    pub(crate) async fn open(carrier: &'static dyn Carrier, place: Place, seed: u64) -> Self {
        let proxy = FaultProxy::start(carrier.addr(&place), seed).await.unwrap();
        let place = Place { http: proxy.addr(), tcp: proxy.addr(), dialect: None };
        Self { carrier, proxy, place }
    }

    /// Other faults from now on: none, one or several.
    pub(crate) fn afflict(&self, rng: &mut Rng) {
        let ms = Duration::from_millis;
        let one_shot = self.carrier.manner() == Manner::OneShot;
        let delay = |rng: &mut Rng| Delay { fixed: ms(rng.u64(..3)), jitter_max: ms(rng.u64(..4)) };
        let cut = |rng: &mut Rng| Cut {
            direction: if rng.u8(..4) == 0 { Direction::Up } else { Direction::Down },
            after_bytes: 0..=[60, 2_000, 30_000][rng.usize(..3)],
            kind: if rng.bool() { CutKind::Fin } else { CutKind::Rst },
        };
        let one_in = |n: u8, rng: &mut Rng| rng.u8(..n) == 0;
        self.proxy.faults().set(FaultPlan {
            cut: one_in(3, rng).then(|| cut(rng)),
            delay_up: one_in(4, rng).then(|| delay(rng)),
            delay_down: one_in(4, rng).then(|| delay(rng)),
            rechunk: one_in(2, rng).then(|| Rechunk { piece_max: rng.usize(1..200), pause: Duration::ZERO }),
            buffer: (one_shot && one_in(2, rng)).then(|| match rng.bool() {
                true => Buffer::UntilEnd,
                false => Buffer::UntilBytes(rng.usize(1..500)),
            }),
            strip_upgrade: self.carrier.name() != "websocket" && rng.bool(),
        });
        if one_in(4, rng) {
            self.proxy.faults().cut_all(if rng.bool() { CutKind::Fin } else { CutKind::Rst });
        }
    }

    /// No faults from now on.
    pub(crate) fn heal(&self) {
        self.proxy.faults().set(FaultPlan::default());
    }

    /// The server has come back elsewhere.
    pub(crate) fn lead_to(&self, place: &Place) {
        self.proxy.faults().set_upstream(self.carrier.addr(place));
    }
}
