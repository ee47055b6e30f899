//! Our WebSocket decoder and tungstenite's, over the same bytes: streams that keep RFC 6455 and streams that break it, cut
//! at random places. They give the same messages and find the same fault. Where they differ, and may:
//!
//! - tungstenite does not ask for the shortest length; section 5.2 does, and we fail the connection. A control frame whose
//!   length has two bytes is too long for us whatever they say.
//! - It looks at a frame when all of it has come. We fail at the first byte that no other can make good, so it is given
//!   what the frame lacks before it is asked.
//! - It compares the announced length with the limit before it looks at the rest of the head; we look at the head first. A
//!   frame that breaks both rules is 1009 there and 1002 here.
//! - It counts no fragments. No stream here has as many as we allow.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
};

use fastrand::Rng;
use sosik_testkit::seed::seeds;
use sosik_wire::websocket::{BINARY, CLOSE, Closing, Decoder, Fault, PING, PONG, Received, TEXT};
use tungstenite::{
    Error, Message, WebSocket,
    error::ProtocolError,
    protocol::{Role, WebSocketConfig},
};

/// What came of a stream.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    all: Vec<Received>,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// More may come.
    Open,
    Closed,
    /// By the name of the fault.
    Failed(&'static str),
}

// Mutants of the decoder: the mask not turned; a text told by the opcode of its last frame; a message not counted whole
// against its limit; any rule of a head left out but those of lengths; any rule of closes left out -> each fails.
#[test]
fn our_decoder_and_tungstenite_find_the_same_messages_and_the_same_faults() {
    let (mut ends, mut count) = (BTreeSet::new(), 0);
    for seed in seeds(SEEDS) {
        let mut rng = seed.rng();
        for _ in 0..STREAMS {
            let (stream, flipped) = stream(&mut rng);
            ends.insert(compare(&stream, flipped, &mut rng));
        }
        count += 1;
    }
    // A generator that makes no bad streams would prove nothing.
    let all: BTreeSet<_> =
        FAULTS.iter().map(|&name| End::Failed(name)).chain([End::Open, End::Closed]).collect();
    assert!(count < SEEDS || ends == all, "{ends:?}");
}

fn compare(stream: &[u8], flipped: bool, rng: &mut Rng) -> End {
    let ours = ours(stream, rng);
    let mut other = Other::new();
    let mut theirs = other.read(stream, rng);
    let End::Failed(name) = ours.end else {
        assert_eq!(ours, theirs, "{stream:02x?}");
        return ours.end;
    };
    let long_form = flipped && name == "long control" && theirs.end != ours.end;
    if name == "length" || long_form {
        assert!(theirs.all.starts_with(&ours.all), "{ours:?} {theirs:?} {stream:02x?}");
        return ours.end;
    }
    if theirs.end == End::Open {
        let rest = other.read(&STRANGE.repeat(LIMIT), rng);
        theirs.all.extend(rest.all);
        theirs.end = rest.end;
    }
    let size_first = theirs.end == End::Failed("large") && HEAD_FAULTS.contains(&name);
    if size_first {
        theirs.end = ours.end;
    }
    assert_eq!(ours, theirs, "{stream:02x?}");
    ours.end
}

fn pieces<'a>(mut bytes: &'a [u8], rng: &mut Rng) -> Vec<&'a [u8]> {
    let most = [1, 3, 20, 500, usize::MAX][rng.usize(..5)];
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(rng.usize(1..=most.min(bytes.len())));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn ours(stream: &[u8], rng: &mut Rng) -> Outcome {
    let mut decoder = Decoder::with_limit(LIMIT);
    let mut all = Vec::new();
    for piece in pieces(stream, rng) {
        decoder.feed(piece);
        loop {
            match decoder.next_received() {
                Ok(None) => break,
                Ok(Some(received)) => all.push(received),
                Err(fault) => return Outcome { all, end: End::Failed(name(fault)) },
            }
        }
    }
    let end = if matches!(all.last(), Some(Received::Close(_))) { End::Closed } else { End::Open };
    Outcome { all, end }
}

fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Opcode(_) => "opcode",
        Fault::Unmasked => "unmasked",
        Fault::ReservedBits => "reserved",
        Fault::FragmentedControl => "fragmented control",
        Fault::LongControl => "long control",
        Fault::Interrupted => "interrupted",
        Fault::Unbegun => "unbegun",
        Fault::Length => "length",
        Fault::CloseLength => "close length",
        Fault::CloseCode(_) => "close code",
        Fault::NotUtf8 => "utf-8",
        Fault::TooLarge { .. } => "large",
        other => panic!("{other} is not among what is compared"),
    }
}

