//! Publishing: each publish has a key, and is sent with it until it is acknowledged or given up.

use std::future::Future;

use bytes::Bytes;
use http::HeaderValue;
use sosik_wire::{
    Code, Data, Durability, Key, OkFrame, Once, PublishFrame, Up, decode, limits::EVENT_NAME_BYTES_MAX,
    normalise, once, payload::check_size,
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    client::{Client, answered},
    error::Error,
    http::post,
    producer::Producer,
    retry::Retry,
    uplink::Uplink,
};

impl Client {
    /// Publishes one event by `POST /v1/publish`; `name` may be empty. Returns when the server has acknowledged it.
    ///
    /// It has a key of its own and is sent again with it after lost answers, reconnects and restarts of the server, for
    /// [`crate::Timers::publish`]: it is stored once. [`Published::duplicate`] says that an earlier attempt had stored it.
    /// Parallel publishes are stored in any order; where that matters, see [`Client::producer`].
    ///
    /// Errors: [`Error::Payload`] and [`Error::Option`] before anything is sent; [`Error::Refused`] when it was not stored;
    /// [`Error::Unknown`] with the key, when all attempts failed and one of them may have been carried out.
    pub async fn publish(&self, channel: &str, name: &str, data: Data) -> Result<Published, Error> {
        let frame = frame(channel, name, data)?;
        Attempts::with_new_key(self).until_answered(|key, _| self.post_one(&frame, key)).await
    }

    /// [`Client::publish`] with a key of the caller's own: the same publish with the same key is stored once, also from
    /// another process, for as long as the server remembers keys (24 h, or a million of them in the namespace).
    ///
    /// `key` has 1 to 64 characters of visible ASCII. In a UUIDv7 the server sees when it was made, and refuses it rather
    /// than store it again once it may have been forgotten (`key_expired`). Errors: also `key_conflict`, when the key was
    /// used for something else.
    pub async fn publish_with_key(
        &self,
        key: &str,
        channel: &str,
        name: &str,
        data: Data,
    ) -> Result<Published, Error> {
        let frame = frame(channel, name, data)?;
        Attempts::with_key(self, key)?.until_answered(|key, _| self.post_one(&frame, key)).await
    }

    /// Publishes 1 to 1,000 events of (channel, name, data) as one batch, stored as a whole or not at all, and once as
    /// [`Client::publish`] says. Errors: as there.
    pub async fn publish_all<'a>(
        &self,
        events: impl IntoIterator<Item = (&'a str, &'a str, Data)>,
    ) -> Result<Vec<Published>, Error> {
        let body = array(events)?;
        Attempts::with_new_key(self).until_answered(|key, _| self.post_all(body.clone(), key)).await
    }

    /// [`Client::publish_all`] with a key of the caller's own for the whole batch. Errors: as for
    /// [`Client::publish_with_key`].
    pub async fn publish_all_with_key<'a>(
        &self,
        key: &str,
        events: impl IntoIterator<Item = (&'a str, &'a str, Data)>,
    ) -> Result<Vec<Published>, Error> {
        let body = array(events)?;
        Attempts::with_key(self, key)?.until_answered(|key, _| self.post_all(body.clone(), key)).await
    }

    /// A sender whose publishes into a channel are stored in their order and once, over HTTP.
    pub fn producer(&self) -> Producer {
        Producer::new(Uplink::new(self.clone()))
    }

    async fn post_one(&self, frame: &PublishFrame, key: Key) -> Result<Published, Error> {
        let up = Up::Publish(PublishFrame { once: Some(Once::Key(key)), ..frame.clone() });
        let request = post(&self.target().origin, "/v1/publish", up.to_json()?.into())?;
        answered(decode::json(&self.exchange(request).await?)?).and_then(Published::new)
    }

    async fn post_all(&self, body: Bytes, key: Key) -> Result<Vec<Published>, Error> {
        let mut request = post(&self.target().origin, "/v1/publish", body)?;
        let value = HeaderValue::from_str(&key.text).map_err(|error| Error::Option(error.to_string()))?;
        request.headers_mut().insert("idempotency-key", value);
        let answers = decode::array(&self.exchange(request).await?)?;
        answers.into_iter().map(|down| answered(down).and_then(Published::new)).collect()
    }
}

