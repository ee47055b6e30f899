//! Whatever is encoded comes back from the decoders, and an event is encoded once.
#![allow(clippy::unwrap_used)]

mod support;

use sosik_core::{Cursor, Data, Epoch, Event, Gap, GapReason, LogId, Part, Pattern, Position};
use sosik_wire::{
    Answer, Code, Down, Encoding, EventFrame, Goodbye, Hints, OkFrame, answer, binary, decode, websocket,
};
use support::{both_logs, event, own_cursor, unwrap_message};

/// Decodes bytes that hold exactly one frame.
fn decode(encoding: Encoding, bytes: &[u8]) -> Down {
    match encoding {
        Encoding::JsonLine => {
            let mut lines = decode::Lines::new();
            lines.feed(bytes);
            let down = lines.next_frame().unwrap().unwrap();
            assert_eq!(lines.next_frame().unwrap(), None);
            down
        }
        Encoding::Sse => {
            let mut sse = decode::Sse::new();
            sse.feed(bytes);
            let down = sse.next_frame().unwrap().unwrap();
            assert_eq!(sse.next_frame().unwrap(), None);
            down
        }
        Encoding::WebSocketText => {
            let (opcode, payload, rest) = unwrap_message(bytes);
            assert_eq!((opcode, rest), (websocket::TEXT, &b""[..]));
            decode::json(payload).unwrap()
        }
        Encoding::Binary => {
            let mut binary = decode::Binary::new();
            binary.feed(bytes);
            let down = binary.next_frame().unwrap().unwrap();
            assert_eq!(binary.next_frame().unwrap(), None);
            down
        }
    }
}

fn events() -> Vec<Event> {
    let json = |text: &str| Data::Json(text.to_owned().into());
    let mut events = vec![
        event("room:7", "say", "alice", json("{\"a\":1}")),
        event("room:7", "", "", json("null")),
        event("room:\"\\소식", "a\"b\n\u{2028}", "\u{1}\u{7f}김", json("\"\u{2028}\u{2029} \\n {}}\\\" \"")),
        event("room:7", "", "", json("[{\"cursor\":\"x\"},\"\\\",\\\"cursor\\\":\\\"1d\"]")),
        event("room:7", "", "cursor", json(&format!("\"{}\"", "x".repeat(65_534)))),
        event("room:7", "", "", Data::Binary(vec![].into())),
        event("room:7", "raw", "bob", Data::Binary((0..=255).collect::<Vec<u8>>().into())),
        event("room:7", "", "", Data::Binary(vec![0xff; 65_536].into())),
    ];
    // Around the sizes at which a WebSocket header grows.
    events.extend((0..140).map(|more| event("a:b", "", "", json(&format!("\"{}\"", "y".repeat(more))))));
    let near = 65_535 - Encoding::JsonLine.event(&event("a:b", "", "", json("\"\""))).len();
    events.extend(
        (near - 3..near + 5).map(|more| event("a:b", "", "", json(&format!("\"{}\"", "z".repeat(more))))),
    );
    let mut random = fastrand::Rng::with_seed(20_261);
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..random.usize(..300)).map(|_| random.u8(..)).collect();
        let text: String = (0..random.usize(..60)).map(|_| random.char(..)).collect();
        let data = match random.bool() {
            true => Data::Binary(bytes.into()),
            false => Data::Json(serde_json::to_vec(&text).unwrap().into()),
        };
        let mut event = event("room:7", &text, if random.bool() { &text } else { "" }, data);
        event.log = LogId::ALL[random.usize(..2)];
        event.epoch = Epoch::new(random.u64(..) >> random.u32(..64));
        event.position = Position::new(random.u64(..) >> random.u32(..64));
        (event.seq, event.time) = (random.u64(..) >> random.u32(..64), random.u64(..) >> random.u32(..64));
        event.signal = random.bool();
        events.push(event);
    }
    events
}

