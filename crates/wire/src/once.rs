//! What makes a publish be stored once, as clients write it: `"producer":{…}`, `"key":"…"`, the header `Idempotency-Key`.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use sosik_core::{
    limits::ONCE_ID_BYTES_MAX,
    once::{Key, Once, Producer},
};
use uuid::{Uuid, Variant, Version};

use crate::{code::Code, request::Refused};

/// Reads an idempotency key: 1 to [`ONCE_ID_BYTES_MAX`] bytes of visible ASCII. The time of a UUIDv7 (RFC 9562 section 5.7) is
/// read from it. Errors: [`Code::BadRequest`], saying what a key looks like.
pub fn key(text: &str) -> Result<Key, Refused> {
    Ok(Key { text: name(text, "an idempotency key")?, made_at: made_at(text) })
}

/// Reads the value of an `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header-07 section 2.1): a quoted
/// string (RFC 9651 section 3.3.3), or the key as it is. Errors: as [`key`].
pub fn key_header(value: &[u8]) -> Result<Key, Refused> {
    let malformed = || bad("Idempotency-Key is malformed; send one key, such as \"8e03978e-40d5-43dd-bc93\"");
    let text = std::str::from_utf8(value).map_err(|_| malformed())?.trim();
    match text.strip_prefix('"') {
        None => key(text),
        Some(quoted) => key(&unquoted(quoted).ok_or_else(malformed)?),
    }
}

/// The two fields of a publish frame. At most one of them is there.
pub(crate) fn read(producer: Option<&RawValue>, key: Option<&str>) -> Result<Option<Once>, Refused> {
    match (producer, key) {
        (None, None) => Ok(None),
        (Some(raw), None) => self::producer(raw).map(Once::Producer).map(Some),
        (None, Some(text)) => self::key(text).map(Once::Key).map(Some),
        (Some(_), Some(_)) => Err(bad("a publish takes `producer` or `key`, not both")),
    }
}

/// Writes the field that is there.
pub(crate) fn serialize<S: Serializer>(once: &Option<Once>, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(None)?;
    match once {
        Some(Once::Producer(Producer { id, epoch, seq })) => {
            map.serialize_entry("producer", &ProducerOut { id, epoch: *epoch, seq: *seq })?;
        }
        Some(Once::Key(key)) => map.serialize_entry("key", &key.text)?,
        None => {}
    }
    map.end()
}

#[derive(Serialize)]
struct ProducerOut<'a> {
    id: &'a str,
    epoch: u64,
    seq: u64,
}

#[derive(Deserialize)]
struct ProducerIn {
    id: String,
    epoch: u64,
    seq: u64,
}

fn producer(raw: &RawValue) -> Result<Producer, Refused> {
    // Otherwise an array would be read as the fields in their order.
    let read = if raw.get().starts_with('{') { serde_json::from_str(raw.get()).ok() } else { None };
    let Some(ProducerIn { id, epoch, seq }) = read else {
        return Err(bad("`producer` is {\"id\":\"…\",\"epoch\":1,\"seq\":1}: a text and two whole numbers"));
    };
    if epoch > NUMBER_MAX || seq > NUMBER_MAX {
        return Err(bad("`epoch` and `seq` of `producer` are at most 9007199254740991"));
    }
    if seq == 0 {
        return Err(bad("`seq` of `producer` counts from 1"));
    }
    Ok(Producer { id: name(&id, "the `id` of `producer`")?, epoch, seq })
}

fn name(text: &str, what: &str) -> Result<Box<str>, Refused> {
    if (1..=ONCE_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.into());
    }
    let message = format!("{what} has 1 to {ONCE_ID_BYTES_MAX} characters of visible ASCII, such as a UUID");
    Err(bad(&message))
}

/// The text of a quoted string from behind its first quote; `None` when it is none, or something stands behind it.
fn unquoted(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => text.push(chars.next().filter(|char| matches!(char, '"' | '\\'))?),
            char => text.push(char),
        }
    }
}

/// When a UUIDv7 was made, milliseconds since 1970: its first 48 bits.
fn made_at(text: &str) -> Option<u64> {
    let uuid = Uuid::try_parse(text).ok()?;
    let v7 = uuid.get_version() == Some(Version::SortRand) && uuid.get_variant() == Variant::RFC4122;
    v7.then(|| (uuid.as_u128() >> 80) as u64)
}

fn bad(message: &str) -> Refused {
    Refused::new(None, Code::BadRequest, message)
}

/// Greatest `epoch` and `seq`: every JSON reader holds whole numbers up to here exactly (RFC 8259 section 6).
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // Mutants: escapes kept as they are; what stands behind the second quote ignored; the quotes part of the key -> each
    // fails.
    #[test]
    fn the_header_takes_a_quoted_string_and_the_key_as_it_is() {
        for (value, text) in [
            (&b"abc"[..], "abc"),
            (b"\"abc\"", "abc"),
            (b" \"a\\\"b\\\\c\" ", "a\"b\\c"),
            (b"a\"b", "a\"b"),
            (b"8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ] {
            assert_eq!(&*key_header(value).unwrap().text, text);
        }
        let long = [b'x'; ONCE_ID_BYTES_MAX + 1];
        for value in [
            &b""[..],
            b"\"\"",
            b"\"a",
            b"\"a\\",
            b"\"a\\n\"",
            b"\"a\";b=1",
            b"\"a\" \"b\"",
            b"\"a b\"",
            b"a b",
            b"a, b",
            b"\xff",
            "소식".as_bytes(),
            &long,
        ] {
            assert_eq!(key_header(value).unwrap_err().code, Code::BadRequest, "{value:?}");
        }
        assert_eq!(key_header(&long[1..]).unwrap().text.len(), ONCE_ID_BYTES_MAX);
    }

    // Mutants: the version not looked at; the time taken from the last 48 bits -> each fails.
    #[test]
    fn the_time_of_a_uuid_of_version_7_is_read_and_of_no_other() {
        // RFC 9562 appendix A.6.
        for text in ["017F22E2-79B0-7CC3-98C4-DC0C0C07398F", "017f22e279b07cc398c4dc0c0c07398f"] {
            assert_eq!(key(text).unwrap().made_at, Some(1_645_557_742_000));
        }
        for text in
            ["919108f7-52d1-4320-9bac-f847db4148a8", "017f22e2-79b0-7cc3-18c4-dc0c0c07398f", "order-17"]
        {
            assert_eq!(key(text).unwrap().made_at, None, "{text}");
        }
    }
}
