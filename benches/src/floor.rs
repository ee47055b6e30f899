//! The floor: a process that does nothing but what the sockets cost. It is handed a sample of the server's own bytes, and sends
//! them to many readers for each record that comes, or to each asker for each request. What a server spends beyond that is its own.

mod answer;
mod send;

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use crate::Failed;

/// What the floor does with its sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Floor {
    /// Puts the marker of each record into it and sends it to the readers of the channel.
    Send,
    /// Answers each request with it.
    Answer,
}

impl Floor {
    pub(crate) const ALL: [Self; 2] = [Self::Send, Self::Answer];

    /// The word that makes this program the floor; not for people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Send => "floor-send",
            Self::Answer => "floor-answer",
        }
    }

    /// Runs in a process of its own: two ports, of which it says the numbers in one line; ends when the records end.
    pub(crate) fn main(self) -> Result<(), Failed> {
        let (clients, records) = Self::listen()?;
        println!("floor http={} tcp={}", clients.local_addr()?, records.local_addr()?);
        self.serve(clients, &records)
    }

    /// Where clients come to, and the one who writes records.
    pub(crate) fn listen() -> Result<(TcpListener, TcpListener), Failed> {
        Ok((TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?))
    }

    /// Until the records end. They begin with the length of the sample, two bytes, and the sample; then come markers.
    pub(crate) fn serve(self, clients: TcpListener, records: &TcpListener) -> Result<(), Failed> {
        let (mut records, _) = records.accept()?;
        let mut length = [0; 2];
        records.read_exact(&mut length)?;
        let mut sample = vec![0; usize::from(u16::from_be_bytes(length))];
        records.read_exact(&mut sample)?;
        match self {
            Self::Send => send::serve(clients, records, sample),
            Self::Answer => answer::serve(clients, records, &sample),
        }
    }
}

/// Says what to send. Records are written behind it.
pub(crate) fn hand_over(records: &mut impl Write, sample: &[u8]) -> Result<(), Failed> {
    records.write_all(&u16::try_from(sample.len())?.to_be_bytes())?;
    Ok(records.write_all(sample)?)
}
