//! `websocket`: subprotocol `sosik.v1.json` or `sosik.v1.bin`.

mod counted;

use std::{borrow::Cow, collections::VecDeque, future::poll_fn, sync::Arc, task::Poll};

use futures_util::{SinkExt, StreamExt};
use http::{StatusCode, Uri};
use sosik_wire::{
    Down, Goodbye, GoodbyeFrame, TransportName, Up, binary,
    decode::{self, FRAME_BYTES_MAX},
    goodbye::Class,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, ClientRequestBuilder, Message,
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use self::counted::Counted;
use super::{Carrier, News, two_way};
use crate::{
    error::Error,
    http::{self as own_http, refusal},
    options::Format,
    start::Ask,
    target::Target,
};

/// The socket and the messages that came over it.
#[derive(Debug)]
pub(crate) struct WebSocket {
    socket: WebSocketStream<Counted>,
    came: VecDeque<Down>,
    format: Format,
}

impl Carrier for WebSocket {
    async fn open(to: Arc<Target>, ask: Ask) -> Result<Self, Error> {
        let path = TransportName::WebSocket.path().expect("it is an HTTP transport");
        let protocol = match to.format {
            Format::Json => "sosik.v1.json",
            Format::Binary => "sosik.v1.bin",
        };
        let url: Uri = format!("ws://{}{}", to.origin.host, to.origin.target(path))
            .parse()
            .map_err(|error: http::uri::InvalidUri| Error::Option(error.to_string()))?;
        let socket = own_http::connect(&to.origin.address, to.timers.connect).await?;
        let request = ClientRequestBuilder::new(url).with_sub_protocol(protocol);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        // It refuses an answer that does not choose this protocol.
        let (socket, _) = client_async_with_config(request, Counted::new(socket), Some(config))
            .await
            .map_err(|error| refused(&error))?;
        let mut own = Self { socket, came: VecDeque::new(), format: to.format };
        for up in two_way::greeting(&to, &ask) {
            own.send(&up).await?;
        }
        Ok(own)
    }

    async fn more(&mut self) -> Result<(), Error> {
        let before = self.socket.get_ref().bytes();
        let next = poll_fn(|cx| match self.socket.poll_next_unpin(cx) {
            // Part of a message: a sign of life.
            Poll::Pending if self.socket.get_ref().bytes() != before => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
            Poll::Ready(message) => Poll::Ready(Some(message)),
        });
        let Some(message) = next.await else { return Ok(()) };
        let message = message.ok_or_else(|| Error::Lost("the socket ended".to_owned()))?;
        match message.map_err(lost)? {
            Message::Text(text) => self.came.push_back(decode::json(text.as_bytes())?),
            Message::Binary(bytes) => {
                let mut frames = decode::Binary::new();
                frames.feed(&bytes);
                while let Some(down) = frames.next_frame()? {
                    self.came.push_back(down);
                }
            }
            Message::Close(close) => return Err(closed(close)),
            // tungstenite answers pings itself.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<News>, Error> {
        Ok(self.came.pop_front().map(News::Frame))
    }

    async fn send(&mut self, up: &Up) -> Result<(), Error> {
        let text = up.to_json()?;
        let message = match self.format {
            Format::Json => Message::text(text),
            Format::Binary => Message::binary(binary::wrap_json(text.as_bytes())),
        };
        self.socket.send(message).await.map_err(lost)
    }

    async fn close(mut self) {
        // Whether the farewell arrives changes nothing.
        drop(self.socket.close(None).await);
    }
}

/// What a refused handshake says: an HTTP answer, if it was one.
fn refused(error: &tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            match response.status() {
                // A proxy that strips `Upgrade` makes an ordinary answer of it.
                StatusCode::OK => Error::Unexpected("the path answered 200 instead of switching".to_owned()),
                status => refusal(status, response.headers(), body),
            }
        }
        tungstenite::Error::Io(error) => Error::Lost(error.to_string()),
        other => Error::Unexpected(other.to_string()),
    }
}

/// What a close means, where the goodbye frame before it was lost or never sent.
fn closed(close: Option<CloseFrame>) -> Error {
    let Some(CloseFrame { code, reason }) = close else {
        return Error::Lost("it was closed without a reason".to_owned());
    };
    let number = u16::from(code);
    match Goodbye::from_number(number) {
        Some(goodbye) => Error::Goodbye(goodbye.frame()),
        None if (4000..4300).contains(&number) => Error::Goodbye(GoodbyeFrame {
            code: number,
            name: Cow::Owned(reason.to_string()),
            retry: Class::of(number) != Class::Stop,
            after_ms: if Class::of(number) == Class::BackOff { 1_000 } else { 0 },
            spread_ms: 0,
        }),
        None => Error::Lost(format!("it was closed: {number} {reason}")),
    }
}

fn lost(error: tungstenite::Error) -> Error {
    Error::Lost(error.to_string())
}

const READ_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;
    use crate::{options::Options, start::Start};

    // Mutant: `more` waits for whole messages -> hangs, and a large message over a slow link looks like silence.
    #[tokio::test]
    async fn part_of_a_message_is_a_sign_of_life() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = format!("http://{}", listener.local_addr().unwrap());
        let to = Arc::new(Target::new(Options { http, ..Options::default() }).unwrap());
        let ask = Ask { channels: ["room:1".to_owned()].into(), from: Start::Now };
        #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let choose = |_: &tungstenite::handshake::server::Request,
                      mut response: tungstenite::handshake::server::Response| {
            response.headers_mut().insert(
                http::header::SEC_WEBSOCKET_PROTOCOL,
                http::HeaderValue::from_static("sosik.v1.json"),
            );
            Ok(response)
        };
        let accept = async {
            let (socket, _) = listener.accept().await.unwrap();
            tokio_tungstenite::accept_hdr_async(socket, choose).await.unwrap()
        };
        let (mut peer, own) = tokio::join!(accept, WebSocket::open(to, ask));
        let mut own = own.unwrap();
        let message =
            sosik_wire::Encoding::WebSocketText.frame(&Down::error(None, sosik_wire::Code::Internal, "x"));
        let (first, rest) = message.split_at(9);
        peer.get_mut().write_all(first).await.unwrap();
        own.more().await.unwrap();
        assert!(own.next().unwrap().is_none());
        peer.get_mut().write_all(rest).await.unwrap();
        while own.came.is_empty() {
            own.more().await.unwrap();
        }
        assert_eq!(own.came[0].type_name(), "error");
    }
}
