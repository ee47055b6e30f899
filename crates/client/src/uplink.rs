//! Publishing beside a following: over its connection where frames go up it, over HTTP otherwise.

use std::sync::{Arc, Mutex, PoisonError};

use sosik_wire::{Data, Up};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    client::{Client, Published},
    error::Error,
    line::Call,
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

    /// From now on over this connection.
    pub(crate) fn lead_over(&self, line: Option<mpsc::Sender<Call>>) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// Publishes one event: over the following's own connection while that is a WebSocket or TCP, otherwise by
    /// `POST /v1/send`. Returns when the server has acknowledged it. Errors: [`Error::Refused`]; [`Error::Unknown`] when
    /// the frame was sent and its answer is lost; what a request over HTTP may fail with.
    pub async fn publish(&self, channel: &str, name: &str, data: Data) -> Result<Published, Error> {
        let up = Up::Publish(self.client.frame(channel, name, data)?);
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(line) = line else { return self.over_http(up).await };
        let (answer, answered) = oneshot::channel();
        if line.send(Call { up: up.clone(), answer }).await.is_ok() {
            match self.answer(answered).await {
                // It was not sent, so another way is as good.
                Err(Error::Lost(_)) => {}
                outcome => return outcome,
            }
        }
        self.over_http(up).await
    }

    async fn over_http(&self, up: Up) -> Result<Published, Error> {
        let mut answers = self.client.send(&[up]).await?;
        answers
            .pop()
            .ok_or_else(|| Error::Unexpected("no answer to the frame".to_owned()))?
            .and_then(Published::new)
    }

    async fn answer(
        &self,
        answered: oneshot::Receiver<Result<sosik_wire::OkFrame, Error>>,
    ) -> Result<Published, Error> {
        let limit = self.client.target().timers.answer;
        match timeout(limit, answered).await {
            Ok(Ok(answer)) => Published::new(answer?),
            Ok(Err(_)) => Err(Error::Unknown("the connection ended".to_owned())),
            Err(_) => Err(Error::Unknown(format!("none within {} ms", limit.as_millis()))),
        }
    }
}
