//! The floor of requests: whatever is asked, the sample is the answer.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
};

use mio::{Events, Interest, Poll, Token};

use crate::Failed;

/// Until the records end. A request comes in one piece: the load asks again only when it was answered.
pub(super) fn serve(askers: TcpListener, records: TcpStream, sample: &[u8]) -> Result<(), Failed> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    askers.set_nonblocking(true)?;
    records.set_nonblocking(true)?;
    let mut askers = mio::net::TcpListener::from_std(askers);
    let mut records = mio::net::TcpStream::from_std(records);
    poll.registry().register(&mut askers, ASKERS, Interest::READABLE)?;
    poll.registry().register(&mut records, RECORDS, Interest::READABLE)?;
    let mut sockets = HashMap::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                RECORDS => return Ok(()),
                ASKERS => {
                    while let Ok((mut socket, _)) = askers.accept() {
                        let token = Token(FIRST + sockets.len());
                        socket.set_nodelay(true)?;
                        poll.registry().register(&mut socket, token, Interest::READABLE)?;
                        sockets.insert(token, socket);
                    }
                }
                token => {
                    let Some(socket) = sockets.get_mut(&token) else { continue };
                    while matches!(socket.read(&mut chunk), Ok(1..)) {
                        socket.write_all(sample)?;
                    }
                }
            }
        }
    }
}

const RECORDS: Token = Token(0);
const ASKERS: Token = Token(1);
const FIRST: usize = 2;
