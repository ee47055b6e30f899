//! Keys of the tables. Numbers are big-endian, so that they sort; a channel's name ends at a zero byte, which no name
//! can hold.

use std::str;

use sosik_core::{cursor::Position, name::ChannelName};

/// `events`: channel, position.
pub(super) fn event_key(channel: &ChannelName, position: Position) -> Vec<u8> {
    let name = channel.as_str().as_bytes();
    let mut key = Vec::with_capacity(name.len() + 9);
    key.extend_from_slice(name);
    key.push(0);
    key.extend_from_slice(&position.number().to_be_bytes());
    key
}

/// Channel and position of a key of `events`.
pub(super) fn event_of(key: &[u8]) -> Option<(ChannelName, Position)> {
    let (name, _) = key.split_at_checked(key.len().checked_sub(9)?)?;
    Some((name_of(name)?, position_of(key)?))
}

/// Reads a position off the end of a key.
pub(super) fn position_of(key: &[u8]) -> Option<Position> {
    key.last_chunk().map(|number| Position::new(u64::from_be_bytes(*number)))
}

/// `order`: position.
pub(super) fn order_key(position: Position) -> [u8; 8] {
    position.number().to_be_bytes()
}

/// `channels`: the record of a channel.
pub(super) fn record_key(channel: &ChannelName) -> Vec<u8> {
    tagged(RECORD, channel.as_str().as_bytes())
}

/// `channels`: what the keys of all records of a namespace begin with.
pub(super) fn records_of(namespace: &str) -> Vec<u8> {
    let mut key = tagged(RECORD, namespace.as_bytes());
    key.push(b':');
    key
}

/// The channel of a key of `channels`.
pub(super) fn channel_of(key: &[u8]) -> Option<ChannelName> {
    let (&tag, name) = key.split_first()?;
    (tag == RECORD).then(|| name_of(name)).flatten()
}

/// A name as it is written in a key or a value.
pub(super) fn name_of(bytes: &[u8]) -> Option<ChannelName> {
    ChannelName::parse(str::from_utf8(bytes).ok()?).ok()
}

/// `channels`: the mark of a namespace.
pub(super) fn mark_key(namespace: &str) -> Vec<u8> {
    tagged(MARK, namespace.as_bytes())
}

/// The namespace of a key of `channels` that is a mark.
pub(super) fn marked_by(key: &[u8]) -> Option<&str> {
    let (&tag, name) = key.split_first()?;
    (tag == MARK).then(|| str::from_utf8(name).ok()).flatten()
}

/// `meta`: a batch stored lately.
pub(super) fn batch_key(slot: u32) -> Vec<u8> {
    tagged(BATCH, &slot.to_be_bytes())
}

/// `meta`: events that are marked as gone and still to be removed.
pub(super) fn removal_key(channel: &ChannelName, to: Position) -> Vec<u8> {
    tagged(REMOVAL, &event_key(channel, to))
}

/// `meta`: what the keys of all removals of a channel begin with.
pub(super) fn removals_of(channel: &ChannelName) -> Vec<u8> {
    let mut key = tagged(REMOVAL, channel.as_str().as_bytes());
    key.push(0);
    key
}

/// Channel and position of a key of a removal.
pub(super) fn removal_of(key: &[u8]) -> Option<(ChannelName, Position)> {
    event_of(key.get(1..)?)
}

/// `producers`, `keys`: a memo.
pub(super) fn memo_key(namespace: &str, name: &[u8]) -> Vec<u8> {
    of_namespace(MEMO, namespace, name)
}

/// `producers`, `keys`: the row of the order for a memo written at `at`.
pub(super) fn memo_order_key(namespace: &str, at: Position, name: &[u8]) -> Vec<u8> {
    let mut key = of_namespace(MEMO_ORDER, namespace, &at.number().to_be_bytes());
    key.extend_from_slice(name);
    key
}

/// `producers`, `keys`: what the keys of the whole order of a namespace begin with.
pub(super) fn memo_orders_of(namespace: &str) -> Vec<u8> {
    of_namespace(MEMO_ORDER, namespace, &[])
}

/// Place and name of a key of the order.
pub(super) fn memo_order_of(key: &[u8]) -> Option<(Position, &[u8])> {
    let zero = key.iter().position(|&byte| byte == 0)?;
    let (at, name) = key.get(zero + 1..)?.split_first_chunk()?;
    Some((Position::new(u64::from_be_bytes(*at)), name))
}

/// `producers`, `keys`: how much is remembered of a namespace.
pub(super) fn window_key(namespace: &str) -> Vec<u8> {
    tagged(WINDOW, namespace.as_bytes())
}

/// The namespace of a key of that.
pub(super) fn window_of(key: &[u8]) -> Option<&str> {
    str::from_utf8(key.get(1..)?).ok()
}

fn of_namespace(tag: u8, namespace: &str, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(namespace.len() + rest.len() + 2);
    key.push(tag);
    key.extend_from_slice(namespace.as_bytes());
    key.push(0);
    key.extend_from_slice(rest);
    key
}

fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(rest.len() + 1);
    key.push(tag);
    key.extend_from_slice(rest);
    key
}

/// `meta`: [`super::value::Identity`].
pub(super) const IDENTITY: &[u8] = b"identity";
/// `meta`: [`super::value::Tail`].
pub(super) const TAIL: &[u8] = b"tail";
/// `meta`: first byte of the keys of batches.
pub(super) const BATCH: u8 = 1;
/// `meta`: first byte of the keys of removals.
pub(super) const REMOVAL: u8 = 2;
const MEMO: u8 = b'm';
const MEMO_ORDER: u8 = b'o';
const WINDOW: u8 = b'w';
const RECORD: u8 = b'c';
const MARK: u8 = b'n';
