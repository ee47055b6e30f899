//! The locks at which tasks and sweepers meet, and the sockets they write to.
//!
//! In the unit tests of this crate both are others, behind which a scheduler stands: at each of them it may let somebody
//! else go on. `feed/schedules.rs` tries the code below in many orders, as it is.

#[cfg(not(test))]
pub(crate) use parking_lot::{Mutex, MutexGuard};
#[cfg(not(test))]
pub(crate) use tokio::net::TcpStream;

#[cfg(test)]
mod scheduled;
#[cfg(test)]
pub(crate) use scheduled::{Mutex, MutexGuard, TcpStream};
