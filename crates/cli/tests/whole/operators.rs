//! What an operator does: with the data directory, and with the commands that work on it.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use crate::server::{Server, curl, scratch};

/// The cursor that `follow` says to go on from.
pub(crate) async fn cursor_now(server: &Server) -> String {
    let last = server.run(&["history", "demo:a", "--limit", "1", "--json"], "").await.out;
    let frame: serde_json::Value = serde_json::from_str(last.trim()).unwrap();
    frame["cursor"].as_str().unwrap().to_owned()
}

/// Waits for the events after a cursor, as many as there must be.
pub(crate) async fn after(server: &Server, cursor: &str, count: usize) -> Vec<String> {
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
    server.run(&["publish", "demo:a", "-"], "1\n2\n").await;
    let status = server.run(&["status"], "").await;
    assert!(status.out.contains("2 stored since the start; 2 kept, "), "{status:?}");
}

// Mutant: no umask -> the engine's files have the mode 0644.
#[tokio::test]
async fn what_is_written_is_for_its_user_alone() {
    let mut server = Server::start_with(&["sh", "-c", "umask 0; exec \"$0\" \"$@\""], &[]).await;
    server.run(&["publish", "demo:a", "1"], "").await;
    let near = server.data().parent().unwrap().to_owned();
    assert_eq!(server.run(&["backup", "live"], "").await.code, 0);
    for_its_user_alone(&server.data());
    server.stop().await;
    assert_eq!(server.run(&["backup", "offline"], "").await.code, 0);
    assert_eq!(server.run(&["restore", "live", "--data", "restored"], "").await.code, 0);
    // Without its witness it is not whole, so that there is something to repair.
    fs::remove_file(server.data().join("witness")).unwrap();
    assert_eq!(server.run(&["verify", "--repair"], "").await.code, 0);
    for written in [server.data(), near.join("live"), near.join("offline"), near.join("restored")] {
        for_its_user_alone(&written);
    }
}

/// Looks at all that lies in and below `path`.
fn for_its_user_alone(path: &Path) {
    let about = fs::symlink_metadata(path).unwrap();
    let want = if about.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(about.mode() & 0o777, want, "{}", path.display());
    if about.is_dir() {
        let below: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        below.iter().for_each(|path| for_its_user_alone(path));
    }
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

// Mutants: the exit code left at 1; the option not named -> each fails.
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

// Mutants: a repair not refused while a server runs, or of what is whole -> another code; verify without the socket -> in
// use.
#[tokio::test]
async fn a_log_is_verified_by_its_server_and_without_one_and_repaired_only_without() {
    let mut server = Server::start().await;
    server.run(&["publish", "demo:a", "-"], "1\n2\n3\n").await;
    for running in [true, false] {
        let said = server.run(&["verify", "--json"], "").await;
        let told: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
        assert_eq!((said.code, &told["whole"], &told["events"]), (0, &true.into(), &3.into()), "{told}");
        if running {
            let said = server.run(&["verify", "--repair"], "").await;
            assert_eq!((said.code, said.err.contains("stop the server")), (3, true), "{said:?}");
            server.stop().await;
        }
    }
    let said = server.run(&["verify", "--repair"], "").await;
    assert_eq!((said.code, said.err.contains("nothing was changed")), (3, true), "{said:?}");
    let said = server.run(&["verify", "--data", "nowhere"], "").await;
    assert_eq!((said.code, said.err.contains("no log of Sosik")), (4, true), "{said:?}");
    assert!(!server.data().with_file_name("nowhere").exists());
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { _ = fs::copy(&from, &to).unwrap() }
    }
}

