//! A client that follows the rules: it comes, goes and changes its mind, and has everything judged that it is told.

use sosik_core::{Budget, Cursor, Error, Joined, LogId, Look, Page, Part, Reader, Start, What};

use crate::{
    asked::{ask, clocks},
    ground::SPACES,
    judge::Judge,
    kit::grant,
    world::World,
};

pub(crate) struct Client {
    reader: Option<Reader>,
    judge: Judge,
    next_token: u64,
    page: Page,
}

impl Client {
    /// A new client with a random set and start.
    pub(crate) async fn come(world: &mut World) -> Self {
        let judge = Judge::new(world.rng.u64(..1_000));
        let mut client = Self { reader: None, judge, next_token: 1, page: Page::default() };
        client.open(world).await;
        client
    }

    async fn open(&mut self, world: &mut World) {
        let set: Vec<_> = (0..world.rng.usize(1..5)).map(|_| world.any_pattern()).collect();
        let start = world.any_start();
        let before = clocks(world);
        let reader = world.running.node.read(grant(SPACES), &set, start.clone(), world.now).await.unwrap();
        self.judge.set = ask(world, &set, &start, before, None);
        world.tell(|| format!("{}: opens {set:?} {start:?}", self.judge.number));
        self.judge.opened(world, reader.cursor());
        self.reader = Some(reader);
    }

    /// The connection breaks; what was pending will be asked again some time.
    pub(crate) fn cut(&mut self) {
        self.reader = None;
        self.judge.cut();
    }

    /// Comes back with the last cursor it was handed.
    pub(crate) async fn come_back(&mut self, world: &mut World) {
        if self.judge.set.is_empty() {
            return self.open(world).await;
        }
        let Some(cursor) = self.judge.cursor.clone() else { return self.open(world).await };
        let set: Vec<_> = self.judge.set.iter().map(|asked| asked.pattern.clone()).collect();
        let before = clocks(world);
        let start = Start::After(cursor.clone());
        let reader = world.running.node.read(grant(SPACES), &set, start.clone(), world.now).await.unwrap();
        self.judge.set = ask(world, &set, &start, before, None);
        world.tell(|| format!("{}: comes back {set:?} {cursor:?}", self.judge.number));
        self.judge.came_back(world, &cursor);
        self.judge.opened(world, reader.cursor());
        self.reader = Some(reader);
    }

    /// Does one thing.
    pub(crate) async fn act(&mut self, world: &mut World) {
        if self.reader.is_none() {
            return self.come_back(world).await;
        }
        match world.rng.u8(..10) {
            0..6 => {
                for _ in 0..world.rng.usize(1..6) {
                    if !self.look(world).await {
                        break;
                    }
                }
            }
            6 => self.join(world).await,
            7 => self.leave(world),
            8 => {
                self.cut();
                self.come_back(world).await;
            }
            _ => self.cut(),
        }
        if self.reader.is_some() {
            self.judge.check_cursor(world);
        }
    }

    async fn join(&mut self, world: &mut World) {
        let set: Vec<_> = (0..world.rng.usize(1..3)).map(|_| world.any_pattern()).collect();
        let own = self.judge.cursor.clone();
        let start = match world.rng.u8(..3) {
            0 if own.is_some() => Start::After(self.old_cursor(world, own.unwrap())),
            _ => world.any_start(),
        };
        let token = self.next_token;
        self.next_token += 1;
        let before = clocks(world);
        let reader = self.reader.as_mut().unwrap();
        let joined = match reader.join(&set, start.clone(), world.now, token).await {
            Ok(joined) => joined,
            Err(Error::Already(of)) => {
                assert!(self.judge.set.iter().any(|asked| asked.pattern.covers(&of)), "{of} is not followed");
                return;
            }
            Err(Error::Limit { .. }) => return,
            Err(other) => panic!("{other}"),
        };
        let joining = (joined == Joined::Later).then_some(token);
        world.tell(|| format!("{}: joins {set:?} {start:?} {joined:?}", self.judge.number));
        let more = ask(world, &set, &start, before, joining);
        self.judge.joined(world, more, reader.cursor());
    }

    /// A place that the client may have been handed once: of this life, at or below where it is.
    fn old_cursor(&mut self, world: &mut World, mut cursor: Cursor) -> Cursor {
        for log in LogId::ALL {
            let truth = world.truth(log).lock().unwrap();
            let Some(part) = cursor.part(log).filter(|part| part.epoch == truth.epoch) else {
                drop(truth);
                cursor.remove(log);
                continue;
            };
            let all: Vec<_> = truth.facts.iter().map(|fact| fact.stored.position).collect();
            drop(truth);
            let at = world.rng.choice(all).unwrap_or_default();
            let position = if at <= part.position || world.rng.bool() { at } else { part.position };
            cursor.set(Part { position, ..part });
        }
        cursor
    }

    fn leave(&mut self, world: &mut World) {
        let Some(asked) = world.rng.choice(&self.judge.set).cloned() else { return };
        world.tell(|| format!("{}: leaves {}", self.judge.number, asked.pattern));
        let reader = self.reader.as_mut().unwrap();
        reader.leave(std::slice::from_ref(&asked.pattern)).unwrap();
        self.judge.left(world, &asked.pattern, reader.cursor());
    }

    /// Looks once and takes some of what it is shown; answers whether there was anything.
    async fn look(&mut self, world: &mut World) -> bool {
        let mut reader = self.reader.take().unwrap();
        let mut page = std::mem::take(&mut self.page);
        let budget =
            Budget { events: world.rng.usize(..5), bytes: if world.rng.bool() { 10 } else { 200_000 } };
        let budget = if world.rng.u8(..4) == 0 { Budget { events: 1_000, bytes: 1 << 20 } } else { budget };
        let mut found = true;
        match reader.look(world.now, budget, &mut page).unwrap() {
            Look::Nothing => {
                found = false;
                assert!(page.items.is_empty());
            }
            Look::Below => reader.fetch().await.unwrap(),
            Look::Found => {
                let count = page.items.len();
                assert!(count > 0);
                let places = page.items.iter().filter_map(|item| match &item.what {
                    What::Event(event) => Some(event.position),
                    _ => None,
                });
                assert!(places.is_sorted_by(|a, b| a < b), "one page, one order: {:?}", page.items);
                let count = if world.rng.bool() { count } else { world.rng.usize(..=count) };
                let told = reader.cursor().unwrap_or_default();
                let in_backlog = page.items.iter().all(|item| {
                    item.cursor.as_ref() == Some(&told) && matches!(item.what, What::Event(_) | What::Gap(_))
                });
                for item in &page.items[..count] {
                    self.judge.take(world, item, in_backlog);
                }
                reader.took(&page, count);
                let hint = format!("took {count} of {:?}", page.items);
                let own = self.judge.cursor.clone().filter(|_| count > 0).unwrap_or(told);
                assert_eq!(reader.cursor().unwrap_or_default(), own, "{hint}");
            }
        }
        self.reader = Some(reader);
        self.page = page;
        found
    }

    /// Reads until nothing follows: then everything has been told.
    pub(crate) async fn end(&mut self, world: &mut World) {
        if self.reader.is_none() {
            self.come_back(world).await;
        }
        for _ in 0..20_000 {
            if !self.look(world).await {
                self.judge.check_end(world);
                return;
            }
        }
        panic!("the reader looks for ever");
    }
}
