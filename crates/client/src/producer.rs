//! A sender of events whose order matters: numbered per channel, stored in that order and once.

mod stream;

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use sosik_wire::Data;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use uuid::Uuid;

use self::stream::{Slot, Stream};
use crate::{
    error::Error,
    publish::{Published, frame},
    uplink::Uplink,
};

/// Publishes into each channel in the order in which it was asked to, each event once, several on their way at a time.
/// Made by [`crate::Client::producer`] and [`Uplink::producer`]; cheap to clone, and clones are one sender.
///
/// Its id is random and lives in memory alone, so two that were restored from one saved session are two senders. What is
/// sent again keeps its number, over reconnects, changes of transport and restarts of the server.
///
/// **The first event that fails ends its channel**: whatever waits behind it fails too and so does every later publish, so
/// that nothing is stored after a hole. Make another producer to go on. When the server no longer
/// has what it had acknowledged (memory lost in a restart, a backup restored), which its readers are told by a gap, the
/// sequence begins anew by itself.
#[derive(Debug, Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    uplink: Uplink,
    id: Arc<str>,
    streams: Mutex<HashMap<String, mpsc::Sender<Slot>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Producer {
    pub(crate) fn new(uplink: Uplink) -> Self {
        let id = Uuid::new_v4().to_string().into();
        Self { shared: Arc::new(Shared { uplink, id, streams: Mutex::default(), tasks: Mutex::default() }) }
    }

    /// Publishes one event and waits until the server has acknowledged it. Errors: as for [`Producer::send`], and those of
    /// [`Acknowledgement`].
    pub async fn publish(&self, channel: &str, name: &str, data: Data) -> Result<Published, Error> {
        self.send(channel, name, data).await?.await
    }

    /// Gives one event its place in the order and returns; the acknowledgement is awaited apart. Waits while
    /// [`WAITING_MAX`] events of the channel wait already. From here on the event is published whether or not anybody
    /// awaits its acknowledgement, as long as the producer or one of its acknowledgements lives.
    ///
    /// Errors: [`Error::Payload`] and [`Error::Option`], and then it has no place; the latter also for more than
    /// [`CHANNELS_MAX`] channels.
    pub async fn send(&self, channel: &str, name: &str, data: Data) -> Result<Acknowledgement, Error> {
        let frame = frame(channel, name, data)?;
        let (answer, answered) = oneshot::channel();
        let stream = self.stream(channel)?;
        let ended = || Error::Lost("the producer's task ended".to_owned());
        stream.send(Slot::new(frame, answer)).await.map_err(|_| ended())?;
        Ok(Acknowledgement { answered, _producer: self.clone() })
    }

    /// The way to the task of a channel.
    fn stream(&self, channel: &str) -> Result<mpsc::Sender<Slot>, Error> {
        let Shared { uplink, id, streams, tasks } = &*self.shared;
        let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = streams.get(channel) {
            return Ok(stream.clone());
        }
        if streams.len() >= CHANNELS_MAX {
            let message =
                format!("a producer publishes into at most {CHANNELS_MAX} channels; make another one");
            return Err(Error::Option(message));
        }
        let (send, slots) = mpsc::channel(WAITING_MAX);
        let stream = Stream::new(uplink.clone(), id.clone(), slots);
        tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(stream.run());
        streams.insert(channel.to_owned(), send.clone());
        Ok(send)
    }
}

/// What [`Producer::send`] gives: resolves when the server has acknowledged the event.
///
/// Errors: [`Error::Refused`] when the server refused it or one before it, among the codes `producer_conflict` (another
/// event has its number: two senders share an id) and `producer_fenced` (a higher epoch took over); [`Error::Unknown`] when
/// it was sent, all attempts failed and it may have been stored; [`Error::Behind`] when that is so of one before it; any
/// other that ended the channel.
#[derive(Debug)]
pub struct Acknowledgement {
    answered: oneshot::Receiver<Result<Published, Error>>,
    /// Its tasks work as long as somebody waits.
    _producer: Producer,
}

impl Future for Acknowledgement {
    type Output = Result<Published, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answered)
            .poll(cx)
            .map(|answer| answer.unwrap_or_else(|_| Err(Error::unknown("the producer's task ended"))))
    }
}

/// Most channels of one producer; each costs a task.
pub const CHANNELS_MAX: usize = 1_000;
/// Events of a channel that wait to be sent, beside those on their way.
pub const WAITING_MAX: usize = 64;