// Mutants: `signal` left out; the stem cut one byte short; the WebSocket header made for the stem alone;
// the binary length without the tail; `"` not escaped in the channel -> each fails here.
#[test]
fn every_event_comes_back_from_every_encoding_with_either_cursor() {
    for event in events() {
        for encoding in Encoding::ALL {
            let cursor = own_cursor(&event);
            let frame = Down::Event(EventFrame::new(&event, &cursor));
            assert_eq!(decode(encoding, &encoding.event(&event)), frame, "{encoding:?} {event:?}");
            assert_eq!(encoding.event_with(&event, &cursor).concat(), encoding.event(&event), "{encoding:?}");

            let cursor = both_logs(&event);
            let frame = Down::Event(EventFrame::new(&event, &cursor));
            let bytes = encoding.event_with(&event, &cursor).concat();
            assert_eq!(decode(encoding, &bytes), frame, "{encoding:?} {event:?}");
            if encoding != Encoding::Binary {
                assert_eq!(bytes, encoding.frame(&frame), "from scratch, {encoding:?} {event:?}");
            }
        }
    }
}

// Mutants: `event` encoding without the cache -> other memory; `event_with` encoding anew -> the stem is other memory.
#[test]
fn an_event_is_encoded_once_per_encoding_whatever_cursors_its_readers_have() {
    let event = event("room:7", "say", "alice", Data::Json(format!("\"{}\"", "x".repeat(200)).into()));
    for (made, encoding) in Encoding::ALL.into_iter().enumerate() {
        assert_eq!(event.encodings.made(), made);
        let first = encoding.event(&event);
        let memory = first.as_ptr_range();
        for _ in 0..1_000 {
            assert_eq!(encoding.event(&event).as_ptr_range(), memory);
            let [_, stem, tail] = encoding.event_with(&event, &both_logs(&event));
            assert!(memory.contains(&stem.as_ptr()) && stem.len() > 200, "{encoding:?}");
            assert!(stem.len() + 80 > first.len() && tail.len() < 80, "{encoding:?}");
        }
        assert_eq!(event.encodings.made(), made + 1);
    }
}

#[test]
fn every_other_frame_comes_back_from_every_encoding() {
    let cursor = both_logs(&event("room:7", "", "", Data::Json("1".into())));
    let part = Part { log: LogId::Disk, epoch: Epoch::new(9), position: Position::new(5) };
    let gap = |of: &str, reason, next_seq, lost| {
        Down::gap(&Gap { of: Pattern::parse(of).unwrap(), reason, part, next_seq, lost }, &cursor)
    };
    let kept = event("room:7", "say", "", Data::Json("{\"a\":[1,2]}".into()));
    let frames = [
        Down::Welcome(sosik_wire::Welcome { client: "c".into(), heartbeat_ms: 25_000, ..Default::default() }),
        Down::Welcome(sosik_wire::Welcome { cursor: Some(cursor.to_string()), ..Default::default() }),
        gap("room:7", GapReason::Trimmed, Some(813), Some(12)),
        gap("room:\"소식", GapReason::Forgotten, Some(1), None),
        gap("match:*", GapReason::Epoch, None, None),
        Down::caught_up(&cursor),
        Down::Ok(OkFrame { id: Some(3), ..OkFrame::default() }),
        answer::history_ok(Some(4), "room:7", None, [&kept, &kept], &cursor, true),
        Down::error(None, Code::Rebalance, "line\nbreak \u{2028} \"quote\""),
        Down::error(Some(u64::MAX), Code::Forbidden, ""),
        Down::TokenExpiring(sosik_wire::TokenExpiring { in_ms: 30_000 }),
        Down::Heartbeat,
        Down::Advice(sosik_wire::Advice {
            wait_s: Some(5),
            url: Some("http://a".into()),
            ..Default::default()
        }),
        Down::goodbye(Goodbye::Drain),
        Down::Unknown("from_the_future".into()),
        Down::Event(EventFrame::new(&kept, &cursor)),
    ];
    for frame in frames {
        for encoding in Encoding::ALL {
            assert_eq!(decode(encoding, &encoding.frame(&frame)), frame, "{encoding:?}");
        }
        let Down::Ok(OkFrame { frames: Some(list), .. }) = frame else { continue };
        let want = Down::Event(EventFrame::new(&kept, &own_cursor(&kept)));
        assert_eq!(decode::frames(list.iter().map(|raw| &**raw)).unwrap(), [want.clone(), want]);
    }
    for encoding in Encoding::ALL {
        assert_eq!(decode(encoding, &encoding.heartbeat()), Down::Heartbeat);
    }
    assert_eq!(decode(Encoding::JsonLine, sosik_wire::STREAM_HEARTBEAT), Down::Heartbeat);
}

