//! A reader that comes back for as long as the server does.

use std::time::Duration;

use fastrand::Rng;
use sosik_lab::checker::{self, CursorFrom, Observed};
use sosik_testkit::carriers::{
    Ask, Begin, Carrier, LONG_POLL, Line, News, POLL, Place, SIX, SSE, TCP, Transcript, WEBSOCKET,
};
use tokio::{sync::watch, time::sleep};

/// Where the server is now; `None` while it is down.
pub(crate) type Whereabouts = watch::Receiver<Option<Place>>;

/// One reader of a set of channels from their start, over one carrier after another, each connection opened with the
/// cursor that the last one handed out. It overlaps none of its connections, so nothing may ever come twice.
#[derive(Debug)]
pub(crate) struct Follower {
    name: String,
    carriers: Vec<&'static dyn Carrier>,
    opened: usize,
    ask: Ask,
    transcript: Transcript,
    rng: Rng,
}

impl Follower {
    /// Takes the carriers in turn, one per connection.
    pub(crate) fn new(name: &str, set: &[&str], carriers: Vec<&'static dyn Carrier>, rng: Rng) -> Self {
        let ask = Ask::new(set, Begin::Start);
        Self { name: name.to_owned(), carriers, opened: 0, ask, transcript: Transcript::default(), rng }
    }

    /// Follows until `done` is true, wherever the server is.
    pub(crate) async fn follow(mut self, mut place: Whereabouts, mut done: watch::Receiver<bool>) -> Self {
        loop {
            tokio::select! {
                biased;
                _ = done.wait_for(|done| *done) => return self,
                () = self.session(&mut place) => {}
            }
        }
    }

    /// One connection until it ends. Dropped in the middle, it was cut.
    async fn session(&mut self, place: &mut Whereabouts) {
        let Ok(at) = place.wait_for(Option::is_some).await.map(|place| *place) else { return };
        let Some(mut line) = self.open(&at.expect("waited for")).await else {
            // Killed since: its end is not known here yet.
            return sleep(Duration::from_millis(2)).await;
        };
        loop {
            let news = line.next().await;
            if let Some(cursor) = line.cursor() {
                self.ask.begin = Begin::After(cursor.to_owned());
            }
            match news {
                News::Ended => return,
                News::Refused(refusal) => panic!("{} was refused: {refusal:?}", self.name),
                News::Seen(_) | News::Answered => {}
            }
        }
    }

    async fn open(&mut self, place: &Place) -> Option<Line> {
        let carrier = self.carriers[self.opened % self.carriers.len()];
        self.opened += 1;
        let (ask, seed) = (self.ask.clone(), self.rng.u64(..));
        Line::open_noting(carrier, place, ask, seed, self.transcript.clone()).await.ok()
    }

    /// Reads to the end, from a server that nobody disturbs and nobody publishes to; answers what the checker judges.
    pub(crate) async fn drain(mut self, place: &Place) -> checker::Reader {
        self.catch_up(place).await;
        checker::Reader {
            name: self.name,
            set: self.ask.channels,
            begin: checker::Begin::Start,
            drained: true,
            seen: self.transcript.seen(),
        }
    }

    /// Reads to the end.
    pub(crate) async fn catch_up(&mut self, place: &Place) {
        while self.read_to_the_end(place).await > 0 {}
    }

    /// Opens once more and reads until it is told that it has everything; how many events or gaps came.
    async fn read_to_the_end(&mut self, place: &Place) -> usize {
        let mut line = self.open(place).await.expect("the server listens");
        let mut came = 0;
        loop {
            match line.next().await {
                News::Seen(Observed::Event(_) | Observed::Gap(_)) => came += 1,
                News::Answered | News::Seen(Observed::Cursor { from: CursorFrom::CaughtUp, .. }) => break,
                News::Seen(_) => {}
                other => panic!("{}: {other:?} from a server that is well", self.name),
            }
        }
        if let Some(cursor) = line.cursor() {
            self.ask.begin = Begin::After(cursor.to_owned());
        }
        came
    }
}

/// Five readers: name, set, and the transports in the order in which they are taken.
pub(crate) fn readers() -> [(&'static str, &'static [&'static str], Vec<&'static dyn Carrier>); 5] {
    [
        ("one by WebSocket", &["talk:1", "talk:2"], vec![&WEBSOCKET]),
        ("all by SSE and long-poll", &["talk:*"], vec![&SSE, &LONG_POLL]),
        ("one by TCP and poll", &["talk:0"], vec![&TCP, &POLL]),
        ("all over everything", &["talk:*"], SIX.to_vec()),
        ("what is soon trimmed", &["short:*"], SIX.to_vec()),
    ]
}
