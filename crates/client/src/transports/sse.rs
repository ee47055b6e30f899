//! `sse`: server-sent events, read by ourselves: comments are signs of life, and a refusal says why.

use std::{sync::Arc, time::Duration};

use sosik_wire::{TransportName, decode};

use super::{Carrier, News, endless::Endless};
use crate::{backoff::Return, error::Error, start::Ask, target::Target};

/// The response and what of it is not a frame yet.
#[derive(Debug)]
pub(crate) struct Sse {
    response: Endless,
    events: decode::Sse,
}

impl Carrier for Sse {
    async fn open(to: Arc<Target>, ask: Ask) -> Result<Self, Error> {
        let path = TransportName::Sse.path().expect("it is an HTTP transport");
        let response = Endless::open(&to, path, &ask, "text/event-stream").await?;
        Ok(Self { response, events: decode::Sse::new() })
    }

    async fn more(&mut self) -> Result<(), Error> {
        let bytes = self.response.bytes().await?;
        self.events.feed(&bytes);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<News>, Error> {
        Ok(self.events.next_frame()?.map(News::Frame))
    }

    /// Anywhere up to the last `retry:`: a browser waits the whole of it, and all browsers come back together.
    fn back(&self) -> Option<Return> {
        let spread = Duration::from_millis(self.events.retry_ms()?);
        Some(Return { after: Duration::ZERO, spread })
    }
}
