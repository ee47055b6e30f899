//! WebSockets that break RFC 6455, or try to cost more than they should: each ends, or goes on, as it is documented.

#![allow(clippy::unwrap_used)]

use sosik_lab::checker::Observed;
use sosik_testkit::{
    carriers::{Ask, Begin, Line, News, POLL, WEBSOCKET, masked, upgrade},
    transport_suite::{Ground, block_on},
};
use sosik_wire::binary::wrap_json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

// Mutants: a fault that ends the connection without its close; what is too much told by 1009 -> each fails.
#[test]
fn websocket_frames_against_the_standard_end_the_connection_by_its_codes() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let ping = br#"{"type":"ping","id":8}"#;
        let frame = |opcode, payload: &[u8]| masked(opcode, payload, [9, 8, 7, 6]);
        let mut reserved = frame(1, ping);
        reserved[0] |= 0x40;
        let parts = |opcode, length| {
            let mut part = frame(opcode, &vec![b' '; length]);
            part[0] &= 0x7f;
            part
        };
        for (bytes, close) in [
            ([&[0x81, 22][..], ping].concat(), 1002),
            (reserved, 1002),
            (frame(3, ping), 1002),
            (frame(1, b"{\"x\":\"\xff\"}"), 1007),
            ([vec![0x01], frame(1, ping)[1..].to_vec(), frame(1, ping)].concat(), 1002),
            (frame(1, &vec![b' '; 1024 * 1024 + 1]), 4006),
            // Announced is enough, alone and together; and so are many fragments that say nothing.
            (frame(1, &vec![b' '; 1024 * 1024 + 1])[..14].to_vec(), 4006),
            ([&parts(1, 600_000)[..], &parts(0, 600_000)[..14]].concat(), 4006),
            ([parts(1, 0), parts(0, 0).repeat(1_024)].concat(), 4006),
            // What no further byte can make good ends it before the frame has come.
            (frame(1, &[&b"{\"x\":\"\xed\xa0"[..], &[b' '; 90]].concat())[..6 + 8].to_vec(), 1007),
            (vec![0x81, 0xfe, 0, 125], 1002),
            (frame(9, &[0; 126]), 1002),
            (frame(8, &[3]), 1002),
            (frame(8, &1_005_u16.to_be_bytes()), 1002),
            (frame(8, b"\x03\xe8\xff"), 1007),
            (frame(8, b""), 1005),
        ] {
            let ask = Ask::new(&["disk:a"], Begin::Now);
            let mut line = Line::open(&WEBSOCKET, &ground.place, ask, 3).await.unwrap();
            line.live().await;
            line.push(&bytes);
            let wanted = format!("websocket close {close}");
            loop {
                match line.next().await {
                    News::Seen(Observed::Other { kind, .. }) if kind == wanted => break,
                    News::Seen(Observed::Other { kind, .. }) if kind == "goodbye" => {}
                    other => panic!("{other:?} where {wanted} was due"),
                }
            }
            assert_eq!(line.next().await, News::Ended);
        }
        // Fragments, a ping in between, and what belongs to the other subprotocol.
        let mut line =
            Line::open(&WEBSOCKET, &ground.place, Ask::new(&["disk:a"], Begin::Now), 3).await.unwrap();
        line.live().await;
        let mut begin = frame(1, &ping[..9]);
        begin[0] &= 0x7f;
        line.push(&[begin, frame(9, b"are you there"), frame(0, &ping[9..])].concat());
        let mut kinds = Vec::new();
        while kinds.len() < 2 {
            if let News::Seen(Observed::Other { kind, .. }) = line.next().await {
                kinds.push(kind);
            }
        }
        assert_eq!(kinds, ["websocket pong", "ok"]);
        line.push(&frame(2, &wrap_json(ping)));
        let error = line.frame("error").await;
        assert_eq!(error["code"], "bad_request");
        assert!(error["message"].as_str().unwrap().contains("sosik.v1.bin"));
        line.say(r#"{"type":"ping","id":9}"#);
        assert_eq!(line.frame("ok").await["id"], 9);
    });
}

