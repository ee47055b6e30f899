//! Options, the accept loop, composition, metrics, shutdown.
//!
//! [`run`] is the whole of `sosik serve`. Tests and programs that carry a server within them use [`Checked::new`] and
//! [`start`].

mod access;
mod addresses;
mod checked;
mod clock;
mod compose;
mod control;
mod error;
mod file;
mod files;
mod guard;
mod head;
mod health;
mod http;
mod limits;
mod listen;
mod measured;
mod memory;
mod metrics;
pub mod operate;
mod options;
mod origin;
mod pages;
mod reply;
mod running;
mod shutdown;
mod stall;
mod tasks;
mod told;
mod turn;
mod turned_away;

pub use checked::{Checked, Opened, StoreChoice};
pub use error::{OptionsError, ServeError};
pub use file::{Access, KindChoice, LogChoice, NamespaceTable};
pub use limits::Limits;
pub use options::{OptionInfo, ServeArgs};
pub use origin::{NotAnOrigin, Origin};
pub use running::{Running, start};

use std::{
    io::{self, Write},
    net::SocketAddr,
};

/// Serves until SIGTERM or SIGINT. When ready it prints one line on standard output,
/// `sosik listening http=ADDR tcp=ADDR` (`tcp=off` without the TCP transport), and one for people on standard error.
///
/// Errors: options that cannot be used, addresses that cannot be listened on, a part that broke, a second signal. The
/// process should then end with a status that is not 0.
pub async fn run(args: ServeArgs) -> Result<(), ServeError> {
    let mut options = Checked::load(args, |name| std::env::var_os(name))?;
    files::make_room(&mut options.limits);
    let running = start(options).await?;
    announce(&running, &mut io::stdout().lock(), &mut io::stderr().lock())?;
    shutdown::run_until_told(running).await
}

fn announce(running: &Running, out: &mut impl Write, people: &mut impl Write) -> io::Result<()> {
    let tcp = running.tcp.as_ref().map_or_else(|| "off".to_owned(), SocketAddr::to_string);
    writeln!(out, "sosik listening http={} tcp={tcp}", running.http)?;
    out.flush()?;
    writeln!(people, "Sosik is ready: {}/", running.public_url)?;
    match &running.data {
        Some(data) => {
            writeln!(people, "Events lie in {}; an acknowledged one is synced there.", data.display())
        }
        None => {
            writeln!(people, "Events are kept in memory (--store memory) and gone when the server stops.")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn said(args: ServeArgs) -> (Running, String, String) {
        let listen = Some("127.0.0.1:0".to_owned());
        let running = start(Checked::new(ServeArgs { listen, ..args }).unwrap()).await.unwrap();
        let (mut out, mut people) = (Vec::new(), Vec::new());
        announce(&running, &mut out, &mut people).unwrap();
        (running, String::from_utf8(out).unwrap(), String::from_utf8(people).unwrap())
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    // Mutant: the addresses asked for instead of the ones bound -> port 0.
    #[tokio::test]
    async fn a_ready_server_says_one_line_with_the_ports_it_got() {
        let memory = || ServeArgs { store: some("memory"), ..ServeArgs::default() };
        let (running, out, people) = said(ServeArgs { tcp_listen: some("127.0.0.1:0"), ..memory() }).await;
        assert_ne!(running.http.port(), 0);
        assert_ne!(running.tcp.unwrap().port(), 0);
        assert_eq!(out, format!("sosik listening http={} tcp={}\n", running.http, running.tcp.unwrap()));
        let ready = format!("Sosik is ready: http://localhost:{}/\n", running.http.port());
        assert!(people.starts_with(&ready), "{people}");
        let (running, out, _) = said(ServeArgs { tcp_listen: some("off"), ..memory() }).await;
        assert_eq!(out, format!("sosik listening http={} tcp=off\n", running.http));
    }

    // Mutant: memory where a directory was asked for -> no such words, and nothing in the directory.
    #[tokio::test]
    async fn a_ready_server_says_where_events_lie_and_what_an_acknowledgement_means() {
        let dir = std::env::temp_dir().join(format!("sosik-said-{:016x}", getrandom::u64().unwrap()));
        let data = dir.join("not/there/yet");
        let args = ServeArgs { tcp_listen: some("off"), ..ServeArgs::default() };
        let (_, _, people) = said(ServeArgs { data: some(data.to_str().unwrap()), ..args.clone() }).await;
        assert!(people.contains(data.to_str().unwrap()) && people.contains("synced"), "{people}");
        assert!(data.join("format").exists());
        let (_, _, people) = said(ServeArgs { store: some("memory"), ..args }).await;
        assert!(people.contains("in memory") && people.contains("gone"), "{people}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
