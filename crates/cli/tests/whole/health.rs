//! What a server says of its log: in answers, in `/ready`, `/metrics` and `status`, and in its own log.

use std::fs;

use crate::{
    operators::{after, copy, cursor_now},
    server::{Server, curl},
};

/// Publishes an event with curl: the head of the answer, its problem if it is one.
async fn publish(server: &Server) -> (String, serde_json::Value) {
    let event = r#"{"channel":"demo:a","data":1}"#;
    let answer = curl(&["-i", "--data", event, &format!("{}/v1/publish", server.http)]).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), serde_json::from_str(body.trim()).unwrap())
}

/// What a server that refuses publishes with `code` and `status` says everywhere, while it goes on to serve readers.
async fn refuses(server: &Server, code: &str, status: &str) {
    let (head, problem) = publish(server).await;
    assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
    for header in ["content-type: application/problem+json", "retry-after: 5", "cache-control: no-store"] {
        assert!(head.lines().any(|own| own == header), "{header} is not in {head}");
    }
    assert_eq!((&problem["code"], &problem["retry"]), (&code.into(), &true.into()), "{problem}");
    let http = &server.http;
    let polled = curl(&["-i", &format!("{http}/v1/poll?channel=demo:a&after=start")]).await;
    assert!(polled.starts_with("HTTP/1.1 200"), "{polled}");
    let ready = curl(&["-i", &format!("{http}/ready")]).await;
    assert!(
        ready.starts_with("HTTP/1.1 200") && ready.contains(&format!("refuses publishes: {code}")),
        "{ready}"
    );
    let to_store = curl(&["-i", &format!("{http}/ready/publish")]).await;
    assert!(to_store.starts_with(&format!("HTTP/1.1 {status} ")) && to_store.contains(code), "{to_store}");
    let told = server.run(&["status", "--json"], "").await;
    assert!(told.out.contains(&format!("\"refuses\":\"{code}\"")), "{told:?}");
}

// Mutants: the reserve not handed to the store -> the publish is stored; `refuses` blind for a full disk -> /ready/publish
// is 200.
#[tokio::test]
async fn a_server_without_room_on_its_disk_says_so_and_serves_its_readers() {
    let server = Server::start_with(&[], &["--disk-reserve-bytes", "1000000000000000000"]).await;
    refuses(&server, "storage_full", "507").await;
    let metrics = curl(&[&format!("{}/metrics", server.http)]).await;
    let appends = metrics.lines().find_map(|line| line.strip_prefix("sosik_store_appends_full_total "));
    assert!(appends.unwrap().parse::<u64>().unwrap() >= 1, "{metrics}");
}

// Mutants: `refuses` blind for a failed store -> /ready/publish is 200; `storage_failed` without a time to come back in the
// table of codes -> no Retry-After.
#[tokio::test]
async fn a_server_whose_sync_failed_says_so_and_serves_its_readers() {
    // -D: the server is our child, not strace, so that it ends with the test. Opening a log syncs in another way.
    let strace = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"];
    let inject = ["inject=fdatasync:error=EIO:when=20+"];
    let server = Server::start_with(&[&strace[..], &inject].concat(), &[]).await;
    let mut stored = 0;
    while publish(&server).await.0.starts_with("http/1.1 200") {
        stored += 1;
        assert!(stored < 100, "the sync never failed");
    }
    refuses(&server, "storage_failed", "503").await;
    let read = server.run(&["history", "demo:a", "--limit", "200"], "").await;
    assert_eq!(read.out.lines().count(), stored, "{read:?}");
    let metrics = curl(&[&format!("{}/metrics", server.http)]).await;
    for line in ["sosik_store_failed{log=\"disk\"} 1", "sosik_store_syncs_failed_total 1"] {
        assert!(metrics.lines().any(|own| own == line), "{line} is not in\n{metrics}");
    }
}

// Mutant: the buckets not summed up -> the last is less than the count.
#[tokio::test]
async fn commits_are_measured_as_a_histogram() {
    let server = Server::start().await;
    for data in ["1", "2", "3"] {
        server.run(&["publish", "demo:a", data], "").await;
    }
    let metrics = curl(&[&format!("{}/metrics", server.http)]).await;
    let value = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{metrics}")).parse().unwrap()
    };
    let count = value("sosik_store_commit_seconds_count");
    assert!(count >= 3, "{metrics}");
    assert_eq!(value("sosik_store_commit_seconds_bucket{le=\"+Inf\"}"), count);
    let buckets = metrics.lines().filter(|line| line.starts_with("sosik_store_commit_seconds_bucket"));
    let values: Vec<u64> = buckets.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(values.len() > 10 && values.is_sorted(), "{values:?}");
    assert_eq!(value("sosik_store_events_total{log=\"disk\"}"), 3);
    assert_eq!(value("sosik_store_kept_events{log=\"disk\"}"), 3);
    assert!(value("sosik_store_free_bytes") > 0 && value("sosik_store_renewed") == 0);
    assert!(metrics.contains("sosik_once_window_ms{namespace=\"demo\",kind=\"key\"} "), "{metrics}");
}

// Mutants: the message left out; the metric left out -> each fails.
#[tokio::test]
async fn a_log_that_has_lost_something_says_so_loudly_and_tells_its_readers() {
    let mut server = Server::start().await;
    server.run(&["publish", "demo:a", "-"], "1\n2\n").await;
    server.stop().await;
    let (tables, old) = (server.data().join("tables"), server.data().parent().unwrap().join("old"));
    copy(&tables, &old);
    server.again().await;
    server.run(&["publish", "demo:a", "-"], "3\n4\n").await;
    let cursor = cursor_now(&server).await;
    server.stop().await;
    // As a file system that forgets would leave it: what vouches for the events is newer than they are.
    fs::remove_dir_all(&tables).unwrap();
    fs::rename(&old, &tables).unwrap();
    assert!(!server.log().contains("new epoch"), "{}", server.log());
    server.again().await;
    let metrics = curl(&[&format!("{}/metrics", server.http)]).await;
    assert!(metrics.contains("\nsosik_store_renewed 1\n"), "{metrics}");
    let log = server.log();
    assert!(
        log.contains("ERROR") && log.contains("the log began a new epoch") && log.contains("sosik verify"),
        "{log}"
    );
    let said = server.run(&["publish", "demo:a", "5"], "").await;
    assert_eq!(said.out, "demo:a 3 synced\n", "{said:?}");
    let seen = after(&server, &cursor, 2).await;
    assert!(seen[0].contains("\"type\":\"gap\"") && seen[0].contains("\"reason\":\"epoch\""), "{seen:?}");
    assert!(seen[1].contains("\"data\":5"), "{seen:?}");
}
