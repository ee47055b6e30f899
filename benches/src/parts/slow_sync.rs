//! Reads and live delivery while each sync of the disk takes half a second more, beside the same with the disk as it is.

use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::Setting;
use crate::{
    Failed,
    load::{
        Asker, Latencies, Marker,
        asker::{event, post},
        clock,
    },
    process::{DEMO, Process, Scratch},
    report::{Goal, Line},
};

/// The slow disk's figures beside those of the disk as it is. Needs `strace`, and the right to attach it.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Line>, Failed> {
    let scratch = Scratch::new()?;
    let mut server = Process::on_disk(scratch.path(), DEMO)?;
    let [usual, usual_publishes] = measure(setting, &server)?;
    let mut strace = Slow::begin(server.pid())?;
    let [slow, slow_publishes] = measure(setting, &server)?;
    strace.check()?;
    server.check()?;
    let reads = Line::new("slow_sync.reads.p99", "ms", slow.ms(0.99)).base("usual", usual.ms(0.99));
    let publishes = Line::new("slow_sync.publishes.p50", "ms", slow_publishes.ms(0.5));
    Ok(vec![
        reads.goal(Goal::TimesBase(READS_TIMES)).more([
            ("reads", slow.count() as f64),
            ("p50_ms", slow.ms(0.5)),
            ("usual_p50_ms", usual.ms(0.5)),
        ]),
        publishes.base("usual", usual_publishes.ms(0.5)),
    ])
}

/// Makes every sync of a process slow until it is dropped.
struct Slow(Child);

impl Slow {
    fn begin(pid: u32) -> Result<Self, Failed> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "trace=fdatasync", "-e", SLOW, "-o", "/dev/null", "-p"]);
        let mut slow = Self(strace.arg(pid.to_string()).stderr(Stdio::null()).spawn()?);
        thread::sleep(Duration::from_secs(1));
        slow.check()?;
        Ok(slow)
    }

    fn check(&mut self) -> Result<(), Failed> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(_) => Err("strace may not attach to the server".into()),
        }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// [`PUBLISHERS`] publish without a pause; one reads a page of history after the other, another polls. The reads, the publishes.
fn measure(setting: &Setting, server: &Process) -> Result<[Latencies; 2], Failed> {
    let stop = &AtomicBool::new(false);
    let data = Marker { run: 0, channel: 0, seq: 0, sent_ns: 0 }.data();
    thread::scope(|scope| {
        let mut publishing = Vec::new();
        for number in 0..PUBLISHERS {
            let (asker, request) = (server.asker()?, post(&event(&format!("demo:{number}"), &data)));
            publishing.push(scope.spawn(move || repeat(asker, &request, Duration::ZERO, stop)));
        }
        thread::sleep(Duration::from_secs(1));
        let mut reading = Vec::new();
        for path in ["/v1/history?channel=demo:0&limit=100", "/v1/poll?channel=demo:1&last=100"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
            let asker = server.asker()?;
            reading.push(scope.spawn(move || repeat(asker, &request, READ_EACH, stop)));
        }
        thread::sleep(setting.either(Duration::from_secs(2), Duration::from_secs(5)));
        stop.store(true, Ordering::Relaxed);
        let mut both = [Latencies::default(), Latencies::default()];
        for (sum, threads) in both.iter_mut().zip([reading, publishing]) {
            for thread in threads {
                sum.add(&thread.join().map_err(|_| "a thread of the load has failed")??);
            }
        }
        Ok(both)
    })
}

/// Asks the same again and again until it is stopped.
fn repeat(mut asker: Asker, request: &[u8], pause: Duration, stop: &AtomicBool) -> Result<Latencies, Failed> {
    let mut times = Latencies::default();
    while !stop.load(Ordering::Relaxed) {
        let began = clock::ns();
        asker.ask(request)?;
        times.add_ns(clock::ns() - began);
        thread::sleep(pause);
    }
    Ok(times)
}

/// What each sync takes more, microseconds.
const SLOW: &str = "inject=fdatasync:delay_exit=500000";
/// A page that is not in memory waits for the disk as it is; more than this is waiting for a sync.
const READS_TIMES: f64 = 2.0;
const PUBLISHERS: usize = 4;
const READ_EACH: Duration = Duration::from_millis(5);