// Mutant: the header made for the largest piece only -> the message ends inside the frame.
#[test]
fn binary_frames_travel_in_one_websocket_message() {
    for event in events() {
        let pieces = Encoding::Binary.event_with(&event, &both_logs(&event));
        let message = [&[websocket::wrap_binary(&pieces)], &pieces[..]].concat().concat();
        let (opcode, payload, rest) = unwrap_message(&message);
        assert_eq!((opcode, rest), (websocket::BINARY, &b""[..]));
        assert_eq!(payload, pieces.concat());
    }
    let close = websocket::close(Goodbye::Drain, "drain");
    assert_eq!(unwrap_message(&close), (websocket::CLOSE, &b"\x10\x05drain"[..], &b""[..]));
}

// Mutants: no comma between frames; the line feed left in; `more` left out -> each fails.
#[test]
fn one_shot_answers_hold_their_frames_and_the_place_after_them() {
    let event = event("room:7", "say", "alice", Data::Json("{\"a\":\"x\\ny\"}".into()));
    let cursor = both_logs(&event);
    let mut answer = Answer::new();
    assert_eq!(answer.frames(), 0);
    answer.push_event(&event);
    answer.push_event_with(&event, &cursor);
    answer.push(&Down::caught_up(&cursor));
    assert_eq!(answer.frames(), 3);
    let hints = Hints { next_ms: Some(5_000), rearm_ms: None };
    let body = answer.poll(&cursor, true, hints);
    assert!(
        body.iter().filter(|byte| **byte == b'\n').count() == 1
            && body.ends_with(b"\"more\":true,\"next_ms\":5000}\n")
    );
    let page = decode::answer(&body).unwrap();
    let frame = |cursor: &Cursor| Down::Event(EventFrame::new(&event, cursor));
    assert_eq!(page.frames, [frame(&own_cursor(&event)), frame(&cursor), Down::caught_up(&cursor)]);
    assert_eq!((page.cursor, page.more, page.hints), (cursor.to_string(), true, hints));

    let empty = Answer::new().history(&cursor, false);
    assert_eq!(empty, format!("{{\"frames\":[],\"cursor\":\"{cursor}\",\"more\":false}}\n"));
    assert!(decode::answer(&empty).unwrap().frames.is_empty());

    let answers =
        [Down::Ok(OkFrame { seq: Some(1), ..OkFrame::default() }), Down::error(None, Code::Limit, "x")];
    assert_eq!(decode::array(&answer::publish_array(&answers)).unwrap(), answers);
    assert_eq!(answer::publish_array(&[]), "[]\n");
}

#[test]
fn frames_of_clients_travel_in_the_binary_encoding_too() {
    let line = "{\"type\":\"ping\",\"id\":7}";
    let mut bytes = binary::wrap_json(line.as_bytes()).to_vec();
    bytes.extend_from_slice(&Encoding::Binary.heartbeat());
    let mut frames = decode::Binary::new();
    frames.feed(&bytes);
    assert_eq!(decode::json_body(&frames.next_body().unwrap().unwrap()).unwrap(), Some(line));
    assert_eq!(decode::json_body(&frames.next_body().unwrap().unwrap()).unwrap(), None);
    assert_eq!(frames.next_body().unwrap(), None);
    assert!(decode::json_body(&[1, 0]).is_err() && decode::json_body(&[0, 0xff]).is_err());
}
