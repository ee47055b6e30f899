//! A reader that changes its transport in mid-stream.

use std::time::Duration;

use fastrand::Rng;
use sosik_lab::checker::{CursorFrom, Observed};
use sosik_testkit::carriers::{Ask, Begin, Line, News, Place, Transcript};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::way::Way;

/// A reader that changes its way now and then, by rule 10.
pub(crate) struct Reader {
    ways: [Way; 2],
    /// Where the server is.
    place: watch::Receiver<Place>,
    /// The way that holds.
    at: usize,
    ask: Ask,
    current: Option<Line>,
    /// The way that is being gone to.
    next: Option<Line>,
    changes: u32,
    changes_due: u32,
    change_at: Instant,
    afflict_at: Instant,
    transcript: Transcript,
    rng: Rng,
}

impl Reader {
    pub(crate) fn new(
        ways: [Way; 2],
        place: watch::Receiver<Place>,
        changes_due: u32,
        set: &[String],
        rng: Rng,
    ) -> Self {
        let set: Vec<_> = set.iter().map(String::as_str).collect();
        let now = Instant::now();
        Self {
            ways,
            place,
            at: 0,
            ask: Ask::new(&set, Begin::Start),
            current: None,
            next: None,
            changes: 0,
            changes_due,
            change_at: now,
            afflict_at: now,
            transcript: Transcript::default(),
            rng,
        }
    }

    /// One step: something read, a change begun or done, other faults. May be dropped at any moment.
    pub(crate) async fn read(&mut self) {
        self.go_along();
        if self.current.is_none() {
            self.current = self.open(self.at, self.ask.begin.clone()).await;
            return;
        }
        if self.next.is_none() && self.changes < self.changes_due && Instant::now() >= self.change_at {
            self.next = self.open(1 - self.at, self.ask.begin.clone()).await;
            return;
        }
        let change_at =
            if self.next.is_none() && self.changes < self.changes_due { Some(self.change_at) } else { None };
        tokio::select! {
            news = async { self.current.as_mut().unwrap().next().await } => self.on_current(news),
            news = async { self.next.as_mut().unwrap().next().await }, if self.next.is_some() => self.on_next(news),
            () = sleep_until(self.afflict_at) => {
                self.ways.iter().for_each(|way| way.afflict(&mut self.rng));
                self.afflict_at = Instant::now() + Duration::from_millis(self.rng.u64(5..60));
            }
            () = sleep_until(change_at.unwrap_or_else(Instant::now)), if change_at.is_some() => {}
        }
    }

    /// The ways lead to where the server is now.
    fn go_along(&mut self) {
        if self.place.has_changed().unwrap_or(false) {
            let place = *self.place.borrow_and_update();
            self.ways.iter().for_each(|way| way.lead_to(&place));
        }
    }

    async fn open(&mut self, way: usize, begin: Begin) -> Option<Line> {
        let Way { carrier, place, .. } = &self.ways[way];
        let (ask, seed) = (self.ask.from(begin), self.rng.u64(..));
        Line::open_noting(*carrier, place, ask, seed, self.transcript.clone()).await.ok()
    }

    fn on_current(&mut self, news: News) {
        let line = self.current.as_ref().unwrap();
        if let Some(cursor) = line.cursor() {
            self.ask.begin = Begin::After(cursor.to_owned());
        }
        match news {
            News::Seen(_) | News::Answered => {}
            // Cut: it is opened again with its cursor. The one that is being gone to goes its own way.
            News::Ended => self.current = None,
            // A server that is stopped answers so until it is gone.
            News::Refused(refusal) if refusal.code == "drain" => self.current = None,
            News::Refused(refusal) => panic!("{}: {refusal:?}", line.carrier().name()),
        }
    }

    fn on_next(&mut self, news: News) {
        match news {
            News::Seen(
                Observed::Event(_) | Observed::Gap(_) | Observed::Cursor { from: CursorFrom::CaughtUp, .. },
            )
            | News::Answered => self.arrive(),
            News::Seen(_) => {}
            News::Ended => self.next = None,
            News::Refused(refusal) if refusal.code == "drain" => self.next = None,
            News::Refused(refusal) => panic!("{:?}: {refusal:?}", self.next),
        }
    }

    /// The new one has delivered, or said that there is nothing: the old one is closed, and the cursor is the new one's.
    fn arrive(&mut self) {
        let new = self.next.take().unwrap();
        self.ask.begin = Begin::After(new.cursor().expect("what has delivered has a cursor").to_owned());
        if let Some(old) = self.current.replace(new)
            && self.rng.bool()
        {
            old.cut();
        }
        self.at = 1 - self.at;
        self.changes += 1;
        self.change_at = Instant::now() + Duration::from_millis(self.rng.u64(1..CHANGE_MS_MAX));
    }

    /// The faults are over: reads to the end, changing as often as is still due.
    pub(crate) async fn drain(mut self) -> (Transcript, u32) {
        while self.changes < self.changes_due || self.next.is_some() {
            self.ways.iter().for_each(Way::heal);
            self.afflict_at = Instant::now() + Duration::from_secs(600);
            self.read().await;
        }
        self.ways.iter().for_each(Way::heal);
        self.current = None;
        while !self.is_at_the_end().await {}
        (self.transcript, self.changes)
    }

    /// Opens once more without any fault: whether nothing followed.
    async fn is_at_the_end(&mut self) -> bool {
        self.go_along();
        let mut line = self.open(self.at, self.ask.begin.clone()).await.expect("nothing is in the way");
        let mut events = 0;
        loop {
            match line.next().await {
                News::Seen(Observed::Event(_)) => events += 1,
                News::Answered | News::Seen(Observed::Cursor { from: CursorFrom::CaughtUp, .. }) => break,
                News::Seen(_) => {}
                other => panic!("{other:?} without any fault"),
            }
        }
        self.ask.begin = line.cursor().map_or(Begin::Start, |cursor| Begin::After(cursor.to_owned()));
        events == 0
    }
}

const CHANGE_MS_MAX: u64 = 70;
