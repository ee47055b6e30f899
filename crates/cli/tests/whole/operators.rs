//! What an operator does: with the data directory, and with the commands that work on it.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
};

use crate::server::{Server, scratch};

/// The cursor that `follow` says to go on from.
async fn cursor_now(server: &Server) -> String {
    let last = server.run(&["history", "demo:a", "--limit", "1", "--json"], "").await.out;
    let frame: serde_json::Value = serde_json::from_str(last.trim()).unwrap();
    frame["cursor"].as_str().unwrap().to_owned()
}

/// Waits for the events after a cursor, as many as there must be.
async fn after(server: &Server, cursor: &str, count: usize) -> Vec<String> {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut child = server.command(&["follow", "demo:a", "--after", cursor, "--json"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.push(crate::server::within(lines.next_line()).await.unwrap().unwrap());
    }
    seen
}

// Mutant: `--store memory` as the default -> nothing is there after the kill.
#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let mut server = Server::start().await;
    let said = server.run(&["publish", "demo:a", "-"], "1\n2\n").await;
    assert_eq!(said.out, "demo:a 1 synced\ndemo:a 2 synced\n", "{said:?}");
    let cursor = cursor_now(&server).await;
    server.run(&["publish", "demo:a", "3"], "").await;
    server.kill().await;
    server.again().await;
    let said = server.run(&["publish", "demo:a", "4"], "").await;
    assert_eq!(said.out, "demo:a 4 synced\n", "{said:?}");
    let seen = after(&server, &cursor, 2).await;
    for (line, seq) in seen.iter().zip([3, 4]) {
        let part = "\"type\":\"event\",\"channel\":\"demo:a\",\"epoch\":";
        assert!(line.contains(part) && line.contains(&format!("\"seq\":{seq},")), "{seen:?}");
    }
}

// Mutants: the socket left to the umask -> its mode differs; not removed at the stop -> it is there; one that is there
// not replaced -> the last status fails; its paths mounted beside the public ones -> 200.
#[tokio::test]
async fn a_server_is_asked_through_its_socket_by_its_own_user_alone() {
    let mut server = Server::start().await;
    let socket = server.data().join("control");
    let about = fs::metadata(&socket).unwrap();
    assert!(about.file_type().is_socket());
    assert_eq!(about.mode() & 0o777, 0o600);
    let status = server.run(&["status", "--json"], "").await;
    let told: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!((&told["pid"], &told["refuses"]), (&server.pid().into(), &serde_json::Value::Null), "{told}");
    for path in ["/status", "/verify", "/backup", "/trim", "/control"] {
        let answer = curl(&["-X", "POST", "--data", "{}", &format!("{}{path}", server.http)]).await;
        assert!(answer.contains("no such path"), "{path}: {answer}");
    }
    server.stop().await;
    assert!(!socket.exists());
    let status = server.run(&["status"], "").await;
    assert_eq!((status.code, status.err.contains("sosik serve --data")), (1, true), "{status:?}");
    server.again().await;
    server.kill().await;
    assert!(socket.exists(), "a kill leaves it");
    let status = server.run(&["status"], "").await;
    assert_eq!((status.code, status.err.contains("no server runs")), (1, true), "{status:?}");
    server.again().await;
    let status = server.run(&["status"], "").await;
    assert_eq!((status.code, status.out.contains("publishes taken")), (0, true), "{status:?}");
}

// Mutant: the plain path bound -> no socket, and the status fails.
#[tokio::test]
async fn a_path_that_is_too_long_for_a_socket_is_no_trouble() {
    let server = Server::start().await;
    let long = server.data().parent().unwrap().join("long".repeat(40));
    fs::create_dir(&long).unwrap();
    let long = long.join("data");
    let data = long.to_str().unwrap();
    let serve = ["serve", "--demo", "--listen", "127.0.0.1:0", "--tcp-listen", "off", "--data", data];
    let mut second = server.command(&serve).spawn().unwrap();
    let mut line = String::new();
    let mut out = tokio::io::BufReader::new(second.stdout.take().unwrap());
    crate::server::within(tokio::io::AsyncBufReadExt::read_line(&mut out, &mut line)).await.unwrap();
    let status = server.run(&["status", "--data", data, "--json"], "").await;
    assert_eq!(status.code, 0, "{status:?}");
    assert!(status.out.contains(&format!("\"pid\":{}", second.id().unwrap())), "{status:?}");
    second.kill().await.unwrap();
}

// Mutants: each kind of directory taken for usable -> its line fails; the code left at 1 -> all do.
#[tokio::test]
async fn a_directory_that_cannot_be_used_ends_the_start_with_what_to_do() {
    let server = Server::start().await;
    let dir = scratch();
    let make = |name: &str, marker: &str, text: &str| {
        let path = dir.join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join(marker), text).unwrap();
        path
    };
    for (path, words) in [
        (server.data(), &["in use", "--data"][..]),
        (make("photos", "cat.jpeg", "meow"), &["not a log of Sosik", "--data"]),
        (make("future", "format", "sosik log, format 99\n"), &["format 99", "the version that wrote it"]),
        (make("file", "it", "is one").join("it"), &["it", "directory"]),
    ] {
        let path = path.to_str().unwrap();
        let args = ["serve", "--listen", "127.0.0.1:0", "--tcp-listen", "off", "--data", path];
        let ended = server.run(&args, "").await;
        assert_eq!((ended.code, ended.out.as_str()), (4, ""), "{path}: {ended:?}");
        for word in words.iter().chain([&path]) {
            assert!(ended.err.contains(word), "{path}: no {word:?} in {ended:?}");
        }
    }
    assert_eq!(fs::read_dir(dir.join("photos")).unwrap().count(), 1, "left alone");
    fs::remove_dir_all(dir).unwrap();
}

async fn curl(args: &[&str]) -> String {
    let run = tokio::process::Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20"])
        .args(["-H", "Content-Type: application/json"])
        .args(args)
        .output();
    String::from_utf8(run.await.unwrap().stdout).unwrap()
}
