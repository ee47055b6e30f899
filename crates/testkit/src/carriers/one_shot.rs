//! What poll and long-poll share: a request per answer.

use std::net::SocketAddr;

use sosik_lab::raw::{Answer, Torn};

use super::{Ask, Heard, Talk, http};

/// A conversation of whole answers.
#[derive(Debug)]
pub(super) struct OneShot {
    pub(super) path: &'static str,
    pub(super) host: SocketAddr,
    /// Whether it says how long it wants to be held.
    pub(super) held: bool,
    pub(super) asked: bool,
    pub(super) answers: http::Answers,
}

impl Talk for OneShot {
    fn ask(&mut self, ask: &Ask) -> Vec<u8> {
        let first = !std::mem::replace(&mut self.asked, true);
        let wait = if first && !ask.held_at_once { 0 } else { ask.wait };
        if ask.by_post {
            let mut fields = ask.fields();
            if self.held {
                fields["wait"] = wait.into();
            }
            return post(self.path, self.host, ask, &fields);
        }
        let wait = if self.held { format!("&wait={wait}") } else { String::new() };
        let target = format!("{}?{}{wait}", self.path, ask.query());
        http::request("GET", &target, self.host, &ask.headers, b"")
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Vec<Heard>, Torn> {
        let mut heard = Vec::new();
        for answered in self.answers.push(bytes)? {
            match answered.status() {
                200 => {
                    let Answer { observed, more, .. } = Answer::read(&answered.body)?;
                    heard.extend(observed.into_iter().map(Heard::Seen));
                    heard.push(Heard::Answered { more });
                }
                304 => heard.push(Heard::Answered { more: false }),
                _ => heard.extend(answered.refusal().map(Heard::Refused)),
            }
        }
        Ok(heard)
    }
}

/// The `POST` form of a reading request.
pub(super) fn post(path: &str, host: SocketAddr, ask: &Ask, fields: &serde_json::Value) -> Vec<u8> {
    let headers = [&[http::header("Content-Type", "application/json")], &ask.headers[..]].concat();
    http::request("POST", path, host, &headers, fields.to_string().as_bytes())
}
