//! What the HTTP stream and SSE share: one request, one answer without end.

use std::net::SocketAddr;

use sosik_lab::{
    checker::Observed,
    raw::{JsonLines, Sse, Torn},
};

use super::{
    Ask, Heard, Talk,
    binary::Frames,
    http::{self, Opening, Piece},
    one_shot::post,
};

/// A conversation of one answer.
pub(super) struct Endless<D> {
    path: &'static str,
    accept: &'static str,
    host: SocketAddr,
    opening: Opening,
    decoder: D,
}

/// Frames out of the pieces of a body.
pub(super) trait Decode: Default + Send {
    fn decode(&mut self, bytes: &[u8]) -> Result<Vec<Observed>, Torn>;
}

impl Decode for JsonLines {
    fn decode(&mut self, bytes: &[u8]) -> Result<Vec<Observed>, Torn> {
        self.push(bytes)
    }
}

impl Decode for Sse {
    fn decode(&mut self, bytes: &[u8]) -> Result<Vec<Observed>, Torn> {
        self.push(bytes)
    }
}

impl Decode for Frames {
    fn decode(&mut self, bytes: &[u8]) -> Result<Vec<Observed>, Torn> {
        self.push(bytes)
    }
}

impl<D: Decode> Endless<D> {
    pub(super) fn new(path: &'static str, accept: &'static str, host: SocketAddr) -> Self {
        Self { path, accept, host, opening: Opening::hoping(200), decoder: D::default() }
    }
}

impl<D: Decode> Talk for Endless<D> {
    fn ask(&mut self, ask: &Ask) -> Vec<u8> {
        let mut ask = ask.clone();
        ask.headers.push(http::header("Accept", self.accept));
        if ask.by_post {
            return post(self.path, self.host, &ask, &ask.fields());
        }
        let target = format!("{}?{}", self.path, ask.query());
        http::request("GET", &target, self.host, &ask.headers, b"")
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Vec<Heard>, Torn> {
        let mut heard = Vec::new();
        for piece in self.opening.push(bytes)? {
            match piece {
                Piece::Head(head) if head.header("Content-Type") != Some(self.accept) => {
                    return Err(Torn { why: format!("no {} but {head:?}", self.accept) });
                }
                Piece::Head(_) => {}
                Piece::Body(bytes) => heard.extend(self.decoder.decode(&bytes)?.into_iter().map(Heard::Seen)),
                Piece::Refused(refusal) => heard.push(Heard::Refused(refusal)),
            }
        }
        Ok(heard)
    }
}
