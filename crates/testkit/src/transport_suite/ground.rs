//! A server in this process, with what a case needs around it.

use std::{fmt::Write as _, time::Duration};

use sosik_server::{Access, Checked, KindChoice, LogChoice, NamespaceTable, Running, ServeArgs, start};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::carriers::{Ask, Begin, Carrier, Line, Place, Publisher, WITHIN, http::Client};

/// A started server. Its namespaces are open for anyone: `disk` and `mem` in the log of that name, `small` on disk with
/// 16 events per channel, `sig` of signals; `closed` is there for nobody.
#[derive(Debug)]
pub struct Ground {
    /// The server.
    pub running: Running,
    /// Where it is reached.
    pub place: Place,
    carrier: &'static dyn Carrier,
    _dialect: JoinSet<()>,
}

impl Ground {
    /// Starts a server to be reached over `carrier`.
    pub async fn start(carrier: &'static dyn Carrier) -> Self {
        Self::with(carrier, |_| {}).await
    }

    /// [`Ground::start`] with other settings.
    pub async fn with(carrier: &'static dyn Carrier, change: impl FnOnce(&mut Checked)) -> Self {
        let anyone = |name: &str| NamespaceTable {
            name: name.to_owned(),
            read: Some(Access::Anyone),
            publish: Some(Access::Anyone),
            history: Some(Access::Anyone),
            ..NamespaceTable::default()
        };
        let closed = NamespaceTable { read: None, publish: None, history: None, ..anyone("closed") };
        let mut options = Checked::new(ServeArgs {
            listen: Some("127.0.0.1:0".into()),
            tcp_listen: Some("127.0.0.1:0".into()),
            store: Some("memory".into()),
            namespace: vec![
                NamespaceTable { log: Some(LogChoice::Disk), ..anyone("disk") },
                NamespaceTable { log: Some(LogChoice::Memory), ..anyone("mem") },
                NamespaceTable { events_max: Some(16), ..anyone("small") },
                NamespaceTable { kind: Some(KindChoice::Signal), ..anyone("sig") },
                closed,
            ],
            ..ServeArgs::default()
        })
        .unwrap();
        // All of them come from one address.
        options.limits.connections_per_address_max = 0;
        change(&mut options);
        let running = start(options).await.unwrap();
        let mut dialect = JoinSet::new();
        let tcp = running.tcp.expect("the TCP transport is on");
        let place = Place { http: running.http, tcp, dialect: carrier.listen(&running.hub, &mut dialect) };
        Self { running, place, carrier, _dialect: dialect }
    }

    /// Follows channels over the carrier.
    pub async fn follow(&self, channels: &[&str], begin: Begin) -> Line {
        self.open(Ask::new(channels, begin)).await
    }

    /// Follows channels from now on, and waits until that is so.
    pub async fn follow_live(&self, channels: &[&str]) -> Line {
        let mut line = self.follow(channels, Begin::Now).await;
        line.live().await;
        line
    }

    /// Asks over the carrier.
    pub async fn open(&self, ask: Ask) -> Line {
        Line::open(self.carrier, &self.place, ask, 7).await.unwrap()
    }

    /// A publisher over the carrier's own way up.
    pub async fn publisher(&self) -> Publisher {
        Publisher::connect(self.carrier, &self.place).await
    }

    /// A connection for plain requests.
    pub async fn client(&self) -> Client {
        Client::connect(self.place.http).await
    }

    /// Publishes the numbers `from` to `to` to a channel, in atomic batches, and nothing else.
    pub async fn publish_numbers(&self, channel: &str, from: u64, to: u64) {
        self.publish_padded(channel, from, to, 0).await;
    }

    /// [`Ground::publish_numbers`] as `[number,"…"]` with so many bytes of padding.
    pub async fn publish_padded(&self, channel: &str, from: u64, to: u64, padding: usize) {
        let mut client = self.client().await;
        let padding = "x".repeat(padding);
        let mut at = from;
        while at <= to {
            let upper = to.min(at + (900_000 / (padding.len() + 100)) as u64).min(at + 499);
            let mut body = String::from("[");
            for number in at..=upper {
                let comma = if number > at { "," } else { "" };
                let data = if padding.is_empty() {
                    format!("{number}")
                } else {
                    format!("[{number},\"{padding}\"]")
                };
                write!(body, "{comma}{{\"channel\":\"{channel}\",\"data\":{data}}}").unwrap();
            }
            body.push(']');
            let answered = client.post("/v1/publish", &body).await;
            assert_eq!(answered.status(), 200, "{}", String::from_utf8_lossy(&answered.body));
            at = upper + 1;
        }
    }

    /// Waits until what a channel keeps begins at event `first` or later.
    pub async fn trimmed(&self, channel: &str, first: u64) {
        let mut client = self.client().await;
        let target = format!("/v1/history?channel={channel}&limit=256");
        let within = async {
            loop {
                let page = client.get(&target).await.json();
                let frames = page["frames"].as_array().unwrap().iter();
                let seqs = frames.filter(|frame| frame["type"] != "gap").map(|frame| frame["seq"].as_u64());
                if seqs.min().flatten().is_some_and(|seq| seq >= first) {
                    return;
                }
                sleep(LOOKS_EACH).await;
            }
        };
        timeout(WITHIN, within).await.expect("it is not trimmed");
    }
}

/// The pause between two looks at what retention does beside.
const LOOKS_EACH: Duration = Duration::from_millis(5);
