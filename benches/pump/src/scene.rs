//! A node over memory with a publisher and readers; its logs work when somebody waits for them.

use std::{
    error::Error,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use sosik_core::{
    ChannelName, Draft, Epoch, Grant, LogId, Namespace, Node, NodeOptions, Pattern, Reader, Start, Store,
    Verb, Verbs,
};
use sosik_store::Memory;
use sosik_transport::Sweep;

use crate::NOW;

/// What the readers follow, and how far they are behind when they are pumped.
pub(crate) struct Case {
    /// As on the command line.
    pub(crate) name: &'static str,
    /// Events that are published before everybody is pumped.
    pub(crate) behind: usize,
    /// Channels that each reader follows.
    channels: usize,
    /// Whether every other channel lies in the other log, so that cursors have two parts.
    both_logs: bool,
}

/// A node, and its logs at work.
pub(crate) struct Scene {
    node: Arc<Node>,
    logs: Vec<Running>,
    grant: Grant,
    channels: Vec<ChannelName>,
    published: usize,
}

type Running = Pin<Box<dyn Future<Output = ()>>>;

impl Scene {
    pub(crate) fn new(case: &Case) -> Result<Self, Box<dyn Error>> {
        let stores = [1, 2].map(|epoch| Arc::new(Memory::new(Epoch::new(epoch))) as Arc<dyn Store>);
        let logs = [("memory", LogId::Memory), ("disk", LogId::Disk)];
        let namespaces = logs.map(|(name, log)| Namespace { log, ..Namespace::new(name) });
        let node =
            polled(&mut [], Node::open(NodeOptions::new(namespaces.into(), 1), stores, Sweep::new(1)))??;
        let running = LogId::ALL.map(|log| {
            let log = node.log(log).clone();
            Box::pin(async move { log.run().await }) as Running
        });
        let rights = [Pattern::parse("memory:*")?, Pattern::parse("disk:*")?];
        let grant = Grant::anonymous(rights.map(|pattern| (pattern, Verbs::from_iter(Verb::ALL))));
        let name = |number: usize| {
            let (namespace, _) = logs[if case.both_logs { number % 2 } else { 0 }];
            ChannelName::parse(&format!("{namespace}:channel-{number}"))
        };
        let channels = (0..case.channels).map(name).collect::<Result<_, _>>()?;
        Ok(Self { node, logs: running.into(), grant, channels, published: 0 })
    }

    /// Another reader, of all channels from now on.
    pub(crate) fn reader(&mut self) -> Result<Reader, Box<dyn Error>> {
        let set: Vec<_> = self.channels.iter().cloned().map(Pattern::Channel).collect();
        let opening = self.node.read(self.grant.clone(), &set, Start::Now, NOW);
        Ok(polled(&mut self.logs, opening)??)
    }

    /// One event with 200 bytes of data, in the next channel.
    pub(crate) fn publish(&mut self) -> Result<(), Box<dyn Error>> {
        let channel = self.channels[self.published % self.channels.len()].clone();
        self.published += 1;
        let draft = Draft::json(channel, format!("\"{:0>198}\"", self.published));
        polled(&mut self.logs, self.node.publish(&self.grant, vec![draft], NOW))??;
        Ok(())
    }
}

/// What `future` comes to while the logs run.
fn polled<T>(logs: &mut [Running], future: impl Future<Output = T>) -> Result<T, Box<dyn Error>> {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut cx) {
            return Ok(outcome);
        }
        for log in &mut *logs {
            if log.as_mut().poll(&mut cx).is_ready() {
                return Err("a log has ended".into());
            }
        }
    }
    Err("it waits for what never comes".into())
}

/// All that is measured.
pub(crate) const CASES: &[Case] = &[
    Case { name: "one", behind: 1, channels: 1, both_logs: false },
    Case { name: "behind_by_16", behind: 16, channels: 1, both_logs: false },
    Case { name: "set_of_20", behind: 1, channels: 20, both_logs: false },
    Case { name: "both_logs", behind: 1, channels: 2, both_logs: true },
];

/// Everything is in memory, so that a few rounds of polling answer anything.
const POLLS_MAX: usize = 1_000;
