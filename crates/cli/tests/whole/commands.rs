//! The commands, as typed.

use sosik_client::Transport;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::server::{Server, signal, within};

// Mutants: `--name` not sent; blank lines published; `--text` parsed as JSON; history printed newest first.
#[tokio::test]
async fn what_is_published_is_in_the_history() {
    let server = Server::start().await;
    let said = server.run(&["publish", "demo:a", "{ \"n\": 1 }", "--name", "say"], "").await;
    assert_eq!((said.code, &*said.out), (0, "demo:a 1 synced\n"), "{said:?}");
    let said = server.run(&["publish", "demo:a", "-"], "2\n\n[3]\n").await;
    assert_eq!((said.code, &*said.out), (0, "demo:a 2 synced\ndemo:a 3 synced\n"), "{said:?}");
    let said = server.run(&["publish", "--text", "demo:a", "say \"hi\""], "").await;
    assert_eq!(said.code, 0, "{said:?}");
    let said = server.run(&["publish", "demo:a", "-5"], "").await;
    assert_eq!(said.code, 0, "{said:?}");
    let read = server.run(&["history", "demo:a"], "").await;
    let expected =
        "demo:a 1 say {\"n\":1}\ndemo:a 2 2\ndemo:a 3 [3]\ndemo:a 4 \"say \\\"hi\\\"\"\ndemo:a 5 -5\n";
    assert_eq!((read.code, &*read.out), (0, expected), "{read:?}");
    let page = server.run(&["history", "demo:a", "--limit", "2", "--json"], "").await;
    assert!(page.out.starts_with("{\"type\":\"event\",\"channel\":\"demo:a\""), "{page:?}");
    let before = page.err.trim().rsplit(' ').next().unwrap();
    let page = server.run(&["history", "demo:a", "--limit", "2", "--before", before], "").await;
    assert_eq!(page.out, "demo:a 2 2\ndemo:a 3 [3]\n");
}

// Mutant: any of the exit codes exchanged -> scripts cannot tell a typing error from a server that is down.
#[tokio::test]
async fn exit_codes_say_whose_fault_it_was() {
    let mut server = Server::start().await;
    for (args, code, text) in [
        (&["publish", "demo:a", "{n:1}"][..], 2, "sosik publish demo:a '{\"text\":\"hello\"}'"),
        (&["publish", "demo:a"], 2, "Usage"),
        (
            &["follow", "demo:a", "--transport", "carrier_pigeon"],
            2,
            "poll, long_poll, stream, sse, websocket, tcp",
        ),
        (&["follow", "demo:a", "--after", "start", "--last", "1"], 2, "cannot be used with"),
        (&["follow", "demo:a", "--server", "https://localhost"], 2, "TLS"),
        (&["publish", "closed:a", "1"], 3, "sosik.toml"),
        (&["follow", "closed:a"], 3, "sosik.toml"),
        (&["follow", "demo:a", "--after", "nonsense"], 3, "cursor"),
    ] {
        let ended = server.run(args, "").await;
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        assert!(ended.err.contains(text), "{args:?}: {ended:?}");
    }
    server.http = "http://127.0.0.1:1".into();
    let ended = server.run(&["history", "demo:a"], "").await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("sosik serve --demo"), "{ended:?}");
}

// Mutants: the whole of a line shown in its refusal; a line that is no UTF-8 an error of reading; `Closed` for a reader
// that went away in mid-input -> each fails.
#[tokio::test]
async fn a_line_that_cannot_be_published_is_named_and_those_before_it_are_there() {
    let server = Server::start().await;
    let long = format!("1\n\"{}\"\n3\n", "a".repeat(70_000));
    let endless = format!("1\n[{}\n3\n", "a".repeat(60_000));
    for (input, text) in [
        (&b"1\nbad\n3\n"[..], "line 2 \"bad\" cannot"),
        (b"1\r\n\xff\n3\n", "line 2 cannot be published: invalid utf-8"),
        (long.as_bytes(), "line 2 cannot be published: data has 70002 bytes"),
        (endless.as_bytes(), "aaaa…\" cannot be published"),
    ] {
        let ended = server.run(&["publish", "demo:a", "-"], input).await;
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.out.ends_with(" synced\n") && ended.out.lines().count() == 1, "{ended:?}");
        assert!(ended.err.contains(text) && ended.err.len() < 500, "{ended:?}");
    }
    let mut child = server.command(&["publish", "demo:b", "-"]).spawn().unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"1\n2\n").await.unwrap();
    let ended = within(child.wait_with_output()).await.unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    let published = server.run(&["history", "demo:b"], "").await.out.lines().count();
    assert!(told.contains(&format!("line {published} is published and nothing after it")), "{told}");
}

