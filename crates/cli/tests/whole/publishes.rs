//! What `sosik publish` promises: each event is stored once, whatever happens to the server meanwhile.

use sosik_lab::proxy::{CutKind, FaultProxy};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::ChildStdout,
};

use crate::server::{Server, within};

/// Its data in the order of the history, oldest first.
async fn stored(server: &Server, channel: &str) -> Vec<String> {
    let read = server.run(&["history", channel, "--limit", "256"], "").await;
    let mut all: Vec<_> = read.out.lines().map(str::to_owned).collect();
    let mut before = read.err.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    while all.len().is_multiple_of(256) && !all.is_empty() {
        let page = server.run(&["history", channel, "--limit", "256", "--before", &before], "").await;
        if page.out.is_empty() {
            break;
        }
        all.splice(0..0, page.out.lines().map(str::to_owned));
        before = page.err.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    }
    all
}

/// Names the first line that differs.
fn same(lines: &[String], expected: impl Iterator<Item = String>) {
    let expected: Vec<_> = expected.collect();
    let wrong = lines.iter().zip(&expected).find(|(line, expected)| line != expected);
    let counts = (lines.len(), expected.len());
    assert!(wrong.is_none() && counts.0 == counts.1, "{counts:?} lines; {wrong:?}");
}

async fn acknowledged(out: &mut tokio::io::Lines<BufReader<ChildStdout>>, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        all.push(within(out.next_line()).await.unwrap().expect("it ended before its input did"));
    }
    all
}

// Mutants: a fresh number for what is sent again -> lines are there twice; one attempt only -> it ends with 1; a disk that
// recalls nothing -> lines are there twice.
#[tokio::test]
async fn a_long_input_outlives_kills_and_stops_of_the_server() {
    let mut server = Server::start().await;
    let proxy =
        FaultProxy::start(server.http.strip_prefix("http://").unwrap().parse().unwrap(), 1).await.unwrap();
    let through = format!("http://{}", proxy.addr());
    let mut child = server.command(&["publish", "demo:long", "-", "--server", &through]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    let mut line = 0;
    for round in 0..4 {
        let text: String = (0..150).map(|more| format!("{}\n", line + more + 1)).collect();
        line += 150;
        input.write_all(text.as_bytes()).await.unwrap();
        // Some of them are on their way when it ends.
        let some = line - 100 - told.len();
        told.extend(acknowledged(&mut out, some).await);
        match round {
            0 | 2 => server.kill().await,
            1 => server.stop().await,
            _ => proxy.faults().cut_all(CutKind::Rst),
        }
        if round < 3 {
            server.again().await;
            proxy.faults().set_upstream(server.http.strip_prefix("http://").unwrap().parse().unwrap());
        }
    }
    drop(input);
    let rest = line - told.len();
    told.extend(acknowledged(&mut out, rest).await);
    let ended = within(child.wait_with_output()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    same(&told, (1..=line).map(|number| format!("demo:long {number} synced")));
    let stored = stored(&server, "demo:long").await;
    same(&stored, (1..=line).map(|number| format!("demo:long {number} {number}")));
}

// Mutants: `--key` not sent, or a disk that recalls nothing -> it is there twice; the word left out -> fails.
#[tokio::test]
async fn a_command_with_a_key_stores_its_event_once() {
    let mut server = Server::start().await;
    let args = ["publish", "demo:a", "{\"order\":17}", "--key", "order-17"];
    let first = server.run(&args, "").await;
    assert_eq!((first.code, &*first.out), (0, "demo:a 1 synced\n"), "{first:?}");
    server.kill().await;
    server.again().await;
    let again = server.run(&args, "").await;
    assert_eq!((again.code, &*again.out), (0, "demo:a 1 synced duplicate\n"), "{again:?}");
    let other = server.run(&["publish", "demo:a", "18", "--key", "order-17"], "").await;
    assert_eq!((other.code, other.err.contains("key_conflict")), (3, true), "{other:?}");
    for (args, text) in [
        (&["publish", "demo:a", "-", "--key", "x"][..], "--key is for one event"),
        (&["publish", "demo:a", "1", "--key", "a b"], "visible ASCII"),
        (&["publish", "demo:a", "1", "--retry-for", "86401"], "86400"),
    ] {
        let refused = server.run(args, "1\n").await;
        assert_eq!((refused.code, refused.err.contains(text)), (2, true), "{refused:?}");
    }
    assert_eq!(stored(&server, "demo:a").await, ["demo:a 1 {\"order\":17}"]);
}

// Mutants: a server that was never there waited for -> it takes a minute; `--retry-for` not obeyed, either way -> fails.
#[tokio::test]
async fn a_server_that_is_away_is_told_and_waited_for_when_that_makes_sense() {
    let mut server = Server::start().await;
    for (data, input) in [("1", ""), ("-", "1\n")] {
        let args = ["publish", "demo:a", data, "--server", "http://127.0.0.1:1"];
        let ended = server.run(&args, input).await;
        assert_eq!((ended.code, ended.err.contains("sosik serve --demo")), (1, true), "{ended:?}");
    }
    let proxy =
        FaultProxy::start(server.http.strip_prefix("http://").unwrap().parse().unwrap(), 1).await.unwrap();
    let through = format!("http://{}", proxy.addr());
    server.kill().await;
    let args = ["publish", "demo:a", "1", "--server", &through, "--retry-for", "0"];
    let ended = server.run(&args, "").await;
    assert_eq!((ended.code, ended.err.contains("trying again")), (1, false), "{ended:?}");
    let mut child = server
        .command(&["publish", "demo:a", "2", "--server", &through, "--retry-for", "60"])
        .spawn()
        .unwrap();
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines();
    let note = within(notes.next_line()).await.unwrap().unwrap();
    assert!(note.contains("trying again for up to 60 s"), "{note}");
    server.again().await;
    proxy.faults().set_upstream(server.http.strip_prefix("http://").unwrap().parse().unwrap());
    let ended = within(child.wait_with_output()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), "demo:a 1 synced\n");
}
