//! The floor of deliveries: the sample with another marker to each socket of a channel, one `send` each.

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

/// Until the records end.
pub(super) fn serve(readers: TcpListener, mut records: TcpStream, mut sample: Vec<u8>) -> Result<(), Failed> {
    let sockets = Sockets::default();
    let own = sockets.clone();
    thread::Builder::new().name("accept".into()).spawn(move || own.accept_all(&readers))?;
    let (at, _) = Marker::find(&sample).ok_or("the sample has no marker")?;
    let mut record = [0; Marker::LEN];
    while records.read_exact(&mut record).is_ok() {
        let marker = Marker::parse(&record).ok_or("a record is no marker")?;
        sample[at..at + Marker::LEN].copy_from_slice(&record);
        sockets.send(marker.channel as usize, &sample)?;
    }
    Ok(())
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