// Mutants: every ping answered -> as many pongs as pings; the latest of many left out -> the last pong does not come.
#[test]
fn a_flood_of_pings_is_answered_by_a_few_pongs_and_the_latest() {
    const PINGS: u32 = 200_000;
    block_on(async {
        let ground = Ground::start(&POLL).await;
        let stream = TcpStream::connect(ground.place.http).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        to.write_all(&upgrade(ground.place.http, "")).await.unwrap();
        to.write_all(&masked(1, br#"{"type":"hello"}"#, [1, 2, 3, 4])).await.unwrap();
        let flood: Vec<u8> = (1..=PINGS).flat_map(|n| masked(9, &n.to_be_bytes(), [4, 3, 2, 1])).collect();
        let flooding = async { to.write_all(&flood).await.unwrap() };
        let reading = async {
            let (mut came, mut read) = (Vec::new(), [0; 65_536]);
            while !came.ends_with(&PINGS.to_be_bytes()) {
                let count = from.read(&mut read).await.unwrap();
                assert!(count > 0, "the connection goes on");
                came.extend_from_slice(&read[..count]);
            }
            came
        };
        let (came, ()) = tokio::join!(reading, flooding);
        let start = came.windows(6).position(|bytes| bytes == b"\x8a\x04\0\0\0\x01").unwrap();
        let (pongs, rest) = came[start..].as_chunks::<6>();
        assert!(rest.is_empty() && pongs.iter().all(|pong| pong[..2] == [0x8a, 4]));
        assert!(pongs.is_sorted() && pongs.len() < PINGS as usize / 2, "{} pongs", pongs.len());
        // Who floods is not in the way of others.
        assert_eq!(ground.client().await.get("/v1/poll?channel=disk:a").await.status(), 200);
    });
}

// Mutant: what came behind the head of the handshake dropped -> no welcome.
#[test]
fn half_a_handshake_is_closed_in_time_and_a_whole_one_may_come_in_pieces() {
    block_on(async {
        let ground = Ground::with(&POLL, |options| options.limits.head_ms = 300).await;
        let whole = upgrade(ground.place.http, "sosik.v1.json");
        for cut in [1, whole.len() / 2, whole.len() - 1] {
            let mut client = ground.client().await;
            client.write(&whole[..cut]).await;
            let mut left = Vec::new();
            client.socket.read_to_end(&mut left).await.unwrap();
            assert!(!left.starts_with(b"HTTP/1.1 101"), "after {cut} bytes: {left:?}");
        }
        let hello = masked(1, br#"{"type":"hello"}"#, [1, 2, 3, 4]);
        let (begin, rest) = whole.split_at(whole.len() - 2);
        let mut line = Line::raw(&WEBSOCKET, &ground.place, begin).await;
        line.push(&[rest, &hello[..3]].concat());
        line.push(&hello[3..]);
        line.frame("welcome").await;
    });
}

// Mutant: `poll` letting the feed write in the turn that has read a close -> events follow our own close.
#[test]
fn a_websocket_that_the_client_closes_hears_nothing_after_our_close() {
    block_on(async {
        let ground = Ground::start(&POLL).await;
        ground.publish_numbers("disk:a", 1, 5_000).await;
        let frame = |opcode, payload: &[u8]| masked(opcode, payload, [9, 8, 7, 6]);
        let bytes = [
            upgrade(ground.place.http, "sosik.v1.json"),
            frame(1, br#"{"type":"hello"}"#),
            frame(1, br#"{"type":"subscribe","channels":["disk:a"],"after":"start"}"#),
            frame(8, &1_000_u16.to_be_bytes()),
        ];
        let mut line = Line::raw(&WEBSOCKET, &ground.place, &bytes.concat()).await;
        let mut last = String::new();
        loop {
            match line.next().await {
                News::Seen(Observed::Other { kind, .. }) => last = kind,
                News::Seen(seen) => last = format!("{seen:?}"),
                _ => break,
            }
        }
        assert_eq!(last, "websocket close 1000");
    });
}
