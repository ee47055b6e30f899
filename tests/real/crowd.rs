//! Eight who publish and five who read, wherever the server is.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use sosik_testkit::carriers::Place;
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{
    burst::{Outcomes, Publisher, Retries},
    follower::{Follower, readers},
    judge::{CHANNELS, judge},
};

/// All of them at work.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) outcomes: Arc<Outcomes>,
    at: watch::Sender<Option<Place>>,
    done: watch::Sender<bool>,
    publishing: JoinSet<()>,
    following: JoinSet<Follower>,
}

impl Crowd {
    /// Gathers them; they wait for a server. The publishers retry in each of these ways in turn.
    pub(crate) fn gather(retries: &[Retries], rng: &mut Rng) -> Self {
        let outcomes = Arc::new(Outcomes::default());
        let ((at, place), (done, is_done)) = (watch::channel(None), watch::channel(false));
        let mut publishing = JoinSet::new();
        for number in 0..PUBLISHERS {
            let retries = retries[number % retries.len()];
            let own = Publisher::new(number, retries, &CHANNELS, place.clone(), outcomes.clone(), rng.fork());
            publishing.spawn(own.publish(is_done.clone()));
        }
        let mut following = JoinSet::new();
        for (name, set, carriers) in readers() {
            let own = Follower::new(name, set, carriers, rng.fork());
            following.spawn(own.follow(place.clone(), is_done.clone()));
        }
        Self { outcomes, at, done, publishing, following }
    }

    /// Tells where the server is now, or that it is down.
    pub(crate) fn tell(&self, place: Option<Place>) {
        self.at.send_replace(place);
    }

    /// Waits until so many acknowledgements more have come.
    pub(crate) async fn stored(&mut self, count: u64) {
        let until = self.outcomes.acknowledged() + count;
        self.until(|outcomes| outcomes.acknowledged() >= until).await;
    }

    /// Waits until so many refusals more of this code have come.
    pub(crate) async fn refused(&mut self, code: &str, count: u64) {
        let until = self.outcomes.refused(code) + count;
        self.until(|outcomes| outcomes.refused(code) >= until).await;
    }

    async fn until(&mut self, enough: impl Fn(&Outcomes) -> bool) {
        let outcomes = self.outcomes.clone();
        let waiting = async {
            while !enough(&outcomes) {
                sleep(Duration::from_micros(300)).await;
            }
        };
        tokio::select! {
            () = waiting => {}
            failed = self.publishing.join_next() => panic!("a publisher ended: {failed:?}"),
            failed = self.following.join_next() => panic!("a reader ended: {failed:?}"),
        }
    }

    /// Lets the publishers finish and the readers read to the end, at a server that nobody disturbs any more; then all is
    /// judged.
    pub(crate) async fn end(self, place: &Place) {
        self.done.send_replace(true);
        self.publishing.join_all().await;
        let mut readers = Vec::new();
        for follower in self.following.join_all().await {
            readers.push(follower.drain(place).await);
        }
        judge(&self.outcomes, readers, place).await;
    }
}

const PUBLISHERS: usize = 8;
