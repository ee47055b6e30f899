//! Channels that may be forgotten: no event for as long as their namespace says, and nobody who follows them.

use std::collections::{HashMap, VecDeque};

use crate::{
    cursor::Position, error::Error, life::Life, log::Log, name::ChannelName, retention::all, steady::Moment,
};

/// What is known of the namespaces whose channels are forgotten by themselves. How long a channel has been quiet is
/// told by where the log ended then, so it is counted from the start of the process at the earliest.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    namespaces: HashMap<Box<str>, Quiet>,
}

#[derive(Debug, Default)]
struct Quiet {
    /// Where the log ended, and when, oldest first.
    heads: VecDeque<(u64, Position)>,
    /// A channel with nothing above is quiet.
    mark: Position,
    /// Channels that were quiet when the records were read last.
    waiting: Vec<ChannelName>,
}

impl Idle {
    /// One second's share: some channels, all with one turn of the appender.
    pub(crate) async fn pass(&mut self, log: &Log, life: &Life, moment: Moment) -> Result<(), Error> {
        for options in life.spaces().filter(|options| options.forgettable) {
            let Some(after_ms) = options.forget_after_ms else { continue };
            let quiet = self.namespaces.entry(options.name.clone()).or_default();
            if quiet.look_back(life.head(), moment.steady_ms, after_ms) && quiet.waiting.is_empty() {
                let stored = life.store.namespace(&options.name).await?;
                let old = stored.channels.into_iter().filter(|(_, head)| head.position <= quiet.mark);
                quiet.waiting.extend(old.map(|(channel, _)| channel).take(WAITING_MAX));
            }
            let rest = quiet.waiting.len().saturating_sub(FORGOTTEN_EACH_SECOND);
            let some = quiet.waiting.split_off(rest);
            if !some.is_empty() {
                forget(log, life, some, quiet.mark).await?;
            }
        }
        Ok(())
    }
}

impl Quiet {
    /// Notes where the log ends now, and answers whether it is time to look for what is quiet.
    fn look_back(&mut self, head: Position, now: u64, after_ms: u64) -> bool {
        let since = self.heads.back().map_or(u64::MAX, |(at, _)| now - at);
        if since < after_ms / HEADS_HELD {
            return false;
        }
        self.heads.push_back((now, head));
        let long_ago = self.heads.iter().take_while(|(at, _)| at + after_ms <= now).count();
        let Some(&(_, mark)) = long_ago.checked_sub(1).and_then(|last| self.heads.get(last)) else {
            return false;
        };
        self.heads.drain(..long_ago - 1);
        self.mark = mark;
        true
    }
}

/// Forgets those of `channels` that have nothing above `mark` and no follower. Nothing is appended meanwhile: what is
/// acknowledged is not forgotten at once.
async fn forget(log: &Log, life: &Life, channels: Vec<ChannelName>, mark: Position) -> Result<(), Error> {
    let _turn = log.turn().await;
    let forgotten = all(channels.iter().map(|channel| async move {
        let quiet = life.store.channel(channel).await?.is_some_and(|head| head.position <= mark);
        if quiet && !life.is_followed(channel) {
            life.forget(channel, &log.retention.pulse).await?;
        }
        Ok::<(), Error>(())
    }))
    .await;
    forgotten.into_iter().collect()
}

/// How often one looks, in the time after which a channel is forgotten.
const HEADS_HELD: u64 = 16;
/// Channels forgotten each second, at most.
const FORGOTTEN_EACH_SECOND: usize = 64;
/// Quiet channels that are noted at once; the rest is found by the next look.
const WAITING_MAX: usize = 10_000;
