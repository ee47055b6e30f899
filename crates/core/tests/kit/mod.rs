//! What the tests of the core share: a node at work, and a store that writes down what really happened.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

mod recorded;
pub mod truth;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use sosik_core::{
    ChannelName, Draft, Grant, Herald, LogId, Namespace, Node, NodeOptions, Pattern, Store, Verb, Verbs,
    WatchId,
};
use tokio::task::JoinSet;

pub use self::{recorded::Recorded, truth::Truth};

/// A node whose logs run until it is dropped.
#[derive(Debug)]
pub struct Running {
    pub node: Arc<Node>,
    pub heard: Arc<Heard>,
    _logs: JoinSet<()>,
}

impl Running {
    pub async fn open(options: NodeOptions, stores: [Arc<dyn Store>; 2]) -> Self {
        let heard = Arc::new(Heard::default());
        let node = Node::open(options, stores, heard.clone()).await.unwrap();
        let mut logs = JoinSet::new();
        for id in LogId::ALL {
            let log = node.log(id).clone();
            logs.spawn(async move { log.run().await });
        }
        Self { node, heard, _logs: logs }
    }

    pub async fn over(namespaces: Vec<Namespace>, stores: [Arc<dyn Store>; 2]) -> Self {
        Self::open(NodeOptions::new(namespaces, 7), stores).await
    }
}

/// Remembers what it was told.
#[derive(Debug, Default)]
pub struct Heard(pub Mutex<Vec<WatchId>>);

impl Herald for Heard {
    fn changed(&self, watch: WatchId) {
        self.0.lock().unwrap().push(watch);
    }
}

impl Heard {
    pub fn take(&self) -> Vec<WatchId> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Everything is allowed in these namespaces.
pub fn grant(namespaces: &[&str]) -> Grant {
    let rules: Vec<_> =
        namespaces.iter().map(|name| (pattern(&format!("{name}:*")), Verbs::from_iter(Verb::ALL))).collect();
    Grant::anonymous(rules)
}

pub fn channel(text: &str) -> ChannelName {
    ChannelName::parse(text).unwrap()
}

pub fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

pub fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| pattern(text)).collect()
}

pub fn draft(name: &str, data: impl Into<bytes::Bytes>) -> Draft {
    Draft::json(channel(name), data)
}

/// Lets every task come to rest.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Whether `future` is ready after everybody has come to rest.
pub async fn is_ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    for _ in 0..200 {
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(Pin::new(&mut *future).poll(cx))).await;
        if let std::task::Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Waits for `answer` without giving anybody else a turn.
pub fn on_the_spot<T>(answer: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut answer = std::pin::pin!(answer);
    loop {
        match answer.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}
