//! Every decoder, over streams split anywhere and bytes that are no frames.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use sosik_core::{Cursor, Epoch, LogId, Part, Position};

use super::*;
use crate::{Code, Encoding, Goodbye, Welcome};

/// One decoder of the three, so that each is put through the same.
trait Decoder {
    fn feed(&mut self, bytes: &[u8]);
    fn next(&mut self) -> Result<Option<Down>, DecodeError>;
    fn held(&self) -> usize;
}

macro_rules! decoder {
    ($($own:ty),*) => {$(
        impl Decoder for $own {
            fn feed(&mut self, bytes: &[u8]) {
                self.feed(bytes);
            }
            fn next(&mut self) -> Result<Option<Down>, DecodeError> {
                self.next_frame()
            }
            fn held(&self) -> usize {
                self.held_bytes()
            }
        }
    )*};
}
decoder!(Lines, Sse, Binary);

fn decoder(encoding: Encoding, most: usize) -> Box<dyn Decoder> {
    match encoding {
        Encoding::Sse => Box::new(Sse::with_limit(most)),
        Encoding::Binary => Box::new(Binary::with_limit(most)),
        _ => Box::new(Lines::with_limit(most)),
    }
}

const STREAMS: [Encoding; 3] = [Encoding::JsonLine, Encoding::Sse, Encoding::Binary];

fn read(decoder: &mut dyn Decoder, pieces: &[&[u8]]) -> Vec<Down> {
    let mut frames = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        while let Some(frame) = decoder.next().unwrap() {
            frames.push(frame);
        }
    }
    frames
}

fn cursor(position: u64) -> Cursor {
    Cursor::new([Part { log: LogId::Disk, epoch: Epoch::new(7), position: Position::new(position) }])
}

/// A little of everything, as one connection sends it.
fn stream(encoding: Encoding) -> (Vec<Down>, Vec<u8>) {
    let event = |text: &str| {
        let mut event = json(
            br#"{"type":"event","channel":"room:7","epoch":"000007","seq":1,"time":2,"data":1,"cursor":"x"}"#,
        )
        .unwrap();
        if let Down::Event(frame) = &mut event {
            frame.data = sosik_core::Data::Json(serde_json::to_vec(text).unwrap().into());
        }
        event
    };
    let frames = vec![
        Down::Welcome(Welcome { cursor: Some(cursor(1).to_string()), ..Welcome::default() }),
        event("소식 \u{2028}\r\n: data: x"),
        Down::Heartbeat,
        Down::caught_up(&cursor(3)),
        event(&"long ".repeat(60)),
        Down::error(Some(1), Code::Limit, "x"),
        Down::Unknown("later".into()),
        Down::goodbye(Goodbye::Drain),
    ];
    let bytes = frames
        .iter()
        .flat_map(|frame| match frame {
            Down::Heartbeat => encoding.heartbeat(),
            _ => encoding.frame(frame),
        })
        .collect();
    (frames, bytes)
}