/// tungstenite over memory.
struct Other(WebSocket<Memory>);

impl Other {
    fn new() -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(64)
            .max_message_size(Some(LIMIT))
            .max_frame_size(Some(LIMIT));
        Self(WebSocket::from_raw_socket(Memory(Vec::new()), Role::Server, Some(config)))
    }

    fn read(&mut self, bytes: &[u8], rng: &mut Rng) -> Outcome {
        let mut all = Vec::new();
        for piece in pieces(bytes, rng) {
            self.0.get_mut().0.extend_from_slice(piece);
            let end = loop {
                match self.0.read().map(received) {
                    Ok(Ok(received)) => all.push(received),
                    Ok(Err(name)) => break End::Failed(name),
                    Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break End::Open,
                    Err(Error::ConnectionClosed) => break End::Closed,
                    Err(error) => break End::Failed(their_name(&error)),
                }
            };
            if end != End::Open {
                return Outcome { all, end };
            }
        }
        Outcome { all, end: End::Open }
    }
}

fn received(message: Message) -> Result<Received, &'static str> {
    Ok(match message {
        Message::Text(text) => Received::Text(text.as_str().to_owned()),
        Message::Binary(bytes) => Received::Binary(bytes.to_vec()),
        Message::Ping(bytes) => Received::Ping(bytes.to_vec()),
        Message::Pong(bytes) => Received::Pong(bytes.to_vec()),
        // What it makes of a code that nobody may send.
        Message::Close(Some(close)) if close.reason.as_str() == "Protocol violation" => {
            return Err("close code");
        }
        Message::Close(close) => Received::Close(Closing {
            code: close.as_ref().map(|close| close.code.into()),
            reason: close.map(|close| close.reason.as_str().to_owned()).unwrap_or_default(),
        }),
        Message::Frame(_) => panic!("a frame is no message"),
    })
}

fn their_name(error: &Error) -> &'static str {
    match error {
        Error::Capacity(_) => "large",
        Error::Utf8(_) => "utf-8",
        Error::Protocol(ProtocolError::InvalidOpcode(_)) => "opcode",
        Error::Protocol(ProtocolError::UnmaskedFrameFromClient) => "unmasked",
        Error::Protocol(ProtocolError::NonZeroReservedBits) => "reserved",
        Error::Protocol(ProtocolError::FragmentedControlFrame) => "fragmented control",
        Error::Protocol(ProtocolError::ControlFrameTooBig) => "long control",
        Error::Protocol(ProtocolError::ExpectedFragment(_)) => "interrupted",
        Error::Protocol(ProtocolError::UnexpectedContinueFrame) => "unbegun",
        Error::Protocol(ProtocolError::InvalidCloseSequence) => "close length",
        other => panic!("{other:?} is not among what is compared"),
    }
}

struct Memory(Vec<u8>);

impl Read for Memory {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(self.0.len());
        into[..count].copy_from_slice(&self.0[..count]);
        self.0.drain(..count);
        Ok(count)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A frame before it is bytes.
struct Frame {
    first: u8,
    masked: bool,
    /// Bytes of the length: 0, 2 or 8; `None` for the fewest.
    length_bytes: Option<usize>,
    payload: Vec<u8>,
}

impl Frame {
    fn new(first: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { first, masked: true, length_bytes: None, payload: payload.into() }
    }

    fn put(&self, out: &mut Vec<u8>, rng: &mut Rng) {
        let length = self.payload.len();
        let fewest = match length {
            0..=125 => 0,
            126..=0xffff => 2,
            _ => 8,
        };
        let masked = if self.masked { 0x80 } else { 0 };
        out.push(self.first);
        match self.length_bytes.unwrap_or(fewest).max(fewest) {
            0 => out.push(masked | length as u8),
            2 => out.extend([&[masked | 126][..], &(length as u16).to_be_bytes()].concat()),
            _ => out.extend([&[masked | 127][..], &(length as u64).to_be_bytes()].concat()),
        }
        let mask: [u8; 4] = std::array::from_fn(|_| if self.masked { rng.u8(..) } else { 0 });
        if self.masked {
            out.extend(mask);
        }
        out.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
}

/// A stream, and whether bits of it were flipped.
fn stream(rng: &mut Rng) -> (Vec<u8>, bool) {
    let mut frames = Vec::new();
    for _ in 0..rng.usize(1..6) {
        message(&mut frames, rng);
    }
    if rng.u8(..4) == 0 {
        frames.push(close(rng));
        message(&mut frames, rng);
    }
    let broken = rng.u8(..3);
    for _ in 0..broken {
        spoil(&mut frames, rng);
    }
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.put(&mut bytes, rng));
    if rng.u8(..8) == 0 {
        bytes.truncate(rng.usize(1..=bytes.len()));
    }
    let flipped = broken > 0 && rng.u8(..8) == 0;
    if flipped {
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..bytes.len());
            bytes[at] ^= 1 << rng.u8(..8);
        }
    }
    (bytes, flipped)
}

