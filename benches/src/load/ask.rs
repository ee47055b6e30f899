//! Requests in a closed loop: each connection asks, waits for the answer, asks again. One thread, one epoll.

use std::{
    io::{self, Read, Write},
    net::TcpStream as Std,
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use super::{Latencies, answers::Answer, clock};
use crate::{
    Failed,
    machine::{Spent, Stretch},
    process::Process,
};

/// What came of it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) count: u64,
    /// From the request until its answer.
    pub(crate) times: Latencies,
    pub(crate) spent: Spent,
}

impl Asked {
    pub(crate) fn per_s(&self) -> f64 {
        self.count as f64 / self.spent.took.as_secs_f64()
    }

    /// CPU of the measured process per answer, microseconds.
    pub(crate) fn us_each(&self) -> f64 {
        self.spent.process.as_secs_f64() * 1e6 / self.count.max(1) as f64
    }
}

/// Asks over `connections` for [`WARM`], and then for `lasting`, which is measured. `next` makes the request of a connection
/// into the empty buffer.
///
/// # Errors
/// When an answer has another status, or none comes for a while.
pub(crate) fn ask_all(
    process: &mut Process,
    connections: usize,
    (status, lasting): (u16, Duration),
    mut next: impl FnMut(usize, &mut Vec<u8>),
) -> Result<Asked, Failed> {
    let mut poll = Poll::new()?;
    let mut askers = Vec::with_capacity(connections);
    for number in 0..connections {
        let socket = Std::connect(process.http)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        poll.registry().register(&mut socket, Token(number), Interest::READABLE)?;
        let mut asker = Asker { socket, request: Vec::new(), held: Vec::new(), asked_ns: 0 };
        asker.ask(|request| next(number, request))?;
        askers.push(asker);
    }
    let (began, mut last) = (clock::now(), clock::now());
    let (mut count, mut times, mut stretch) = (0, Latencies::default(), None);
    let (mut events, mut chunk) = (Events::with_capacity(1024), vec![0; 64 * 1024]);
    loop {
        match poll.poll(&mut events, Some(LOOK_AGAIN)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        if !events.is_empty() {
            last = clock::now();
        } else if last.elapsed() > PATIENCE {
            process.check()?;
            return Err("no answer comes any more".into());
        }
        for event in &events {
            let Token(number) = event.token();
            let asker = &mut askers[number];
            if let Some(took_ns) = asker.answered(status, &mut chunk)? {
                count += 1;
                times.add_ns(took_ns);
                asker.ask(|request| next(number, request))?;
            }
        }
        match &stretch {
            None if began.elapsed() >= WARM => {
                (count, times) = (0, Latencies::default());
                stretch = Some((Stretch::begin(process.pid())?, clock::now()));
            }
            Some((stretch, since)) if since.elapsed() >= lasting => {
                let spent = stretch.spent()?;
                process.check()?;
                return Ok(Asked { count, times, spent });
            }
            _ => {}
        }
    }
}

struct Asker {
    socket: TcpStream,
    request: Vec<u8>,
    held: Vec<u8>,
    asked_ns: u64,
}

impl Asker {
    fn ask(&mut self, make: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failed> {
        self.request.clear();
        make(&mut self.request);
        self.asked_ns = clock::ns();
        // One small request on an idle connection always has room.
        Ok(self.socket.write_all(&self.request)?)
    }

    /// How long the answer took, once it is all there.
    fn answered(&mut self, status: u16, chunk: &mut [u8]) -> Result<Option<u64>, Failed> {
        loop {
            match self.socket.read(chunk) {
                Ok(0) => return Err("the server cut the connection of a request".into()),
                Ok(count) => self.held.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            let Some(answer) = Answer::of(&self.held) else { continue };
            if answer.status != status {
                return Err(format!("not {status}: {}", String::from_utf8_lossy(&self.held)).into());
            }
            self.held.clear();
            return Ok(Some(clock::ns() - self.asked_ns));
        }
    }
}

/// Before it is measured.
const WARM: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
