//! A WebSocket that sends back what it is sent: for conformance suites, which need nothing else of a server.

use std::{io, sync::Arc, time::Duration};

use axum::{
    extract::Request,
    response::Response,
    routing::{MethodFilter, MethodRouter},
};
use bytes::{Buf, Bytes};
use sosik_wire::{
    Goodbye, Refused,
    websocket::{self, BINARY, Decoder, TEXT},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    handshake::{check, switch},
    hear::{Heard, hear},
};
use crate::{
    close::close,
    http::answering,
    hub::{Caller, Hub},
};

/// Messages of up to 16 MiB, each sent back as it came. No subprotocol, no heartbeat.
pub(crate) fn route() -> MethodRouter<Arc<Hub>> {
    answering(MethodFilter::GET, respond)
}

async fn respond(hub: Arc<Hub>, _: Caller, request: Request) -> Result<Response, Refused> {
    let (parts, _) = request.into_parts();
    let accept = check(&parts)?;
    Ok(switch(accept, None, move |mut connection, head| async move {
        // An error is a client that is gone.
        if connection.write_all(&head).await.is_ok() {
            let _ = serve(&hub, &mut connection).await;
            close(connection).await;
        }
        None
    }))
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(hub: &Hub, io: &mut S) -> io::Result<()> {
    let mut decoder = Decoder::with_limit(ECHO_BYTES_MAX);
    let mut scratch = vec![0; READ_BYTES];
    loop {
        match tokio::time::timeout(LOOK, io.read(&mut scratch)).await {
            Ok(Ok(0)) => return Ok(()),
            Ok(count) => decoder.feed(&scratch[..count?]),
            Err(_) if hub.is_draining() => {
                return io.write_all(&websocket::close(Goodbye::Drain, Goodbye::Drain.name())).await;
            }
            Err(_) => continue,
        }
        loop {
            let mut control = Vec::new();
            let heard = hear(&mut decoder, &mut control);
            for piece in control.into_iter().flatten() {
                io.write_all(&piece).await?;
            }
            let (opcode, payload) = match heard {
                None => break,
                Some(Heard::Text(text)) => (TEXT, Bytes::from(text)),
                Some(Heard::Binary(bytes)) => (BINARY, Bytes::from(bytes)),
                Some(Heard::Closed) => return Ok(()),
                Some(Heard::Broken(fault)) => return io.write_all(&fault.close()).await,
            };
            let mut frame = websocket::header(opcode, payload.len()).chain(payload);
            io.write_all_buf(&mut frame).await?;
        }
    }
}

/// 16 MiB: what the suites go up to.
const ECHO_BYTES_MAX: usize = 16 << 20;
const READ_BYTES: usize = 16 * 1024;
/// How often a silent connection looks whether the server stops.
const LOOK: Duration = Duration::from_millis(250);
