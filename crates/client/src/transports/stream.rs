//! `stream`: one HTTP response of JSON lines or length-prefixed frames.

use std::sync::Arc;

use sosik_wire::TransportName;

use super::{Carrier, News, endless::Endless, frames::Frames};
use crate::{error::Error, options::Format, start::Ask, target::Target};

/// The response and what of it is not a frame yet.
#[derive(Debug)]
pub(crate) struct Stream {
    response: Endless,
    frames: Frames,
}

impl Carrier for Stream {
    async fn open(to: Arc<Target>, ask: Ask) -> Result<Self, Error> {
        let path = TransportName::Stream.path().expect("it is an HTTP transport");
        let media_type = match to.format {
            Format::Json => "application/x-ndjson",
            Format::Binary => "application/octet-stream",
        };
        let response = Endless::open(&to, path, &ask, media_type).await?;
        Ok(Self { response, frames: Frames::new(to.format) })
    }

    async fn more(&mut self) -> Result<(), Error> {
        let bytes = self.response.bytes().await?;
        self.frames.feed(&bytes);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<News>, Error> {
        Ok(self.frames.next()?.map(News::Frame))
    }
}
