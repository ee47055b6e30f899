//! One measurement of deliveries: the same for a server and for the floor.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use memchr::memmem;

use crate::{
    Failed,
    load::{
        Carrier, Crowd, Latencies, Marker, Pace, Publisher, Tally, asker::event, carrier::channel_name, clock,
    },
    machine::{Spent, Stretch},
    process::Process,
};

/// What deliveries cost.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) tally: Tally,
    pub(crate) latencies: Latencies,
    pub(crate) spent: Spent,
    pub(crate) bytes_each: f64,
    pub(crate) reads_each: f64,
    /// Answers of HTTP, 0 where it is a stream.
    pub(crate) answers_each: f64,
    /// How late the sender itself was at the most, milliseconds.
    pub(crate) sender_late_ms: f64,
}

impl Figure {
    /// CPU of the measured process per delivery, microseconds.
    pub(crate) fn us_each(&self) -> f64 {
        self.spent.process.as_secs_f64() * 1e6 / self.tally.deliveries.max(1) as f64
    }

    /// Deliveries a second.
    pub(crate) fn per_s(&self) -> f64 {
        self.tally.deliveries as f64 / self.spent.took.as_secs_f64()
    }

    /// CPU of the load per delivery, microseconds.
    pub(crate) fn load_us_each(&self) -> f64 {
        self.spent.load.as_secs_f64() * 1e6 / self.tally.deliveries.max(1) as f64
    }
}

/// Publishes at `pace` to a crowd that is in place, and waits until everything is here.
pub(crate) fn deliver(
    process: &mut Process,
    crowd: &Crowd,
    publisher: &mut Publisher,
    pace: Pace,
) -> Result<Figure, Failed> {
    let run = new_run();
    crowd.begin(run)?;
    let progress = crowd.progress();
    let (before, (bytes, reads)) = (progress.delivered(), progress.received());
    let stretch = Stretch::begin(process.pid())?;
    let published = publisher.run(run, crowd.shape(), pace, progress);
    // A process that has died is the better reason.
    process.check()?;
    let published = published?;
    crowd.settle(before, &published);
    let spent = stretch.spent()?;
    let outcome = crowd.count(published.per_channel)?;
    process.check()?;
    let (more_bytes, more_reads) = progress.received();
    let each = |count: u64| count as f64 / outcome.tally.deliveries.max(1) as f64;
    Ok(Figure {
        tally: outcome.tally,
        latencies: outcome.latencies,
        spent,
        bytes_each: each(more_bytes - bytes),
        reads_each: each(more_reads - reads),
        answers_each: each(outcome.answers),
        sender_late_ms: published.late.as_secs_f64() * 1e3,
    })
}

/// A number that no other run of this process has.
pub(crate) fn new_run() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The bytes of one event as this server sends them.
pub(crate) fn sample(server: &Process, carrier: Carrier) -> Result<Vec<u8>, Failed> {
    let mut socket = TcpStream::connect(if carrier == Carrier::Tcp { server.tcp } else { server.http })?;
    socket.write_all(&carrier.opening(0, "now"))?;
    let opened = read_until_quiet(&mut socket)?;
    memmem::find(&opened, b"\"caught_up\"").ok_or("the reader of the sample is not in place")?;
    let marker = Marker { run: new_run(), channel: 0, seq: 1, sent_ns: clock::ns() };
    server.asker()?.post(&event(&channel_name(0), &marker.data()))?;
    let sample = read_until_quiet(&mut socket)?;
    Marker::find(&sample).ok_or("the sample has no marker")?;
    Ok(sample)
}

fn read_until_quiet(socket: &mut TcpStream) -> Result<Vec<u8>, Failed> {
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    loop {
        match socket.read(&mut chunk) {
            Ok(0) => return Err("the sample was cut off".into()),
            Ok(count) => all.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(all);
            }
            Err(error) => return Err(error.into()),
        }
        socket.set_read_timeout(Some(QUIET))?;
    }
}

const QUIET: Duration = Duration::from_millis(250);
