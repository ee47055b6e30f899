//! The floor: a process that only sends. It is handed a sample of the server's own frame, and for each record it puts the
//! marker into it and sends it to the sockets of the channel, one `send` each. What a server spends beyond that is its own.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::{
    Failed,
    load::{Marker, carrier::CHANNEL_PREFIX},
};

/// Runs in a process of its own: two ports, of which it says the numbers in one line; ends when the records end.
///
/// The records begin with the length of the sample, two bytes, and the sample; then come markers.
pub(crate) fn main() -> Result<(), Failed> {
    let (readers, records) = listen()?;
    println!("floor http={} tcp={}", readers.local_addr()?, records.local_addr()?);
    serve(readers, &records)
}

/// Where readers come to, and the one who writes records.
pub(crate) fn listen() -> Result<(TcpListener, TcpListener), Failed> {
    Ok((TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?))
}

/// Until the records end.
pub(crate) fn serve(readers: TcpListener, records: &TcpListener) -> Result<(), Failed> {
    let sockets = Sockets::default();
    let own = sockets.clone();
    thread::Builder::new().name("accept".into()).spawn(move || own.accept_all(&readers))?;
    let (mut records, _) = records.accept()?;
    let mut length = [0; 2];
    records.read_exact(&mut length)?;
    let mut sample = vec![0; usize::from(u16::from_be_bytes(length))];
    records.read_exact(&mut sample)?;
    let (at, _) = Marker::find(&sample).ok_or("the sample has no marker")?;
    let mut record = [0; Marker::LEN];
    while records.read_exact(&mut record).is_ok() {
        let marker = Marker::parse(&record).ok_or("a record is no marker")?;
        sample[at..at + Marker::LEN].copy_from_slice(&record);
        sockets.send(marker.channel as usize, &sample)?;
    }
    Ok(())
}

/// Says what to send. Records are written behind it.
pub(crate) fn hand_over(records: &mut impl Write, sample: &[u8]) -> Result<(), Failed> {
    records.write_all(&u16::try_from(sample.len())?.to_be_bytes())?;
    Ok(records.write_all(sample)?)
}

/// The sockets by channel.
#[derive(Debug, Clone, Default)]
struct Sockets(Arc<Mutex<Vec<Vec<TcpStream>>>>);

impl Sockets {
    fn accept_all(&self, readers: &TcpListener) {
        for socket in readers.incoming() {
            // One that fails is missing, and the count says so.
            let _ = socket.map_err(Failed::from).and_then(|socket| self.accept(socket));
        }
    }

    /// Takes a reader in: what it asks for is read so far as to know its channel.
    fn accept(&self, mut socket: TcpStream) -> Result<SocketAddr, Failed> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let (mut asked, mut chunk) = (Vec::new(), [0; 2048]);
        let channel = loop {
            match socket.read(&mut chunk)? {
                0 => return Err("a reader that asks for nothing".into()),
                count => asked.extend_from_slice(&chunk[..count]),
            }
            if let Some(channel) = channel_in(&asked) {
                break channel;
            }
        };
        let peer = socket.peer_addr()?;
        let mut channels = self.0.lock().map_err(|_| "the sender has failed")?;
        // Only who is in the list is in place: the lock is held until both are true.
        socket.write_all(b"\"caught_up\"")?;
        let most = channels.len().max(channel + 1);
        channels.resize_with(most, Vec::new);
        channels[channel].push(socket);
        Ok(peer)
    }

    // Mutants, each seen to fail in `a_floor_that_sends_less_is_found`: the first socket skipped; the second half of the bytes
    // kept back.
    fn send(&self, channel: usize, bytes: &[u8]) -> Result<(), Failed> {
        let mut channels = self.0.lock().map_err(|_| "the accepting thread has failed")?;
        for socket in channels.get_mut(channel).into_iter().flatten() {
            socket.write_all(bytes)?;
        }
        Ok(())
    }
}

fn channel_in(asked: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(asked, CHANNEL_PREFIX.as_bytes())? + CHANNEL_PREFIX.len();
    std::str::from_utf8(asked.get(at..at + 6)?).ok()?.parse().ok()
}

/// A reader that takes nothing for so long ends the floor, and with it the run.
const PATIENCE: Duration = Duration::from_secs(10);
