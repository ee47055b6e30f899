//! Which publishes of a group are to be stored, and which were stored before.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Key, Once, Producer, body,
    ring::{Place, Ring, Slot},
};
use crate::{
    error::Error,
    event::Draft,
    life::Life,
    limits::{KEY_CLOCK_SLACK_MS, ONCE_WINDOW_MS},
    record::put_str,
    store::{Keep, Memo, MemoKey, MemoKind, Placed, Remembered, StoreError},
};

/// How one publish wants to be known again.
#[derive(Debug)]
pub(crate) struct Asked {
    once: Once,
    key: MemoKey,
    body: u64,
    /// Why it is not stored, if it turns out that it was not before.
    full: Option<Error>,
}

impl Asked {
    /// Scoped to the channel of the first draft, of which there is one.
    pub(crate) fn new(once: Once, subject: &str, drafts: &[Draft], room: &Result<(), Error>) -> Option<Self> {
        let channel = &drafts.first()?.channel;
        let (kind, id) = match &once {
            Once::Producer(producer) => (MemoKind::Producer, &producer.id),
            Once::Key(key) => (MemoKind::Key, &key.text),
        };
        let mut name = BytesMut::with_capacity(subject.len() + id.len() + channel.as_str().len() + 4);
        put_str(&mut name, subject);
        put_str(&mut name, id);
        name.put_slice(channel.as_str().as_bytes());
        let key = MemoKey { kind, namespace: channel.namespace().into(), name: name.freeze() };
        Some(Self { once, key, body: body::hash(drafts), full: room.as_ref().err().cloned() })
    }
}

/// What becomes of one publish of a group.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is stored now.
    Store,
    /// It is the same as an earlier one of its group, and shares the fate of that.
    Same(usize),
    /// It was stored before.
    Stored(Vec<Placed>),
    /// It is not stored.
    Refuse {
        error: Error,
        /// The reason rests on another publish of the group, and falls with it.
        tentative: bool,
    },
}

/// The verdicts on a group.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// None at all if nobody asked: then all are stored.
    verdicts: Vec<Verdict>,
    files: Vec<File>,
}

impl Judged {
    /// Reads what is remembered, and decides one after the other; each sees those before it. `group` has for each publish
    /// what it asked for, and its time in milliseconds since 1970. Errors: [`Error::Unavailable`].
    pub(crate) async fn new<'a>(
        life: &Life,
        group: impl Iterator<Item = (Option<&'a Asked>, u64)> + Clone,
    ) -> Result<Self, Error> {
        let mut keys: Vec<MemoKey> = Vec::new();
        let mut file_of: HashMap<&MemoKey, usize> = HashMap::new();
        for asked in group.clone().filter_map(|(asked, _)| asked) {
            file_of.entry(&asked.key).or_insert_with(|| {
                keys.push(asked.key.clone());
                keys.len() - 1
            });
        }
        if keys.is_empty() {
            return Ok(Self::default());
        }
        let recalled = match life.store.recall(keys.clone()).await {
            Ok(recalled) => recalled,
            Err(StoreError::Unavailable) => return Err(Error::Unavailable),
            Err(error) => return Ok(Self::unreadable(group, &error.into())),
        };
        let mut files: Vec<_> =
            keys.into_iter().zip(recalled).map(|(key, memo)| File::new(key, memo)).collect();
        let verdicts = group.enumerate().map(|(index, (asked, now))| {
            let Some(asked) = asked else { return Verdict::Store };
            let file = &mut files[file_of[&asked.key]];
            match &asked.once {
                Once::Producer(producer) => file.producer(index, producer, asked),
                Once::Key(key) => file.key(index, asked, || is_expired(life, &asked.key, key, now)),
            }
        });
        let verdicts = verdicts.collect();
        Ok(Self { verdicts, files })
    }

    /// Nothing can be said of those that asked; the others are stored.
    fn unreadable<'a>(group: impl Iterator<Item = (Option<&'a Asked>, u64)>, error: &Error) -> Self {
        let refuse = || Verdict::Refuse { error: error.clone(), tentative: false };
        let verdicts = group.map(|(asked, _)| asked.map_or(Verdict::Store, |_| refuse()));
        Self { verdicts: verdicts.collect(), files: Vec::new() }
    }

    /// On one publish of the group.
    pub(crate) fn verdict(&self, index: usize) -> &Verdict {
        self.verdicts.get(index).unwrap_or(&Verdict::Store)
    }

    /// What is to be remembered. `firsts` says which is the batch's first entry of each publish of the group, and has one
    /// more for the end.
    pub(crate) fn memos(&self, life: &Life, firsts: &[u32]) -> Vec<Memo> {
        self.files.iter().filter_map(|file| file.memo(life, firsts)).collect()
    }
}

/// Everything known under one key.
#[derive(Debug)]
struct File {
    key: MemoKey,
    known: Known,
    /// Whether the group adds to it.
    is_new: bool,
}

#[derive(Debug)]
enum Known {
    Nothing,
    Producer(Ring),
    Key {
        body: u64,
        places: Places,
    },
    /// There was something, and nobody can say what.
    Damaged,
}