// Mutants: the backup taken of the directory and not by the server -> refused as in use; a directory in use no reason for
// its own exit code; what the server says of a target not told from its other refusals -> 3 with a server, 4 without.
#[tokio::test]
async fn a_backup_of_a_running_server_becomes_a_log_whose_old_readers_are_told() {
    let mut server = Server::start().await;
    server.run(&["publish", "demo:a", "-"], "1\n2\n3\n").await;
    let cursor = cursor_now(&server).await;
    let said = server.run(&["backup", "kept", "--json"], "").await;
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let kept = server.data().parent().unwrap().join("kept");
    assert_eq!((&told["to"], &told["head"]), (&kept.to_str().unwrap().into(), &3.into()), "{told}");
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o700);
    server.run(&["publish", "demo:a", "-"], "4\n5\n").await;
    for (args, code, words) in [
        (&["backup", "kept"][..], 4, "empty"),
        (&["backup", "sosik-data/kept"], 4, "lies in the data directory"),
        (&["backup", "kept/../sosik-data/deep/kept"], 4, "lies in the data directory"),
        (&["restore", "kept"], 4, "in use"),
        (&["restore", "kept", "--data", "."], 4, "empty"),
        (&["restore", "kept/tables", "--data", "other"], 4, "not a backup"),
        (&["serve", "--data", "kept", "--listen", "127.0.0.1:0", "--tcp-listen", "off"], 4, "sosik restore"),
    ] {
        let ended = server.run(args, "").await;
        assert_eq!((ended.code, ended.err.contains(words)), (code, true), "{args:?}: {ended:?}");
    }
    server.stop().await;
    for (args, words) in
        [(["backup", "kept"], "empty"), (["backup", "sosik-data/kept"], "lies in the data directory")]
    {
        let ended = server.run(&args, "").await;
        assert_eq!(
            (ended.code, ended.err.contains(words)),
            (4, true),
            "without a server: {args:?}: {ended:?}"
        );
    }
    let ended = server.run(&["backup", "second"], "").await;
    assert_eq!(
        (ended.code, ended.out.contains("up to position 5")),
        (0, true),
        "without a server: {ended:?}"
    );
    fs::rename(server.data(), kept.with_file_name("old")).unwrap();
    let ended = server.run(&["restore", "kept"], "").await;
    assert_eq!((ended.code, ended.out.contains("up to position 3")), (0, true), "{ended:?}");
    server.again().await;
    let said = server.run(&["publish", "demo:a", "-"], "40\n50\n").await;
    assert_eq!(said.out, "demo:a 4 synced\ndemo:a 5 synced\n", "{said:?}");
    let seen = after(&server, &cursor, 3).await;
    assert!(seen[0].contains("\"reason\":\"epoch\""), "{seen:?}");
    assert!(seen[1].contains("\"data\":40") && seen[2].contains("\"data\":50"), "{seen:?}");
    let all = server.run(&["history", "demo:a"], "").await;
    assert_eq!(all.out, "demo:a 1 1\ndemo:a 2 2\ndemo:a 3 3\ndemo:a 4 40\ndemo:a 5 50\n");
}

// Mutants: `delete` forgets the numbers -> the last publish has number 1; the channel's namespace not looked up -> the
// refusal names a line that opens nothing; `--below` taken for `--keep` -> another count.
#[tokio::test]
async fn an_operator_takes_events_away_and_readers_are_told() {
    let mut server = Server::start().await;
    server.run(&["publish", "demo:a", "-"], "1\n2\n3\n4\n5\n").await;
    let ended = server.run(&["trim", "demo:a", "--below", "2", "--json"], "").await;
    assert_eq!(ended.out, "{\"channel\":\"demo:a\",\"events\":1,\"next_seq\":2}\n", "{ended:?}");
    let ended = server.run(&["trim", "demo:a", "--keep", "2"], "").await;
    assert_eq!((ended.code, &*ended.out), (0, "demo:a: 2 events removed; it goes on with 4\n"), "{ended:?}");
    let seen = after(&server, "start", 3).await;
    assert!(seen[0].contains("\"reason\":\"trimmed\"") && seen[0].contains("\"next_seq\":4"), "{seen:?}");
    let ended = server.run(&["delete", "demo:a"], "").await;
    assert_eq!(ended.out, "demo:a: 2 events removed; it goes on with 6\n", "{ended:?}");
    let said = server.run(&["publish", "demo:a", "6"], "").await;
    assert_eq!(said.out, "demo:a 6 synced\n", "{said:?}");
    for (args, code, words) in [
        (&["forget", "demo:a"][..], 3, "forget_after_s"),
        (&["delete", "nowhere:a"], 3, "no namespace nowhere"),
        (&["delete", "demo:aa"], 3, "no channel demo:aa"),
        (&["trim", "demo:aa", "--keep", "1"], 3, "no channel demo:aa"),
        (&["delete", "demo a"], 3, "space"),
        (&["trim", "demo:a"], 2, "--keep"),
        (&["trim", "demo:a", "--keep", "1", "--below", "2"], 2, "cannot be used with"),
    ] {
        let ended = server.run(args, "").await;
        assert_eq!((ended.code, ended.err.contains(words)), (code, true), "{args:?}: {ended:?}");
    }
    let log = server.log();
    assert!(log.contains("took 1 event of demo:a") && log.contains("took 2 events of demo:a"), "{log}");
    server.stop().await;
    let ended = server.run(&["delete", "demo:a"], "").await;
    assert_eq!((ended.code, ended.err.contains("sosik serve --data")), (1, true), "{ended:?}");
}

// Mutant: its next number told as if the name went on -> the first line differs.
#[tokio::test]
async fn a_name_that_was_forgotten_begins_anew() {
    let mut server = Server::start().await;
    server.stop().await;
    let config = "[[namespace]]\nname = \"login\"\npublish = \"anyone\"\nforget_after_s = 60\n";
    fs::write(server.data().with_file_name("sosik.toml"), config).unwrap();
    server.again().await;
    server.run(&["publish", "login:7", "1"], "").await;
    let ended = server.run(&["forget", "login:7"], "").await;
    assert_eq!(
        (ended.code, &*ended.out),
        (0, "login:7: 1 event removed; its name begins anew\n"),
        "{ended:?}"
    );
    let ended = server.run(&["forget", "login:7", "--json"], "").await;
    assert_eq!((ended.code, ended.err.contains("no channel login:7")), (3, true), "{ended:?}");
}
