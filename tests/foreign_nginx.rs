//! nginx in front as Debian ships it: a plain `proxy_pass`, nothing tuned. It speaks HTTP/1.0 upstream, buffers answers
//! and passes no Upgrade.

#![allow(clippy::unwrap_used)]

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use sosik_server::Running;
use sosik_tests::{
    process::{PATIENCE, Process, curl, curl_starts, publish},
    server::{demo, open, until},
};
use sosik_wire::TransportName;

/// A running nginx with a directory of its own. It listens on a socket there: no port can be taken by somebody else.
struct Nginx {
    dir: PathBuf,
    _process: Process,
}

impl Nginx {
    async fn in_front_of(server: &Running, name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("sosik-nginx-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let at = dir.display();
        // One process, so that killing it leaves none behind; and no path of the system.
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\nevents {{}}\n\
             http {{\naccess_log off;\n{temp}server {{\nlisten unix:{at}/socket;\n\
             location / {{ proxy_pass http://{}; }}\n}}\n}}\n",
            server.http
        );
        fs::write(dir.join("nginx.conf"), config).unwrap();
        let at = at.to_string();
        let process = Process::start("nginx", &["-p", &at, "-c", "nginx.conf", "-e", "error.log"]).unwrap();
        let nginx = Self { dir, _process: process };
        let up = async {
            while tokio::net::UnixStream::connect(nginx.socket()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        let up = tokio::time::timeout(PATIENCE, up).await;
        up.unwrap_or_else(|_| panic!("{:?}", fs::read_to_string(nginx.dir.join("error.log"))));
        nginx
    }

    fn socket(&self) -> String {
        self.dir.join("socket").display().to_string()
    }

    async fn get(&self, options: &[&str], path: &str) -> String {
        let socket = self.socket();
        let url = format!("http://localhost{path}");
        let fixed = ["--unix-socket", &socket, &url];
        String::from_utf8(curl(&[&fixed, options].concat()).await.unwrap()).unwrap()
    }

    fn follow(&self, path: &str) -> Process {
        curl_starts(&["--unix-socket", &self.socket(), &format!("http://localhost{path}")]).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn contains(seen: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(seen).contains(text)
}

// Mutant: HTTP/1.0 refused -> fails.
#[tokio::test]
async fn poll_and_long_poll_pass_a_plain_nginx() {
    let server = demo().await.unwrap();
    let nginx = Nginx::in_front_of(&server, "poll").await;
    let ok = publish(server.http, &json!("one")).await.unwrap();
    let poll: Value =
        serde_json::from_str(&nginx.get(&[], "/v1/poll?channel=demo:lobby&after=start").await).unwrap();
    assert_eq!((&poll["frames"][0]["data"], &poll["cursor"]), (&json!("one"), &ok["cursor"]));

    let after = ok["cursor"].as_str().unwrap();
    let held = nginx.follow(&format!("/v1/long-poll?channel=demo:lobby&after={after}&wait=25"));
    until("the long-poll is held", || open(&server, TransportName::LongPoll) > 0).await;
    publish(server.http, &json!("two")).await.unwrap();
    let answer: Value = serde_json::from_slice(&held.end().await.unwrap()).unwrap();
    assert_eq!(answer["frames"][0]["data"], "two");
}

// Mutant: X-Accel-Buffering left out -> nginx keeps the events until 4 KiB are together, and none of these comes.
#[tokio::test]
async fn sse_and_stream_are_live_through_a_buffering_nginx() {
    let server = demo().await.unwrap();
    let nginx = Nginx::in_front_of(&server, "live").await;
    for path in ["sse", "stream"] {
        let mut live = nginx.follow(&format!("/v1/{path}?channel=demo:lobby&after=now"));
        live.until(|seen| contains(seen, "welcome")).await.unwrap();
        for number in 1..=2 {
            let said = format!("{path} {number}");
            publish(server.http, &json!(said)).await.unwrap();
            live.until(|seen| contains(seen, &said)).await.unwrap();
        }
    }
}

// Mutant: a handshake without its Upgrade answered 400 -> a client cannot tell that a proxy is to blame.
#[tokio::test]
async fn websocket_through_a_plain_nginx_is_426_and_says_why() {
    let server = demo().await.unwrap();
    let nginx = Nginx::in_front_of(&server, "upgrade").await;
    let handshake = [
        "--include",
        "--max-time",
        "10",
        "--header",
        "Connection: Upgrade",
        "--header",
        "Upgrade: websocket",
        "--header",
        "Sec-WebSocket-Version: 13",
        "--header",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    let answer = nginx.get(&handshake, "/v1/websocket").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.contains("a proxy has removed it"), "{answer}");
}