/// A message in one to five frames, with control frames between them.
fn message(frames: &mut Vec<Frame>, rng: &mut Rng) {
    let text = rng.bool();
    let length = [rng.usize(..4), rng.usize(120..130), rng.usize(..300), rng.usize(..=LIMIT)][rng.usize(..4)];
    let length = if rng.u8(..30) == 0 { rng.usize(LIMIT..LIMIT + 10) } else { length };
    let payload: Vec<u8> = match text {
        true => std::iter::repeat_with(|| *rng.choice(LETTERS).unwrap())
            .take(length / 2)
            .collect::<String>()
            .into(),
        false => (0..length).map(|_| rng.u8(..)).collect(),
    };
    let mut cuts: Vec<usize> = match rng.bool() {
        true => (0..rng.usize(1..5)).map(|_| rng.usize(..=payload.len())).collect(),
        false => Vec::new(),
    };
    cuts.sort_unstable();
    let mut opcode = if text { TEXT } else { BINARY };
    let mut from = 0;
    for cut in cuts {
        frames.push(Frame::new(opcode, &payload[from..cut]));
        (from, opcode) = (cut, 0);
        while rng.u8(..3) == 0 {
            let control = if rng.bool() { PING } else { PONG };
            frames.push(Frame::new(FIN | control, vec![b'p'; rng.usize(..126)]));
        }
    }
    frames.push(Frame::new(FIN | opcode, &payload[from..]));
}

fn close(rng: &mut Rng) -> Frame {
    let code =
        [rng.u16(995..1020), rng.u16(2_995..3_005), rng.u16(4_995..5_005), rng.u16(..)][rng.usize(..4)];
    // Registered in 2019, and refused by tungstenite.
    let code = if code == 1014 { 1000 } else { code };
    let reason = ["", "bye", "안녕히", "\u{10ffff}"][rng.usize(..4)];
    let mut payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
    if rng.u8(..4) == 0 {
        payload.truncate(rng.usize(..4));
    }
    Frame::new(FIN | CLOSE, payload)
}

/// Breaks something, or perhaps nothing.
fn spoil(frames: &mut Vec<Frame>, rng: &mut Rng) {
    let at = rng.usize(..frames.len());
    let kind = rng.u8(..11);
    let frame = &mut frames[at];
    match kind {
        0 => frame.first = frame.first & 0xf0 | rng.u8(..16),
        1 => frame.first ^= 0x10 << rng.u8(..3),
        2 => frame.first ^= FIN,
        3 => frame.masked = false,
        4 if frame.first & 0x8 == 0 => frame.length_bytes = Some([2, 8][rng.usize(..2)]),
        5 | 6 if !frame.payload.is_empty() => {
            let at = rng.usize(..frame.payload.len());
            frame.payload[at] = rng.u8(0x80..);
        }
        7 => frame.payload = vec![b'x'; rng.usize(100..200)],
        8 => drop(frames.remove(at)),
        9 => frames.push(close(rng)),
        _ => frames.insert(at, close(rng)),
    }
    if frames.is_empty() {
        frames.push(close(rng));
    }
}

const SEEDS: u64 = 200;
const STREAMS: usize = 20;
const LIMIT: usize = 1_500;
const FIN: u8 = 0x80;
/// A frame that is a fault wherever it stands.
const STRANGE: [u8; 6] = [0x8f, 0x80, 0, 0, 0, 0];
const LETTERS: &[char] = &['a', '\0', 'é', '\u{7ff}', '\u{800}', '소', '\u{ffff}', '\u{10000}', '\u{10ffff}'];
const FAULTS: &[&str] = &[
    "opcode",
    "unmasked",
    "reserved",
    "fragmented control",
    "long control",
    "interrupted",
    "unbegun",
    "length",
    "close length",
    "close code",
    "utf-8",
    "large",
];
/// Those that we look for before the length.
const HEAD_FAULTS: &[&str] =
    &["unmasked", "reserved", "fragmented control", "long control", "interrupted", "unbegun"];
