//! Events and cursors for the tests of this crate.

use sosik_core::{Cursor, Data, Epoch, Event, LogId, Part, Position, event::Encodings, name::ChannelName};

pub(crate) fn event(channel: &str, name: &str, from: &str, data: Data) -> Event {
    Event {
        log: LogId::Disk,
        epoch: Epoch::new(0x0123_4567_89ab_cdef),
        position: Position::new(4_711),
        channel: ChannelName::parse(channel).unwrap(),
        seq: 812,
        prev: Position::new(4_700),
        time: 1_760_000_000_123,
        name: name.into(),
        from: from.into(),
        content_type: "".into(),
        meta: Vec::new(),
        data,
        signal: false,
        encodings: Encodings::default(),
    }
}

pub(crate) fn own_cursor(event: &Event) -> Cursor {
    Cursor::new([event.part()])
}

/// The cursor of a feed over both logs.
#[allow(dead_code, reason = "not every test file needs it")]
pub(crate) fn both_logs(event: &Event) -> Cursor {
    let other = LogId::ALL[1 - event.log.index()];
    Cursor::new([
        event.part(),
        Part { log: other, epoch: Epoch::new(u64::MAX), position: Position::new(u64::MAX) },
    ])
}

/// Takes one unmasked, final message apart: opcode, payload, rest. Written from RFC 6455 section 5.2 alone.
#[allow(dead_code, reason = "not every test file reads WebSocket messages")]
pub(crate) fn unwrap_message(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    assert_eq!(bytes[0] & 0xf0, 0x80, "final, no extension");
    assert_eq!(bytes[1] & 0x80, 0, "servers do not mask");
    let (length, from) = match bytes[1] {
        126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
        127 => (u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize, 10),
        short => (usize::from(short), 2),
    };
    match from {
        4 => assert!(length > 125, "the shortest form is a must"),
        10 => assert!(length > 65_535, "the shortest form is a must"),
        _ => {}
    }
    (bytes[0] & 0xf, &bytes[from..from + length], &bytes[from + length..])
}
