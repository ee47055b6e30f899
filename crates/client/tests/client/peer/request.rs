//! HTTP requests as the peer reads and answers them.

use std::collections::HashMap;

use sosik_wire::Problem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::within;

/// What a request said.
#[derive(Debug, Default, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
    pub(crate) channels: Vec<String>,
    pub(crate) after: Option<String>,
    pub(crate) last: Option<u64>,
    pub(crate) wait: Option<u64>,
}

/// One request with its body; `None` when the client closed instead.
pub(crate) async fn read_request(socket: &mut TcpStream) -> Option<Asked> {
    within(async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let mut asked = Asked { line: lines.next().unwrap().to_owned(), ..Asked::default() };
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            asked.headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = asked.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await.ok()?;
        asked.body = String::from_utf8(body).unwrap();
        let query = asked.line.split(' ').nth(1).unwrap().split_once('?').map_or("", |(_, query)| query);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "channel" => asked.channels.push(value.to_owned()),
                "after" => asked.after = Some(value.to_owned()),
                "last" => asked.last = value.parse().ok(),
                "wait" => asked.wait = value.parse().ok(),
                _ => {}
            }
        }
        Some(asked)
    })
    .await
}

pub(crate) async fn respond(socket: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let length =
        if status.starts_with("304") { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{length}{headers}\r\n");
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
}

pub(crate) async fn refuse(socket: &mut TcpStream, problem: &Problem) {
    let body = String::from_utf8(problem.to_json().to_vec()).unwrap();
    respond(socket, &format!("{} No", problem.status), "", &body).await;
}
