//! The WebSocket decoder against RFC 6455, byte by byte.
#![allow(clippy::unwrap_used)]

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const FIN: u8 = 0x80;

/// A frame as clients send it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut head = header(first, payload.len()).to_vec();
    head[0] = first;
    head[1] |= 0x80;
    head.extend(MASK);
    head.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    head
}

/// Everything that follows from these bytes, fed `step` at a time.
fn read(decoder: &mut Decoder, bytes: &[u8], step: usize) -> Result<Vec<Received>, Fault> {
    let mut all = Vec::new();
    for piece in bytes.chunks(step) {
        decoder.feed(piece);
        while let Some(received) = decoder.next_received()? {
            all.push(received);
        }
    }
    Ok(all)
}

fn text(text: &str) -> Received {
    Received::Text(text.to_owned())
}

// Mutants: the mask not turned by what was taken; an empty last fragment waited behind; a ping that ends the message
// around it; a text told by the opcode of its last frame; bytes behind a close read on -> each fails.
#[test]
fn messages_are_found_wherever_the_bytes_are_cut() {
    let long = "여러 조각 ✓ ".repeat(9_000);
    let middle = long.char_indices().nth(20_000).unwrap().0 + 1; // within a character
    let stream = [
        frame(FIN | TEXT, b""),
        frame(FIN | TEXT, "소식".as_bytes()),
        frame(TEXT, &long.as_bytes()[..middle]),
        frame(FIN | PING, b"are you there"),
        frame(0, b""),
        frame(FIN | PONG, b""),
        frame(0, &long.as_bytes()[middle..]),
        frame(FIN, b""),
        frame(FIN | BINARY, &[0xff; 300]),
        frame(FIN | CLOSE, b"\x03\xe8bye"),
        frame(FIN | TEXT, b"too late"),
    ]
    .concat();
    let wanted = [
        text(""),
        text("소식"),
        Received::Ping(b"are you there".to_vec()),
        Received::Pong(vec![]),
        text(&long),
        Received::Binary(vec![0xff; 300]),
        Received::Close(Closing { code: Some(1000), reason: "bye".into() }),
    ];
    for step in [1, 2, 3, 5, 13, 127, 4_096, 1 << 20] {
        let mut decoder = Decoder::with_limit(1 << 20);
        assert_eq!(read(&mut decoder, &stream, step).unwrap(), wanted, "{step} at a time");
    }
}

// Mutants: `held` kept when it is empty; the message moved out by a copy -> fails.
#[test]
fn at_rest_nothing_is_held_and_a_big_message_leaves_nothing_behind() {
    assert!(size_of::<Decoder>() <= 80, "{}", size_of::<Decoder>());
    let mut decoder = Decoder::with_limit(1 << 20);
    for payload in [10, 100, 1 << 20] {
        let stream = frame(FIN | BINARY, &vec![7; payload]);
        assert_eq!(read(&mut decoder, &stream, 4_096).unwrap().len(), 1);
        assert_eq!(decoder.heap_bytes(), 0, "after {payload} bytes");
    }
    read(&mut decoder, &frame(FIN | PING, b"x"), 1).unwrap();
    assert_eq!(decoder.heap_bytes(), 0);
}

// Mutant: room taken for what a head announces -> a client has a megabyte of ours for 14 bytes.
#[test]
fn what_was_only_announced_takes_no_memory() {
    let mut decoder = Decoder::with_limit(1 << 20);
    read(&mut decoder, &frame(FIN | TEXT, &vec![b'x'; 1 << 20])[..14 + 100], 50).unwrap();
    assert!((100..512).contains(&decoder.heap_bytes()), "{}", decoder.heap_bytes());
    let mut decoder = Decoder::with_limit(1 << 20);
    let stream = frame(FIN | TEXT, &vec![b'x'; 1 << 20]);
    read(&mut decoder, &stream[..stream.len() - 1], 4_096).unwrap();
    assert!(decoder.heap_bytes() <= 2 << 20, "{}", decoder.heap_bytes());
}

