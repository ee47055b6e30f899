//! The client: follows, publishes, reads the history.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use sosik_wire::{
    Down, EventFrame, GapFrame, OkFrame, TransportName, Up,
    decode::{self, Page},
};
use tokio::time::timeout;

use crate::{
    error::Error,
    following::Following,
    gap::OnGap,
    http::{Connection, accepted, body, get, pairs, post},
    line::refusal,
    options::Options,
    start::Start,
    target::Target,
};

/// A client of one server. Cheap to clone; clones share their idle HTTP connections.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: Arc<Target>,
    idle: Mutex<Vec<Connection>>,
}

impl Client {
    /// A client with these options; connects when it has to. Errors: [`Error::Option`].
    pub fn new(options: Options) -> Result<Self, Error> {
        let target = Arc::new(Target::new(options)?);
        Ok(Self { shared: Arc::new(Shared { target, idle: Mutex::default() }) })
    }

    /// Follows `channels` (names and prefixes like `match:*`, 1 to 1,000) from `start` on over `transport`.
    ///
    /// Every event comes once and in order, over disconnects and changes of transport, for as long as the server keeps
    /// it; `on_gap` is asked about those that it did not keep. Nothing happens until [`Following::next`] is awaited.
    /// Errors: [`Error::Option`] for an empty set.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), sosik_client::Error> {
    /// use sosik_client::{Client, Delivery, GapPolicy, Options, Start, Transport};
    ///
    /// let client = Client::new(Options::default())?;
    /// let mut following = client.follow(["demo:lobby"], Start::Last(10), Transport::Sse, GapPolicy::Tell)?;
    /// loop {
    ///     match following.next().await? {
    ///         Delivery::Event(event) => println!("{} {}", event.channel, event.seq),
    ///         Delivery::Gap(gap) => println!("some of {} are gone", gap.channel),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// What to do about gaps has to be said:
    ///
    /// ```compile_fail,E0061
    /// # use sosik_client::{Client, Start, Transport};
    /// # fn example(client: Client) {
    /// let following = client.follow(["demo:lobby"], Start::Now, Transport::Sse);
    /// # }
    /// ```
    pub fn follow<N: Into<String>>(
        &self,
        channels: impl IntoIterator<Item = N>,
        start: Start,
        transport: TransportName,
        on_gap: impl OnGap + 'static,
    ) -> Result<Following, Error> {
        let channels: Arc<[String]> = channels.into_iter().map(Into::into).collect();
        if channels.is_empty() {
            return Err(Error::Option("name at least one channel to follow".to_owned()));
        }
        Ok(Following::new(self.clone(), channels, start, transport, Box::new(on_gap)))
    }

    /// Reads events of one channel that the server still has, at most `limit` (1 to 256). Errors: [`Error::Refused`]
    /// and those of the network.
    pub async fn history(&self, channel: &str, from: History, limit: u64) -> Result<HistoryPage, Error> {
        let limit = limit.to_string();
        let mut query = vec![("channel", channel), ("limit", &limit)];
        match &from {
            History::Newest => {}
            History::Before(cursor) => query.push(("before", cursor)),
            History::After(cursor) => query.push(("after", cursor)),
        }
        let query = pairs(query);
        let request = || get(&self.target().origin, "/v1/history", &query);
        let answer = match self.exchange(request()?).await {
            // Reading again changes nothing.
            Err(Error::Unknown { .. }) => self.exchange(request()?).await,
            first => first,
        };
        let answer = answer.map_err(|error| match error {
            Error::Unknown { reason, .. } => Error::Lost(reason),
            other => other,
        });
        HistoryPage::new(decode::answer(&answer?)?)
    }

    /// Sends frames by `POST /v1/send`; one answer for each, in their order.
    pub(crate) async fn send(&self, ups: &[Up]) -> Result<Vec<Result<OkFrame, Error>>, Error> {
        let mut lines = String::new();
        for up in ups {
            lines += &up.to_json()?;
            lines.push('\n');
        }
        let answer = self.exchange(post(&self.target().origin, "/v1/send", lines.into())?).await?;
        let mut decoder = decode::Lines::new();
        decoder.feed(&answer);
        if !answer.ends_with(b"\n") {
            decoder.feed(b"\n");
        }
        let mut answers = Vec::with_capacity(ups.len());
        while let Some(down) = decoder.next_frame()? {
            if down != Down::Heartbeat {
                answers.push(answered(down));
            }
        }
        Ok(answers)
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.shared.target
    }

    /// One request and its whole answer, over an idle connection if there is one.
    pub(crate) async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Bytes, Error> {
        let timers = &self.target().timers;
        loop {
            let kept = self.idle().pop();
            let mut connection = match kept {
                Some(connection) if connection.is_closed() => continue,
                Some(connection) => connection,
                None => Connection::open(&self.target().origin, timers.connect).await?,
            };
            let reused = connection.used();
            let work = async {
                match connection.send(request).await {
                    Ok(response) => {
                        let read = body(accepted(response, &[StatusCode::OK]).await?).await;
                        Ok(Ok(read.map_err(Error::unknown)?))
                    }
                    Err(unanswered) => match unanswered.unsent {
                        Some(request) => Ok(Err((request, unanswered.error))),
                        None => Err(Error::unknown(unanswered.error)),
                    },
                }
            };
            let outcome = timeout(timers.answer, work).await;
            match outcome.map_err(|_| {
                Error::unknown(format_args!("no answer within {} ms", timers.answer.as_millis()))
            })?? {
                Ok(answer) => {
                    let mut idle = self.idle();
                    if idle.len() < IDLE_MAX {
                        idle.push(connection);
                    }
                    return Ok(answer);
                }
                Err((unsent, error)) if !reused => {
                    drop(unsent);
                    return Err(error);
                }
                Err((unsent, _)) => request = unsent,
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which part of a channel's history to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum History {
    /// The newest events.
    #[default]
    Newest,
    /// The events before this cursor, nearest first.
    Before(String),
    /// The events after this cursor, nearest first.
    After(String),
}

/// Events of a channel that the server still has.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// The events, oldest first.
    pub events: Vec<EventFrame>,
    /// What was asked for and is gone.
    pub gap: Option<GapFrame>,
    /// Whether there are more in the direction asked for.
    pub more: bool,
    /// Where to go on in that direction.
    pub cursor: String,
}

impl HistoryPage {
    fn new(page: Page) -> Result<Self, Error> {
        let mut events = Vec::with_capacity(page.frames.len());
        let mut gap = None;
        for frame in page.frames {
            match frame {
                Down::Event(event) => events.push(event),
                Down::Gap(frame) => gap = Some(frame),
                Down::Error(error) => return Err(Error::Refused(refusal(error))),
                _ => {}
            }
        }
        Ok(Self { events, gap, more: page.more, cursor: page.cursor })
    }
}

/// What a frame that answers says.
pub(crate) fn answered(down: Down) -> Result<OkFrame, Error> {
    match down {
        Down::Ok(ok) => Ok(ok),
        Down::Error(error) => Err(Error::Refused(refusal(error))),
        Down::Goodbye(goodbye) => Err(Error::Goodbye(goodbye)),
        other => Err(Error::Unexpected(format!("a {} frame as the answer", other.type_name()))),
    }
}

/// Most idle HTTP connections that are kept; each costs a socket and about 20 KiB.
const IDLE_MAX: usize = 8;
