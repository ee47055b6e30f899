//! What WebSocket and TCP share: hello first, then frames both ways.

use super::Ask;

/// The first frame.
pub(super) const HELLO: &str = r#"{"type":"hello","protocol":1}"#;

/// The frame that asks for a feed; its `ok` has the id 1.
pub(super) fn subscribe(ask: &Ask) -> String {
    let mut frame = ask.fields();
    frame["type"] = "subscribe".into();
    frame["id"] = 1.into();
    frame.to_string()
}
