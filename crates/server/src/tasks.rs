//! The tasks that live as long as the server. None of them may end: one that does takes the process with it.

use std::{collections::HashMap, future::Future};

use tokio::task::{Id, JoinSet};

/// Tasks with names. Dropping it ends them.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    set: JoinSet<()>,
    names: HashMap<Id, String>,
}

impl Tasks {
    pub(crate) fn spawn(&mut self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name.into());
    }

    /// Ends all of them and waits until they have let go of what they held.
    pub(crate) async fn end(mut self) {
        self.set.shutdown().await;
    }

    /// Waits until one of them ends, whether it returned or panicked, and says which.
    pub(crate) async fn ended(&mut self) -> String {
        let (id, how) = match self.set.join_next_with_id().await {
            Some(Ok((id, ()))) => (id, "returned"),
            Some(Err(error)) => (error.id(), "panicked"),
            None => return std::future::pending().await,
        };
        format!("the task \"{}\" {how}", self.names.remove(&id).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

    // Mutant: `Some(Err(_))` waited over -> the panic goes unnoticed.
    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_or_panics_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("steady", std::future::pending());
        tasks.spawn("short", async {});
        assert_eq!(tasks.ended().await, "the task \"short\" returned");
        tasks.spawn("wild", async { panic!("planted") });
        let ended = tokio::time::timeout(PATIENCE, tasks.ended()).await;
        assert_eq!(ended.ok().as_deref(), Some("the task \"wild\" panicked"));
    }
}