// Mutants: `searched` not reset after a line; the length left in the body -> each fails at some split.
#[test]
fn frames_are_the_same_wherever_the_stream_is_split() {
    for encoding in STREAMS {
        let (frames, bytes) = stream(encoding);
        for at in 0..=bytes.len() {
            let mut decoder = decoder(encoding, FRAME_BYTES_MAX);
            assert_eq!(read(&mut *decoder, &[&bytes[..at], &bytes[at..]]), frames, "{encoding:?} at {at}");
            assert_eq!(decoder.held(), 0);
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(
            read(&mut *decoder(encoding, FRAME_BYTES_MAX), &single),
            frames,
            "{encoding:?} byte by byte"
        );
    }
}

// Mutants: `\r\n` taken as two ends, in one feed or in two; the mark not skipped, or skipped on every line; only the last
// `data:` kept; a NUL in `id:` taken -> each fails.
#[test]
fn event_streams_are_read_as_browsers_read_them() {
    let frames = |text: &[u8]| {
        let whole = read(&mut Sse::new(), &[text]);
        for at in 0..=text.len() {
            assert_eq!(read(&mut Sse::new(), &[&text[..at], &text[at..]]), whole, "split at {at}");
        }
        whole
    };
    let caught_up = |cursor: &str| Down::CaughtUp(crate::CaughtUp { cursor: cursor.into() });
    let heartbeat = Down::Heartbeat;
    for (text, want) in [
        (&b"id: a\ndata: {\"type\":\"caught_up\"}\n\n"[..], vec![caught_up("a")]),
        (b"\xef\xbb\xbfid: a\ndata: {\"type\":\"caught_up\"}\n\n", vec![caught_up("a")]),
        (b"id: a\n\xef\xbb\xbfid: b\ndata: {\"type\":\"caught_up\"}\n\n", vec![caught_up("a")]),
        (b"id: a\rdata: {\"type\":\"caught_up\"}\r\r", vec![caught_up("a")]),
        (b"id: a\r\ndata: {\"type\":\"caught_up\"}\r\n\r\n", vec![caught_up("a")]),
        (b"id: a\r\ndata: {\"type\":\r\ndata: \"caught_up\"\rdata:}\n\n", vec![caught_up("a")]),
        (b"id:a\ndata:{\"type\":\"caught_up\"}\n\n", vec![caught_up("a")]),
        (b"id:  a\ndata: {\"type\":\"caught_up\"}\n\n", vec![caught_up(" a")]),
        (b"id: a\nid: b\0\ndata: {\"type\":\"caught_up\"}\n\n", vec![caught_up("a")]),
        (b"id: a\n\ndata: {\"type\":\"caught_up\"}\n\n", vec![caught_up("a")]),
        (b"id: b\ndata: {\"type\":\"caught_up\",\"cursor\":\"a\"}\n\n", vec![caught_up("a")]),
        (b"data: {\"type\":\"heartbeat\"}\n", vec![]),
        (b"event: x\nid: a\n\n", vec![]),
        (b"unknown: 1\nnothing\n: x\n:\n\n", vec![heartbeat.clone(), heartbeat.clone()]),
        (b"event: other\ndata: {\"type\":\"heartbeat\"}\n\n", vec![heartbeat.clone()]),
        (b"data: {\"type\":\"heartbeat\",\"x\":\"\xff\"}\n\n", vec![heartbeat]),
    ] {
        assert_eq!(frames(text), want, "{:?}", String::from_utf8_lossy(text));
    }
    let mut sse = Sse::new();
    sse.feed(b"retry: 3000\nretry: x\nretry\nretry: 99999999999999999999\nid: a\n");
    assert_eq!((sse.next_frame(), sse.retry_ms(), sse.last_id()), (Ok(None), Some(3_000), "a"));
    sse.feed(b"id\n");
    assert_eq!((sse.next_frame(), sse.last_id()), (Ok(None), ""));
}

// Mutant: `checked` left out -> a client would take "" for its place and begin at the present.
#[test]
fn a_frame_that_moves_the_reader_must_say_where() {
    for text in [
        r#"{"type":"caught_up"}"#,
        r#"{"type":"gap","channel":"a:b","reason":"trimmed","epoch":"000000"}"#,
        r#"{"type":"event","channel":"a:b","epoch":"000000","seq":1,"time":1,"data":1}"#,
    ] {
        assert_eq!(json(text.as_bytes()).unwrap_err().to_string(), "the frame has no cursor", "{text}");
        let mut sse = Sse::new();
        sse.feed(format!("data: {text}\n\n").as_bytes());
        assert!(sse.next_frame().is_err() && sse.next_frame().is_err());
    }
}

// Mutants: `Option<RawValue>` without `present` -> `null` is no data; no check for `{` -> the array is read as fields.
#[test]
fn objects_are_read_leniently_and_nothing_else_is() {
    let event = |data: &str| {
        format!(r#"{{"type":"event","channel":"a:b","epoch":"0","seq":1,"time":1,{data}"cursor":"1"}}"#)
    };
    let Down::Event(frame) = json(event(r#""data":null,"later":[{}],"#).as_bytes()).unwrap() else {
        panic!()
    };
    assert_eq!(frame.data, sosik_core::Data::Json("null".into()));
    let Down::Event(frame) = json(event(r#""binary":"/w","#).as_bytes()).unwrap() else { panic!() };
    assert_eq!(frame.data, sosik_core::Data::Binary(vec![255].into()));
    for bad in ["", r#""binary":"_w==","#, r#""data":1,"binary":"","#, r#""data":,"#] {
        assert!(json(event(bad).as_bytes()).is_err(), "{bad}");
    }
    assert_eq!(json(b" {\"x\":1,\"type\":\"later\"} ").unwrap(), Down::Unknown("later".into()));
    let Down::Ok(ok) = json(br#"{"type":"ok","durability":"eternal"}"#).unwrap() else { panic!() };
    assert_eq!(ok.durability, Some(crate::Durability::Unknown));
    for bad in ["[\"heartbeat\"]", "{}", "{\"type\":1}", "1", "{\"type\":\"heartbeat\"} x", "\"heartbeat\""] {
        assert!(json(bad.as_bytes()).is_err(), "{bad}");
    }
    for bad in ["[]", "{}", "[[],\"1\",true,null]", "", "{\"frames\":[1],\"cursor\":\"1\"}"] {
        assert!(answer(bad.as_bytes()).is_err(), "{bad}");
    }
}

// Mutants: comparing after the whole line is there; the length checked once the body came -> memory grows with the peer.
#[test]
fn what_is_too_large_is_refused_before_memory_is_taken() {
    for encoding in STREAMS {
        let exact: Vec<u8> = match encoding {
            Encoding::Binary => [&100_u32.to_be_bytes()[..], &[9; 100]].concat(),
            Encoding::Sse => [&[b'x'; 100][..], b"\n"].concat(),
            _ => [&[b' '; 100][..], b"\n"].concat(),
        };
        let mut fits = decoder(encoding, 100);
        assert!(read(&mut *fits, &[&exact]).len() <= 1);
        let mut over = decoder(encoding, 99);
        over.feed(&exact[..if encoding == Encoding::Binary { 4 } else { 100 }]);
        for _ in 0..2 {
            assert_eq!(over.next(), Err(DecodeError::TooLarge { bytes: 100, most: 99 }), "{encoding:?}");
            over.feed(&[b'x'; 1_000]);
            assert_eq!(over.held(), 0);
        }
    }
    let mut many = Sse::with_limit(1_000);
    let refused = (0..1_000).any(|_| {
        many.feed(b"data: 0123456789\n");
        many.next_frame().is_err()
    });
    assert!(refused && many.held_bytes() == 0);
}

#[test]
fn binary_events_cut_off_or_damaged_are_refused_not_misread() {
    let whole =
        b"\x01\x02\x05\0\0\0\0\0\0\0\x01\x06\x03a:b\0\0\x011\x01\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x09";
    let event = event_body(&Bytes::from_static(whole)).unwrap();
    assert_eq!((event.seq, event.time, event.signal, &*event.channel), (5, 6, true, "a:b"));
    assert_eq!(event.cursor, cursor(9).to_string());
    for end in 0..whole.len() {
        assert!(event_body(&Bytes::from_static(&whole[..end])).is_err(), "cut at {end}");
    }
    for (at, byte) in [(0, 0), (14, 0xff), (18, b'x'), (19, 0), (20, 2), (12, 0xff)] {
        let mut bad = whole.to_vec();
        bad[at] = byte;
        assert!(event_body(&bad.into()).is_err(), "byte {at} = {byte}");
    }
    let number = |varint: &[u8]| {
        event_body(&[&whole[..2], varint, &whole[3..]].concat().into()).map(|event| event.seq)
    };
    assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Ok(u64::MAX));
    assert!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").is_err());
    assert!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").is_err());
    assert!(event_body(&[whole, &b"later"[..]].concat().into()).is_ok());
}

/// Random bytes, and valid streams with bytes changed, dropped and doubled, in random pieces.
#[test]
fn no_bytes_make_a_decoder_panic_or_hold_more_than_a_frame_and_a_feed() {
    const MOST: usize = 600;
    const PIECE: usize = 97;
    for seed in 0..4_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let encoding = STREAMS[random.usize(..STREAMS.len())];
        let mut bytes = match random.u8(..4) {
            0 => (0..random.usize(..2_000)).map(|_| random.u8(..)).collect(),
            1 => (0..random.usize(..2_000))
                .map(|_| b"\r\n:{}[]\"\\, \0datidx1\xef\xbb\xbf"[random.usize(..22)])
                .collect(),
            _ => stream(encoding).1,
        };
        for _ in 0..random.usize(..8) {
            if bytes.is_empty() {
                break;
            }
            let at = random.usize(..bytes.len());
            match random.u8(..3) {
                0 => bytes[at] = random.u8(..),
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, random.u8(..)),
            }
        }
        let mut decoder = decoder(encoding, MOST);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(random.usize(1..=PIECE).min(rest.len()));
            decoder.feed(piece);
            while let Ok(Some(frame)) = decoder.next() {
                // Whatever was read can be written: a proxy that decodes and encodes cannot be made to panic.
                for encoding in Encoding::ALL {
                    encoding.frame(&frame);
                }
            }
            assert!(decoder.held() <= MOST + PIECE + 4 + MOST, "seed {seed}");
            rest = after;
        }
        let (_, _, _) = (json(&bytes), answer(&bytes), event_body(&bytes.clone().into()));
        let _ = std::str::from_utf8(&bytes).map(crate::Up::parse);
        let _ = (crate::PublishBody::parse(&bytes, None), crate::ReadBody::parse(&bytes));
        let _ = (crate::normalise(&bytes), crate::once::key_header(&bytes));
    }
}

// Mutant: the buffer kept by either -> fails.
#[test]
fn a_decoder_at_rest_keeps_no_buffer() {
    let (mut lines, mut binary) = (Lines::new(), Binary::new());
    let line = b"{\"type\":\"heartbeat\"}\n".repeat(200);
    let frames = Encoding::Binary.frame(&Down::goodbye(Goodbye::Drain)).repeat(40);
    // In two pieces, so that there is more room than was needed.
    for (of_line, of_frames) in [(&line[..3_000], &frames[..3_000]), (&line[3_000..], &frames[3_000..])] {
        lines.feed(of_line);
        binary.feed(of_frames);
    }
    assert!(lines.held_room() > line.len() && binary.held_room() > frames.len());
    while lines.next_line().unwrap().is_some() {}
    while binary.next_body().unwrap().is_some() {}
    assert_eq!((lines.held_room(), binary.held_room()), (0, 0));
}
