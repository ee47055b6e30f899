//! A way up that may break at any moment.

use std::io;

use serde_json::{Value, json};
use sosik_lab::checker::Observed;
use sosik_testkit::carriers::{
    Ask, Begin, Carrier, Line, Manner, News, Place,
    http::{Answered, Client, header, request},
};
use sosik_tests::sosik::Sosik;

/// Where a server of its own process is reached.
pub(crate) fn place(server: &Sosik) -> Place {
    Place { http: server.http, tcp: server.tcp, dialect: None }
}

/// A connection that carries frames up: `POST /v1/send` beside the one-way transports, the same connection over the
/// others.
#[derive(Debug)]
pub(crate) enum Up {
    Post(Client, Place),
    Same(Line),
}

impl Up {
    pub(crate) async fn open(carrier: &'static dyn Carrier, place: &Place) -> io::Result<Self> {
        if carrier.manner() != Manner::TwoWay {
            return Ok(Self::Post(Client::reach(place.http).await?, *place));
        }
        // A conversation begins with asking.
        let ask = Ask::new(&["talk:nothing-comes-here"], Begin::Now);
        Ok(Self::Same(Line::open(carrier, place, ask, fastrand::u64(..)).await?))
    }

    /// Sends one frame with an `id` and waits for what answers it: an `ok`, an `error`, or a problem.
    ///
    /// An error is a connection that ended before the answer: what became of the frame is not known.
    pub(crate) async fn say(&mut self, frame: &Value) -> io::Result<Value> {
        match self {
            Self::Post(client, place) => {
                let answered = exchange(client, place, "/v1/send", &[], &frame.to_string()).await?;
                Ok(answered.json())
            }
            Self::Same(line) => {
                line.say(&frame.to_string());
                loop {
                    match line.next().await {
                        News::Seen(Observed::Other { kind, frame: text })
                            if kind == "ok" || kind == "error" =>
                        {
                            let said: Value = serde_json::from_str(&text)?;
                            if said["id"] == frame["id"] {
                                return Ok(said);
                            }
                        }
                        News::Ended | News::Refused(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        News::Seen(_) | News::Answered => {}
                    }
                }
            }
        }
    }
}

/// `POST` of JSON that may find nobody, or nobody any more.
pub(crate) async fn exchange(
    client: &mut Client,
    place: &Place,
    target: &str,
    headers: &[(String, String)],
    body: &str,
) -> io::Result<Answered> {
    let headers = [headers, &[header("Content-Type", "application/json")]].concat();
    client.write(&request("POST", target, place.http, &headers, body.as_bytes())).await;
    client.answer().await.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// A frame that publishes.
pub(crate) fn publish(id: u64, channel: &str, data: &Value) -> Value {
    json!({ "type": "publish", "id": id, "channel": channel, "data": data })
}