// Mutants: no advice in a follow; the same advice with each attempt -> fails.
#[tokio::test]
async fn a_follow_without_a_server_says_once_how_to_start_one() {
    let mut server = Server::start().await;
    server.http = "http://127.0.0.1:1".into();
    let mut child = server.command(&["follow", "demo:a"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(within(lines.next_line()).await.unwrap().unwrap());
    }
    let hints = told.iter().filter(|line| line.contains("sosik serve --demo")).count();
    assert_eq!((hints, told[1].contains("sosik serve --demo")), (1, true), "{told:?}");
}

// Mutant: a configuration that makes no sense told as a fault of the network -> 1.
#[tokio::test]
async fn a_server_with_a_wrong_option_ends_as_a_wrong_command_line_does() {
    let server = Server::start().await;
    let ended = server.run(&["serve", "--listen", "99"], "").await;
    assert_eq!((ended.code, ended.err.contains("127.0.0.1:7171")), (2, true), "{ended:?}");
    let ended = server.run(&["serve", "--tcp-listen", "off", "--listen", &server.tcp], "").await;
    assert_eq!((ended.code, ended.err.contains("another server")), (1, true), "{ended:?}");
}

// Mutants: Ctrl-C kills -> no exit code and no cursor; lines kept in a buffer -> nothing is read before the end.
#[tokio::test]
async fn follow_prints_over_every_transport_and_ends_well_on_ctrl_c() {
    let server = Server::start().await;
    server.run(&["publish", "demo:a", "-"], "1\n2\n").await;
    for transport in Transport::ALL {
        let args = ["follow", "demo:a", "demo:b", "--last", "2", "--transport", transport.name()];
        let mut child = server.command(&args).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for expected in ["demo:a 1 1", "demo:a 2 2"] {
            assert_eq!(within(lines.next_line()).await.unwrap().unwrap(), expected, "{transport}");
        }
        signal(&child, "INT").await;
        let ended = within(child.wait_with_output()).await.unwrap();
        assert_eq!(ended.status.code(), Some(0), "{transport}");
        let err = String::from_utf8(ended.stderr).unwrap();
        assert!(err.contains(&format!("connected over {transport}")) && err.contains("--after 1"), "{err}");
    }
}

// Mutant: a failed write unwrapped -> a panic and code 101 behind every `| head`.
#[tokio::test]
async fn a_reader_that_goes_away_is_no_failure() {
    let server = Server::start().await;
    let lines: String = (0..2_000).map(|n| format!("{n}\n")).collect();
    assert_eq!(server.run(&["publish", "demo:a", "-"], &lines).await.code, 0);
    for args in [&["follow", "demo:a", "--after", "start"][..], &["history", "demo:a", "--limit", "256"]] {
        let mut child = server.command(args).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 10]).await.unwrap();
        drop(out);
        let ended = within(child.wait_with_output()).await.unwrap();
        assert_eq!(ended.status.code(), Some(0), "{args:?}");
        let err = String::from_utf8(ended.stderr).unwrap();
        assert!(!err.contains("panic") && !err.contains("pipe"), "{args:?}: {err}");
    }
}

// Mutant: notes written by `eprintln!` -> a panic and code 101 behind every `2>&1 | head`.
#[tokio::test]
async fn nobody_has_to_read_the_notes() {
    let server = Server::start().await;
    server.run(&["publish", "demo:a", "-"], "1\n2\n").await;
    let mut child = server.command(&["follow", "demo:a", "--last", "2"]).spawn().unwrap();
    drop(child.stderr.take());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for expected in ["demo:a 1 1", "demo:a 2 2"] {
        assert_eq!(within(lines.next_line()).await.unwrap().as_deref(), Some(expected));
    }
    signal(&child, "INT").await;
    assert_eq!(within(child.wait()).await.unwrap().code(), Some(0));
}

// Mutant: notes for people printed among the frames -> a line is no JSON.
#[tokio::test]
async fn json_output_is_nothing_but_frames() {
    let server = Server::start().await;
    server.run(&["publish", "demo:a", "-"], "1\n2\n").await;
    let mut child = server.command(&["follow", "demo:a", "--after", "start", "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut kinds = Vec::new();
    while kinds.len() < 3 {
        let line = within(lines.next_line()).await.unwrap().unwrap();
        let frame: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(frame["cursor"].is_string(), "{frame}");
        kinds.push(frame["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds, ["event", "event", "caught_up"]);
    signal(&child, "INT").await;
    within(child.wait()).await.unwrap();
}

// Mutant: SIGTERM kills before the goodbyes -> the follow is told a cut and not a goodbye.
#[tokio::test]
async fn a_server_that_goes_down_says_so() {
    let server = Server::start().await;
    let mut child = server.command(&["follow", "demo:a", "--transport", "tcp"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(within(lines.next_line()).await.unwrap().unwrap(), "sosik: connected over tcp");
    server.terminate().await;
    let line = within(lines.next_line()).await.unwrap().unwrap();
    assert!(line.starts_with("sosik: goodbye 4101 drain; again in"), "{line}");
}
