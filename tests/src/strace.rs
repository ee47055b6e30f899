//! The calls of a running server, seen and bent from outside by `strace`.

use std::{fs, io, path::Path, path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::{process::PATIENCE, sosik::signal};

/// A `strace` that holds every thread of a process. Dropping it lets the process go.
#[derive(Debug)]
pub struct Strace {
    child: Child,
    trace: PathBuf,
}

impl Strace {
    /// Attaches to a process, with options such as `-e trace=fdatasync` or `-e inject=fdatasync:error=EIO`; what it sees
    /// is written to a file in `near`. The process is held when this returns.
    ///
    /// # Errors
    /// When it cannot be started or may not attach: the message is its own.
    pub async fn attach(pid: u32, options: &[&str], near: &Path) -> io::Result<Self> {
        let trace = near.join(format!("trace-{:016x}", fastrand::u64(..)));
        let said = trace.with_extension("said");
        let mut command = Command::new("strace");
        command
            .args(["-f", "-y", "-s", STRING_BYTES, "-p", &pid.to_string(), "-o"])
            .arg(&trace)
            .args(options);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&said)?)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| {
            io::Error::other(format!("strace cannot be started (apt-get install strace): {error}"))
        })?;
        let attached = async {
            loop {
                let text = fs::read_to_string(&said)?;
                if text.contains(" attached") {
                    return Ok(());
                }
                if child.try_wait()?.is_some() {
                    return Err(io::Error::other(format!("strace may not attach (it needs root): {text}")));
                }
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, attached).await??;
        Ok(Self { child, trace })
    }

    /// Lets the process go and answers what it did meanwhile.
    ///
    /// # Errors
    /// When strace does not end, or wrote what is no trace.
    pub async fn detach(mut self) -> io::Result<Vec<Step>> {
        if let Some(pid) = self.child.id() {
            signal(pid, "INT");
        }
        timeout(PATIENCE, self.child.wait()).await??;
        self.so_far()
    }

    /// What the process did so far; its newest calls may not be written yet.
    ///
    /// # Errors
    /// When there is no trace.
    pub fn so_far(&self) -> io::Result<Vec<Step>> {
        let text = fs::read(&self.trace)?;
        Ok(steps(&String::from_utf8_lossy(&text)))
    }
}

/// The beginning or the end of one call of one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The thread.
    pub thread: u32,
    /// The call's name, such as `fdatasync`.
    pub call: String,
    /// What strace writes of it: at the beginning the arguments known then, at the end those and what it answered.
    pub text: String,
    /// What it answered; `None` at its beginning, -1 for an error.
    pub ended: Option<i64>,
}

impl Step {
    /// Whether it is a step of a sync of a file whose name ends so.
    #[must_use]
    pub fn is_sync_of(&self, suffix: &str) -> bool {
        matches!(&*self.call, "fsync" | "fdatasync") && self.text.contains(&format!("{suffix}>"))
    }

    /// Whether the call sends or writes to a socket.
    #[must_use]
    pub fn is_to_a_socket(&self) -> bool {
        matches!(&*self.call, "write" | "writev" | "sendto" | "sendmsg") && self.of_a_socket()
    }

    /// Whether the call receives or reads from a socket.
    #[must_use]
    pub fn is_from_a_socket(&self) -> bool {
        matches!(&*self.call, "read" | "readv" | "recvfrom" | "recvmsg") && self.of_a_socket()
    }

    fn of_a_socket(&self) -> bool {
        self.text.split_once(',').is_some_and(|(file, _)| file.contains("<TCP:") || file.contains("<socket:"))
    }
}

/// Reads what `strace -f -y` wrote. Lines that are no calls (signals, exits) are left out.
#[must_use]
pub fn steps(trace: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in trace.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let (Ok(thread), rest) = (thread.parse::<u32>(), rest.trim_start()) else { continue };
        if let Some(rest) = rest.strip_prefix("<... ") {
            let Some((call, rest)) = rest.split_once(" resumed>") else { continue };
            let begun = steps.iter().rev().find(|step| step.thread == thread && step.ended.is_none());
            let text = format!("{}{rest}", begun.map_or("", |step| &step.text));
            steps.push(Step { thread, call: call.to_owned(), ended: answer(rest), text });
            continue;
        }
        let Some((call, args)) = rest.split_once('(') else { continue };
        if call.is_empty() || !call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let step = |text: &str, ended| Step { thread, call: call.to_owned(), text: text.to_owned(), ended };
        match args.strip_suffix("<unfinished ...>") {
            Some(args) => steps.push(step(args, None)),
            None => steps.extend([step(args, None), step(args, answer(args))]),
        }
    }
    steps
}

/// The number behind the last `= `; of `?` (a call that did not come back) and of what is no answer -1.
fn answer(text: &str) -> Option<i64> {
    let number = text.rsplit_once(" = ").and_then(|(_, answer)| {
        let end = answer.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(answer.len());
        answer[..end].parse().ok()
    });
    Some(number.unwrap_or(-1))
}

/// How much of each buffer is written: all of a group of small events.
const STRING_BYTES: &str = "1048576";

#[cfg(test)]
mod tests {
    use super::*;

    // Mutants: the end of a call taken for its beginning; a resumed call without its arguments -> fails.
    #[test]
    fn calls_that_others_interrupt_begin_and_end() {
        let trace = "7 fdatasync(9</d/0.jnl> <unfinished ...>\n\
                     8 sendto(4<TCP:[1->2]>, \"a = 1\", 5, 0, NULL, 0) = 5\n\
                     7 <... fdatasync resumed>) = -1 EIO (Input/output error) (INJECTED)\n\
                     8 +++ exited with 0 +++\n\
                     8 --- SIGTERM {si_signo=SIGTERM} ---\n";
        let found = steps(trace);
        let short: Vec<_> = found.iter().map(|step| (step.thread, &*step.call, step.ended)).collect();
        let expected =
            [(7, "fdatasync", None), (8, "sendto", None), (8, "sendto", Some(5)), (7, "fdatasync", Some(-1))];
        assert_eq!(short, expected);
        assert!(found[3].is_sync_of(".jnl") && found[1].is_to_a_socket() && !found[0].is_to_a_socket());
    }
}
