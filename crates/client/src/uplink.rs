//! Publishing beside a following: over its connection where frames go up it, over HTTP otherwise.

use std::sync::{Arc, Mutex, PoisonError};

use sosik_wire::{Data, Key, OkFrame, Once, PublishFrame, Up};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use crate::{
    client::Client,
    error::Error,
    line::Call,
    producer::Producer,
    publish::{Attempts, Published, frame},
};

/// A handle to publish with while somebody else reads. Cheap to clone; it survives reconnects and changes of transport.
#[derive(Debug, Clone)]
pub struct Uplink {
    client: Client,
    /// The calls of the connection that is the client's now, if it carries frames up.
    line: Arc<Mutex<Option<mpsc::Sender<Call>>>>,
}

impl Uplink {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, line: Arc::default() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// From now on over this connection.
    pub(crate) fn lead_over(&self, line: Option<mpsc::Sender<Call>>) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// Publishes one event: over the following's own connection while that is a WebSocket or TCP, otherwise by
    /// `POST /v1/send`. It has a key and is sent again with it, over whichever of both works: it is stored once, see
    /// [`Client::publish`]. Errors: as there.
    pub async fn publish(&self, channel: &str, name: &str, data: Data) -> Result<Published, Error> {
        let frame = frame(channel, name, data)?;
        let attempts = Attempts::with_new_key(&self.client);
        attempts.until_answered(|key, round| self.attempt_one(&frame, key, round)).await
    }

    /// [`Uplink::publish`] with a key of the caller's own. Errors: as for [`Client::publish_with_key`].
    pub async fn publish_with_key(
        &self,
        key: &str,
        channel: &str,
        name: &str,
        data: Data,
    ) -> Result<Published, Error> {
        let frame = frame(channel, name, data)?;
        let attempts = Attempts::with_key(&self.client, key)?;
        attempts.until_answered(|key, round| self.attempt_one(&frame, key, round)).await
    }

    /// A sender whose publishes into a channel are stored in their order and once.
    pub fn producer(&self) -> Producer {
        Producer::new(self.clone())
    }

    /// Sends frames, and gives what came of each, in their order. After a failed attempt (`round`) over the connection
    /// the next one goes over HTTP and then back: whichever works is found.
    pub(crate) async fn attempt(&self, ups: &[Up], round: u32) -> Vec<Result<Published, Error>> {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(line) = line.filter(|_| round.is_multiple_of(2)) {
            let outcomes = self.over(&line, ups).await;
            // Where nothing was sent, the other way is as good and need not wait.
            if !outcomes.iter().all(|outcome| matches!(outcome, Err(Error::Lost(_)))) {
                return outcomes;
            }
        }
        self.over_http(ups).await
    }

    async fn attempt_one(&self, frame: &PublishFrame, key: Key, round: u32) -> Result<Published, Error> {
        let up = Up::Publish(PublishFrame { once: Some(Once::Key(key)), ..frame.clone() });
        self.attempt(&[up], round).await.pop().unwrap_or_else(|| Err(no_answer()))
    }

    async fn over(&self, line: &mpsc::Sender<Call>, ups: &[Up]) -> Vec<Result<Published, Error>> {
        let mut waits = Vec::with_capacity(ups.len());
        for up in ups {
            let (answer, answered) = oneshot::channel();
            let sent = line.send(Call { up: up.clone(), answer }).await;
            waits.push(sent.map(|()| answered));
        }
        let until = Instant::now() + self.client.target().timers.answer;
        let mut outcomes = Vec::with_capacity(waits.len());
        for wait in waits {
            outcomes.push(match wait {
                Ok(answered) => self.answer(answered, until).await,
                Err(_) => Err(Error::Lost("the connection ended".to_owned())),
            });
        }
        outcomes
    }

    async fn over_http(&self, ups: &[Up]) -> Vec<Result<Published, Error>> {
        match self.client.send(ups).await {
            Err(error) => vec![Err(error); ups.len()],
            Ok(answers) => {
                let read = answers.into_iter().map(|answer| answer.and_then(Published::new));
                read.chain(std::iter::repeat_with(|| Err(no_answer()))).take(ups.len()).collect()
            }
        }
    }

    async fn answer(
        &self,
        answered: oneshot::Receiver<Result<OkFrame, Error>>,
        until: Instant,
    ) -> Result<Published, Error> {
        match timeout_at(until, answered).await {
            Ok(Ok(answer)) => Published::new(answer?),
            Ok(Err(_)) => Err(Error::unknown("the connection ended")),
            Err(_) => {
                let limit = self.client.target().timers.answer;
                Err(Error::unknown(format_args!("no answer within {} ms", limit.as_millis())))
            }
        }
    }
}

fn no_answer() -> Error {
    Error::unknown("no answer to the frame")
}
