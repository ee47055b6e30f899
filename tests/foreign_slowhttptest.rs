//! slowhttptest, a tool that holds a server by heads, bodies and readers that hardly move.

#![allow(clippy::unwrap_used)]

use std::{io, process::Stdio, time::Duration};

use sosik_tests::{
    process::{curl, publish},
    scratch::Scratch,
    sosik::{Serve, Sosik},
};
use tokio::{process::Command, time::Instant};

async fn serve(scratch: &Scratch) -> Sosik {
    let args = ["--demo", "--store", "memory", "--connections-per-address-max", "0"];
    let serve = Serve { args: args.map(str::to_owned).to_vec(), ..Serve::default() };
    serve.start(&scratch.path().join("data"), scratch.path()).await.unwrap()
}

/// Lets so many attackers loose for so many seconds, and says how that ended.
async fn attack(server: &Sosik, args: &[&str], path: &str, seconds: u64) -> io::Result<String> {
    let count = attackers().to_string();
    let mut command = Command::new("slowhttptest");
    command.args(["-c", &count, "-r", &count, "-p", "1", "-l", &seconds.to_string()]).args(args);
    command.args(["-u", &format!("http://{}{path}", server.http)]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(seconds + 20), command.output()).await??;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Publishes again and again; answers the longest that one took.
async fn probing(server: &Sosik, attack: impl Future<Output = io::Result<String>>) -> (String, Duration) {
    let mut longest = Duration::ZERO;
    let probes = async {
        loop {
            let begin = Instant::now();
            publish(server.http, &"still here".into()).await.unwrap();
            longest = longest.max(begin.elapsed());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let said = tokio::select! {
        said = attack => said.unwrap(),
        () = probes => unreachable!("they go on as long as the attack"),
    };
    (said, longest)
}

async fn metric(server: &Sosik, name: &str) -> u64 {
    let metrics = curl(&[&format!("http://{}/metrics", server.http)]).await.unwrap();
    let text = String::from_utf8(metrics).unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap()
}

// Mutant: `body_grace_ms` as long as `body_ms` -> -B holds all to the end.
#[tokio::test]
async fn heads_and_bodies_that_hardly_move_hold_nobody_for_twelve_seconds() {
    let scratch = Scratch::new().unwrap();
    let server = serve(&scratch).await;
    let json = ["-f", "application/json"];
    for (args, path) in [
        (vec!["-H", "-i", "3"], "/v1/poll?channel=demo:lobby"),
        ([&["-B", "-i", "3", "-s", "8192", "-t", "POST"][..], &json].concat(), "/v1/publish"),
        (vec!["-R", "-t", "HEAD"], "/v1/poll?channel=demo:lobby"),
    ] {
        let begin = Instant::now();
        let (said, longest) = probing(&server, attack(&server, &args, path, 20)).await;
        assert!(said.contains("No open connections left"), "{args:?}: {said}");
        // It looks once a second whether there are any left.
        assert!(begin.elapsed() < Duration::from_secs(14), "{args:?}: {:?}", begin.elapsed());
        assert!(longest < Duration::from_secs(1), "{args:?}: others waited {longest:?}");
    }
}

/// What it has in its own receive buffers it reads for minutes and takes for an open connection: so the server is asked.
// Mutant: `Stalling` that never gives up, and no TCP_USER_TIMEOUT -> all are there to the end.
#[tokio::test]
async fn readers_that_hardly_read_are_given_up_once_they_take_nothing_for_thirty_seconds() {
    let scratch = Scratch::new().unwrap();
    let server = serve(&scratch).await;
    for _ in 0..300 {
        publish(server.http, &"x".repeat(900).into()).await.unwrap();
    }
    let args = ["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3"];
    let path = "/v1/poll?channel=demo:lobby&after=start";
    let attacking = attack(&server, &args, path, 45);
    let looking = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(metric(&server, "sosik_sockets_open").await > attackers());
        tokio::time::sleep(Duration::from_secs(35)).await;
        let open = metric(&server, "sosik_sockets_open").await;
        assert!(open < 10, "{open} are there after forty seconds");
        Ok(String::new())
    };
    let attacked = async {
        tokio::select! { said = attacking => said, said = looking => said }
    };
    let (_, longest) = probing(&server, attacked).await;
    assert!(longest < Duration::from_secs(1), "others waited {longest:?}");
}

/// 200; in `make proof`, where seeds are many, 1,000.
fn attackers() -> u64 {
    let seeds: u64 = std::env::var("SOSIK_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    if seeds >= 1_000 { 1_000 } else { 200 }
}