/// The attempts of one publish: all with one key.
#[derive(Debug)]
pub(crate) struct Attempts {
    key: Key,
    /// Whether another key will do, as long as nothing was carried out with this one.
    ours: bool,
    retry: Retry,
}

impl Attempts {
    /// With a key made now.
    pub(crate) fn with_new_key(client: &Client) -> Self {
        Self { key: key_of(Uuid::now_v7()), ours: true, retry: Retry::new(client.target().clone()) }
    }

    /// With this key. Errors: [`Error::Option`], it is none.
    pub(crate) fn with_key(client: &Client, key: &str) -> Result<Self, Error> {
        let key = once::key(key).map_err(|refused| Error::Option(refused.message))?;
        Ok(Self { key, ours: false, retry: Retry::new(client.target().clone()) })
    }

    /// Makes attempts, each told the key and how many failed before it, until one is answered for good.
    pub(crate) async fn until_answered<T, F>(mut self, attempt: impl Fn(Key, u32) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            let error = match attempt(self.key.clone(), self.retry.round()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if self.may_rename(&error) {
                self.key = key_of(Uuid::new_v4());
                self.ours = false;
                continue;
            }
            match self.retry.again(error) {
                Ok(wait) => sleep(wait).await,
                Err(Error::Unknown { reason, .. }) => {
                    return Err(Error::Unknown { reason, key: Some(self.key.text.into()) });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the key is refused only because this machine's clock is far behind: then one without a time will do.
    fn may_rename(&self, error: &Error) -> bool {
        self.ours && !self.retry.is_unsure() && error.code() == Some(Code::KeyExpired)
    }
}

/// An acknowledged publish.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The event's number in its channel.
    pub seq: u64,
    /// Six characters of the log's epoch.
    pub epoch: String,
    /// What the acknowledgement promises.
    pub durability: Durability,
    /// Whether an earlier attempt had stored it; a success all the same.
    pub duplicate: bool,
    /// The event's own place, for [`Client::history`]; never a reader's cursor.
    pub cursor: String,
}

impl Published {
    pub(crate) fn new(ok: OkFrame) -> Result<Self, Error> {
        let seq = ok.seq.ok_or_else(|| Error::Unexpected("the answer to a publish has no seq".to_owned()))?;
        Ok(Self {
            seq,
            epoch: ok.epoch.unwrap_or_default(),
            durability: ok.durability.unwrap_or(Durability::Unknown),
            duplicate: ok.duplicate.unwrap_or_default(),
            cursor: ok.cursor.unwrap_or_default(),
        })
    }
}

/// The frame of one publish, its data checked and on one line. Errors: what the server would refuse.
pub(crate) fn frame(channel: &str, name: &str, data: Data) -> Result<PublishFrame, Error> {
    if name.len() > EVENT_NAME_BYTES_MAX {
        let message =
            format!("the event's name has {} bytes, the limit is {EVENT_NAME_BYTES_MAX}", name.len());
        return Err(Error::Option(message));
    }
    let data = match data {
        Data::Json(text) => Data::Json(normalise(&text)?.into_owned().into()),
        Data::Binary(bytes) => {
            check_size(bytes.len())?;
            Data::Binary(bytes)
        }
    };
    Ok(PublishFrame { id: None, channel: channel.to_owned(), name: name.to_owned(), data, once: None })
}

fn array<'a>(events: impl IntoIterator<Item = (&'a str, &'a str, Data)>) -> Result<Bytes, Error> {
    let mut texts = Vec::new();
    for (channel, name, data) in events {
        texts.push(Up::Publish(frame(channel, name, data)?).to_json()?);
    }
    Ok(format!("[{}]", texts.join(",")).into())
}

fn key_of(uuid: Uuid) -> Key {
    once::key(&uuid.to_string()).expect("a UUID has 36 characters of visible ASCII")
}
