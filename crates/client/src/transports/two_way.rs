//! How a connection that carries frames both ways begins, as `websocket` and `tcp` use it.

use sosik_wire::{Hello, Subscribe, Up, up::PROTOCOL};

use crate::{start::Ask, target::Target};

/// The first two frames. They are sent together: `hello` asks nothing that the subscribe depends on.
pub(super) fn greeting(to: &Target, ask: &Ask) -> [Up; 2] {
    let hello = Hello { client: Some(to.client.clone()), protocol: Some(PROTOCOL), token: None };
    let subscribe = Subscribe {
        id: Some(SUBSCRIBE_ID),
        channels: ask.channels.to_vec(),
        after: ask.from.after(),
        last: ask.from.last(),
        presence: false,
    };
    [Up::Hello(hello), Up::Subscribe(subscribe)]
}

/// The `id` of the one subscribe of a connection; calls have higher ones.
pub(crate) const SUBSCRIBE_ID: u64 = 1;
