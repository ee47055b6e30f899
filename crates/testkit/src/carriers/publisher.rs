//! Sending over a carrier's own way up: `POST /v1/send` beside the one-way ones, the same connection over the others.

use super::{Ask, Begin, Carrier, Line, Manner, Place, Refusal, http::Client};

/// A publisher over one carrier.
#[derive(Debug)]
pub enum Publisher {
    /// By requests.
    Post(Client),
    /// In the conversation.
    Same(Line, u64),
}

/// What an `ok` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The channel's epoch, as events name it.
    pub epoch: String,
    /// The event's number.
    pub seq: u64,
    /// Its place.
    pub cursor: String,
}

impl Publisher {
    /// Connects.
    pub async fn connect(carrier: &'static dyn Carrier, place: &Place) -> Self {
        if carrier.manner() != Manner::TwoWay {
            return Self::Post(Client::connect(place.http).await);
        }
        // Following nothing of interest: a conversation begins with asking.
        let ask = Ask::new(&["disk:nothing-comes-here"], Begin::Now);
        let mut line = Line::open(carrier, place, ask, 1).await.unwrap();
        line.live().await;
        Self::Same(line, 100)
    }

    /// Publishes JSON text, sent as it is.
    ///
    /// # Errors
    /// What refuses it.
    pub async fn publish(&mut self, channel: &str, data: &str) -> Result<Stored, Refusal> {
        let said = match self {
            Self::Post(client) => {
                // One line per frame: what is pretty-printed can only travel by the plain form.
                let body = format!(r#"{{"channel":{channel:?},"data":{data}}}"#);
                let answered = client.post("/v1/publish", &body).await;
                answered.refusal().map_or_else(|| Ok(answered.json()), Err)?
            }
            Self::Same(line, id) => {
                *id += 1;
                line.publish(*id, channel, data);
                answer(line, *id).await?
            }
        };
        Ok(stored(&said))
    }

    /// Sends one frame and waits for its answer; not over a dialect.
    ///
    /// # Errors
    /// What refuses it.
    pub async fn send(&mut self, frame: &serde_json::Value) -> Result<serde_json::Value, Refusal> {
        match self {
            Self::Post(client) => {
                let answered = client.post("/v1/send", &frame.to_string()).await;
                if let Some(refusal) = answered.refusal() {
                    return Err(refusal);
                }
                let said = answered.json();
                match said["type"].as_str() {
                    Some("ok") => Ok(said),
                    Some(kind) => Err(Refusal::of(kind, &said.to_string()).expect("an ok or an error")),
                    None => panic!("{said} is no frame"),
                }
            }
            Self::Same(line, _) => {
                line.say(&frame.to_string());
                answer(line, frame["id"].as_u64().expect("the frame has an id")).await
            }
        }
    }
}

async fn answer(line: &mut Line, id: u64) -> Result<serde_json::Value, Refusal> {
    use super::News;
    use sosik_lab::checker::Observed;
    loop {
        match line.next().await {
            News::Seen(Observed::Other { kind, frame }) if kind == "ok" || kind == "error" => {
                let said: serde_json::Value = serde_json::from_str(&frame).unwrap();
                if said["id"] == id && kind == "ok" {
                    return Ok(said);
                }
                return Err(Refusal::of(&kind, &frame).expect("an ok of another frame"));
            }
            News::Seen(_) | News::Answered => {}
            other => panic!("{other:?} where an answer was due"),
        }
    }
}

fn stored(said: &serde_json::Value) -> Stored {
    let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
    Stored {
        epoch: text("epoch"),
        seq: said["seq"].as_u64().expect("an ok has a seq"),
        cursor: text("cursor"),
    }
}