// Mutants: `>=` for `>`; the message so far not counted; one fragment more -> each fails.
#[test]
fn what_is_too_much_is_refused_before_it_comes() {
    let limited = |bytes: &[u8]| read(&mut Decoder::with_limit(1_000), bytes, 1 << 20);
    let large = Err(Fault::TooLarge { most: 1_000 });
    assert_eq!(limited(&frame(FIN | TEXT, &[b'x'; 1_000])).unwrap().len(), 1);
    assert_eq!(limited(&frame(FIN | TEXT, &[b'x'; 1_001])[..8]), large);
    assert_eq!(limited(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff0000"), large);
    let begun = frame(BINARY, &[0; 600]);
    assert_eq!(limited(&[&begun[..], &frame(FIN, &[0; 400])].concat()).unwrap().len(), 1);
    assert_eq!(limited(&[&begun[..], &frame(0, &[0; 401])[..8]].concat()), large);
    let fragments = |count: usize| [&frame(TEXT, b"")[..], &frame(0, b"").repeat(count - 1)].concat();
    let most = usize::from(FRAGMENTS_MAX);
    assert_eq!(limited(&[fragments(most - 1), frame(FIN, b"x")].concat()), Ok(vec![text("x")]));
    assert_eq!(limited(&[fragments(most), frame(FIN, b"x")].concat()), Err(Fault::TooManyFragments));
}

/// Bytes, and after how many of them it is over.
type Broken = (Vec<u8>, usize, Fault);

// Mutants: any of the rules left out of `Head::parse`; `least` of 127 as 126 -> fails.
#[test]
fn each_rule_of_frames_is_kept_at_the_first_byte_that_breaks_it() {
    let begun = frame(TEXT, b"x");
    #[rustfmt::skip]
    let mut table: Vec<Broken> = vec![
        (header(TEXT, 2).to_vec(), 2, Fault::Unmasked),
        (frame(CLOSE, b""), 2, Fault::FragmentedControl),
        (frame(PING, b"x"), 2, Fault::FragmentedControl),
        (frame(FIN | PONG, &[0; 126]), 2, Fault::LongControl),
        (frame(FIN | CLOSE, &[0; 70_000]), 2, Fault::LongControl),
        (frame(FIN, b"x"), 2, Fault::Unbegun),
        (frame(0, b"x"), 2, Fault::Unbegun),
        ([&begun[..], &begun].concat(), begun.len() + 2, Fault::Interrupted),
        ([&begun[..], &frame(FIN | BINARY, b"")].concat(), begun.len() + 2, Fault::Interrupted),
        (b"\x81\xfe\x00\x7d".to_vec(), 4, Fault::Length),
        (b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff".to_vec(), 10, Fault::Length),
        (b"\x81\xff\x80\x00\x00\x00\x00\x01\x00\x00".to_vec(), 10, Fault::Length),
    ];
    for reserved in [0x40, 0x20, 0x10, 0x70] {
        table.push((frame(FIN | reserved | TEXT, b"x"), 2, Fault::ReservedBits));
        table.push((frame(FIN | reserved | PONG, b""), 2, Fault::ReservedBits));
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        table.push((frame(FIN | opcode, b""), 2, Fault::Opcode(opcode)));
    }
    for (bytes, at, fault) in table {
        check_fault(&bytes, at, fault);
    }
    for (length, least) in [(126, 126), (127, 0x1_0000)] {
        let shortest = frame(FIN | BINARY, &vec![0; least]);
        assert_eq!(shortest[1] & 0x7f, length);
        assert!(read(&mut Decoder::with_limit(1 << 20), &shortest, 7).is_ok());
    }
}

/// The first `at` bytes are no fault and the whole is one at its `at`th; nothing is held or taken after it.
fn check_fault(bytes: &[u8], at: usize, fault: Fault) {
    let mut decoder = Decoder::with_limit(1 << 20);
    let before = read(&mut decoder, &bytes[..at - 1], 1);
    assert!(before.is_ok(), "{fault:?} before byte {at} of {bytes:x?}");
    assert_eq!(read(&mut decoder, &bytes[at - 1..at], 1), Err(fault), "at byte {at} of {bytes:x?}");
    decoder.feed(&frame(FIN | TEXT, b"more"));
    assert_eq!((decoder.next_received(), decoder.heap_bytes()), (Ok(None), 0));
    assert_eq!(read(&mut Decoder::with_limit(1 << 20), bytes, 1 << 20), Err(fault), "{bytes:x?} at once");
}

// Mutants: text looked at only when its frame is whole; what a piece leaves open forgotten; the same
// taken for a fault -> each fails.
#[test]
fn text_fails_at_the_first_byte_that_cannot_be_continued() {
    let head = frame(FIN | TEXT, &[0; 100]).len() - 100;
    #[rustfmt::skip]
    let table: [(&[u8], usize); 14] = [
        (b"\xff", 1), (b"\x80", 1), (b"\xc0", 1), (b"\xc1", 1), (b"\xf5", 1),
        (b"ab\xc3\x28", 4), (b"\xe0\x9f", 2), (b"\xed\xa0", 2), (b"\xf0\x8f", 2), (b"\xf4\x90", 2),
        (b"\xe2\x82\x41", 3), (b"\xf0\x90\x80\xc0", 4), ("κόσμε\u{0}".as_bytes(), 0), (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80", 13),
    ];
    for (bad, at) in table {
        let payload = [bad, &[b'x'; 100][bad.len()..]].concat();
        let whole = frame(FIN | TEXT, &payload);
        if at == 0 {
            assert!(read(&mut Decoder::with_limit(1 << 20), &whole, 1).is_ok(), "{bad:x?}");
            continue;
        }
        let mut decoder = Decoder::with_limit(1 << 20);
        assert_eq!(read(&mut decoder, &whole[..head + at - 1], 1), Ok(vec![]), "{bad:x?}");
        decoder.feed(&whole[head + at - 1..head + at]);
        assert_eq!(decoder.next_received(), Err(Fault::NotUtf8), "at byte {at} of {bad:x?}");
        // The same in fragments of one byte each, with a ping between them.
        let mut pieces = frame(TEXT, b"");
        for byte in &payload[..at - 1] {
            pieces.extend([frame(FIN | PING, b""), frame(0, &[*byte])].concat());
        }
        let mut decoder = Decoder::with_limit(1 << 20);
        assert!(read(&mut decoder, &pieces, 3).is_ok(), "{bad:x?}");
        assert_eq!(read(&mut decoder, &frame(0, &payload[at - 1..at]), 9), Err(Fault::NotUtf8), "{bad:x?}");
    }
    // What is open at the end of a fragment is no fault, at the end of the message it is.
    for cut in 1..4 {
        let open = &"𐍈".as_bytes()[..cut];
        let whole = [frame(TEXT, open), frame(FIN, &"𐍈".as_bytes()[cut..])].concat();
        assert_eq!(read(&mut Decoder::with_limit(9), &whole, 99), Ok(vec![text("𐍈")]));
        let ended = [frame(TEXT, open), frame(FIN, b"")].concat();
        assert_eq!(read(&mut Decoder::with_limit(9), &ended, 1), Err(Fault::NotUtf8));
        assert_eq!(read(&mut Decoder::with_limit(9), &frame(FIN | TEXT, open), 1), Err(Fault::NotUtf8));
    }
}

// Mutants: `3000..=5000`; 1005 let through; half a code taken for none -> each fails.
#[test]
fn closes_have_a_code_that_may_be_sent_and_a_reason_in_utf_8() {
    let close = |payload: &[u8]| {
        let mut all = read(&mut Decoder::with_limit(9), &frame(FIN | CLOSE, payload), 1)?;
        match all.pop() {
            Some(Received::Close(closing)) => Ok(closing),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(close(b"").unwrap().answer(), b"\x88\x00"[..]);
    assert_eq!(close(b"\x03"), Err(Fault::CloseLength));
    for code in 0..=u16::MAX {
        let registered = [1000..=1003, 1007..=1014, 3000..=4999];
        match close(&code.to_be_bytes()) {
            Ok(closing) => {
                assert!(registered.iter().any(|codes| codes.contains(&code)), "{code}");
                assert_eq!(closing.answer(), [&b"\x88\x02"[..], &code.to_be_bytes()].concat());
            }
            Err(fault) => {
                assert!(!registered.iter().any(|codes| codes.contains(&code)), "{code}");
                assert_eq!(fault, Fault::CloseCode(code));
            }
        }
    }
    let longest = [b"\x0f\xa0", "소".repeat(41).as_bytes()].concat();
    assert_eq!(close(&longest).unwrap().reason.chars().count(), 41);
    assert_eq!(close(&longest[..124]), Err(Fault::NotUtf8));
    assert_eq!(close(b"\x03\xe8\xed\xa0\x80"), Err(Fault::NotUtf8));
}

// Mutant: 1002 for all -> fails. A reason longer than its frame would fail the check of its length.
#[test]
fn a_fault_is_told_by_its_code_and_in_words() {
    for (fault, code) in [
        (Fault::Opcode(0xb), 1002),
        (Fault::Interrupted, 1002),
        (Fault::CloseCode(65_535), 1002),
        (Fault::NotUtf8, 1007),
        (Fault::TooLarge { most: u32::MAX }, 1009),
        (Fault::TooManyFragments, 1009),
    ] {
        let close = fault.close();
        assert_eq!((close[0], usize::from(close[1])), (FIN | CLOSE, close.len() - 2));
        assert!(close.len() <= 127, "{fault}");
        assert_eq!(close[2..4], u16::to_be_bytes(code));
        assert_eq!(close[4..], *fault.to_string().as_bytes());
    }
    assert!(Fault::TooManyFragments.to_string().contains(&FRAGMENTS_MAX.to_string()));
}
