//! `tcp`: a connection without HTTP; its first byte says the format.

use std::sync::Arc;

use bytes::BytesMut;
use sosik_wire::Up;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Carrier, News,
    frames::{Frames, encode},
    two_way,
};
use crate::{error::Error, http, options::Format, start::Ask, target::Target};

/// The socket and what came over it that is not a frame yet.
#[derive(Debug)]
pub(crate) struct Tcp {
    socket: TcpStream,
    read: BytesMut,
    frames: Frames,
    format: Format,
}

impl Carrier for Tcp {
    async fn open(to: Arc<Target>, ask: Ask) -> Result<Self, Error> {
        let address = to.tcp.ok_or_else(|| {
            Error::Option("tcp needs the address of the server's TCP port, such as 127.0.0.1:7172".to_owned())
        })?;
        let mut socket = http::connect(&address.to_string(), to.timers.connect).await?;
        let mut first = BytesMut::new();
        for up in two_way::greeting(&to, &ask) {
            first.extend_from_slice(&encode(to.format, &up)?);
        }
        socket.write_all(&first).await.map_err(lost)?;
        let read = BytesMut::with_capacity(READ_BYTES);
        Ok(Self { socket, read, frames: Frames::new(to.format), format: to.format })
    }

    async fn more(&mut self) -> Result<(), Error> {
        self.read.clear();
        self.read.reserve(READ_BYTES);
        if self.socket.read_buf(&mut self.read).await.map_err(lost)? == 0 {
            return Err(Error::Lost("the server closed it".to_owned()));
        }
        self.frames.feed(&self.read);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<News>, Error> {
        Ok(self.frames.next()?.map(News::Frame))
    }

    async fn send(&mut self, up: &Up) -> Result<(), Error> {
        self.socket.write_all(&encode(self.format, up)?).await.map_err(lost)
    }

    async fn close(mut self) {
        // The end of the stream is the farewell; whether it arrives changes nothing.
        drop(self.socket.shutdown().await);
    }
}

fn lost(error: std::io::Error) -> Error {
    Error::Lost(error.to_string())
}

const READ_BYTES: usize = 16 * 1024;