#[derive(Debug)]
enum Places {
    Stored(Vec<Placed>),
    Group(usize),
}

impl File {
    fn new(key: MemoKey, memo: Option<Remembered>) -> Self {
        let known = match (memo, key.kind) {
            (None, _) => Known::Nothing,
            (Some(memo), MemoKind::Producer) => Ring::decode(&memo).map_or(Known::Damaged, Known::Producer),
            (Some(memo), MemoKind::Key) => match <[u8; 8]>::try_from(&*memo.value) {
                Ok(body) => {
                    Known::Key { body: u64::from_le_bytes(body), places: Places::Stored(memo.placed) }
                }
                Err(_) => Known::Damaged,
            },
        };
        Self { key, known, is_new: false }
    }

    fn producer(&mut self, index: usize, producer: &Producer, asked: &Asked) -> Verdict {
        let known = match &mut self.known {
            Known::Producer(ring) => Some(ring),
            Known::Nothing => None,
            Known::Key { .. } | Known::Damaged => return self.refuse(Error::ProducerForgotten),
        };
        let body = asked.body as u32;
        let is_of_known = known.as_ref().is_some_and(|ring| ring.epoch == producer.epoch);
        match known {
            Some(ring) if producer.epoch < ring.epoch => {
                let epoch = ring.epoch;
                self.refuse(Error::ProducerFenced { epoch })
            }
            Some(ring) if is_of_known && producer.seq <= ring.last => match ring.slot(producer.seq) {
                None => self.refuse(Error::ProducerForgotten),
                Some(slot) if slot.body != body => {
                    let tentative = matches!(slot.place, Place::Group(_));
                    Verdict::Refuse { error: Error::ProducerConflict, tentative }
                }
                Some(Slot { place: Place::Stored(placed), .. }) => Verdict::Stored(vec![*placed]),
                Some(Slot { place: Place::Group(of), .. }) => Verdict::Same(*of),
            },
            known => {
                let expected = known.as_ref().filter(|_| is_of_known).map_or(1, |ring| ring.last + 1);
                if producer.seq != expected {
                    return self.refuse(Error::ProducerGap { expected });
                }
                if let Some(error) = &asked.full {
                    return Verdict::Refuse { error: error.clone(), tentative: false };
                }
                let slot = Slot { body, place: Place::Group(index) };
                match known {
                    Some(ring) if is_of_known => ring.push(slot),
                    _ => {
                        let mut ring = Ring::new(producer.epoch);
                        ring.push(slot);
                        self.known = Known::Producer(ring);
                    }
                }
                self.is_new = true;
                Verdict::Store
            }
        }
    }

    fn key(&mut self, index: usize, asked: &Asked, is_expired: impl FnOnce() -> bool) -> Verdict {
        let body = asked.body;
        match &self.known {
            Known::Nothing if is_expired() => self.refuse(Error::KeyExpired),
            Known::Nothing => {
                if let Some(error) = &asked.full {
                    return Verdict::Refuse { error: error.clone(), tentative: false };
                }
                self.known = Known::Key { body, places: Places::Group(index) };
                self.is_new = true;
                Verdict::Store
            }
            Known::Key { body: known, .. } if *known != body => self.refuse(Error::KeyConflict),
            Known::Key { places: Places::Stored(placed), .. } => Verdict::Stored(placed.clone()),
            Known::Key { places: Places::Group(of), .. } => Verdict::Same(*of),
            Known::Producer(_) | Known::Damaged => self.refuse(Error::KeyExpired),
        }
    }

    fn refuse(&self, error: Error) -> Verdict {
        Verdict::Refuse { error, tentative: self.is_new }
    }

    fn memo(&self, life: &Life, firsts: &[u32]) -> Option<Memo> {
        let options = &life.space(&self.key.namespace)?.options;
        let (value, entries, most) = match &self.known {
            Known::Producer(ring) => {
                let entries = ring.of_group().map(|index| firsts[index]).collect();
                (ring.encode(), entries, options.producers_max)
            }
            Known::Key { body, places: Places::Group(index) } => {
                let entries = (firsts[*index]..firsts[index + 1]).collect();
                (Bytes::copy_from_slice(&body.to_le_bytes()), entries, options.idempotency_keys_max)
            }
            Known::Key { .. } | Known::Nothing | Known::Damaged => return None,
        };
        let keep = Keep { most, ms: ONCE_WINDOW_MS };
        self.is_new.then(|| Memo { key: self.key.clone(), value, entries, keep })
    }
}

/// Whether a key that is not remembered may have been: it was made before, or about when, the newest of those was
/// written that are let go of.
fn is_expired(life: &Life, memo: &MemoKey, key: &Key, now: u64) -> bool {
    let Some(made_at) = key.made_at else { return false };
    let since = life.store.memos_held(memo.kind, &memo.namespace).since;
    // Half of what is left is for keys on their way, so that a short window does not refuse what is new.
    let slack = (now.saturating_sub(since) / 2).min(KEY_CLOCK_SLACK_MS);
    made_at < now.saturating_sub(ONCE_WINDOW_MS) || (since > 0 && made_at <= since + slack)
}
