//! The pump and the six transports.
//!
//! A transport is one small file: how the cursor arrives, how frames become bytes, how long to wait, whether the answer
//! ends after one batch. Everything else is shared.

mod figures;
mod hub;
mod name;
mod sweep;
pub mod tcp;

pub use figures::{Figures, TransportFigures};
pub use hub::{Caller, Clock, Hub, Settings};
pub use name::Transport;
pub use sweep::Sweep;

use std::sync::Arc;

/// The paths of all HTTP transports, of sending and of history. Each request must carry a [`Caller`] in its extensions.
pub fn router(hub: Arc<Hub>) -> axum::Router {
    let _ = hub;
    axum::Router::new()
}
