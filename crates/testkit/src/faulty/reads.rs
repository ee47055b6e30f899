//! Reads through faults: late, short, or not at the moment.

use std::sync::Arc;

use sosik_core::{
    cursor::Position,
    name::ChannelName,
    store::{
        ChannelHead, MemoKey, NamespaceHead, Opened, Page, PageLimit, Remembered, Scope, Store, StoreError,
    },
};

use super::Shared;

impl Shared {
    pub(super) async fn open(&self) -> Result<Opened, StoreError> {
        let mut opened = self.begin().await?.open().await?;
        if self.roll("old_head", |plan| plan.old_head) {
            let mut state = self.state.lock();
            let told = state.told;
            let once = [opened.base].into_iter().chain(state.heads.iter().copied());
            let once: Vec<_> = once.map(|head| head.max(told).min(opened.head)).collect();
            opened.head = state.rng.choice(once).unwrap_or(opened.head);
        }
        self.tell(opened.head);
        self.dawdle(|plan| plan.read_polls).await;
        Ok(opened)
    }

    pub(super) async fn channel(&self, channel: ChannelName) -> Result<Option<ChannelHead>, StoreError> {
        let inner = self.begin().await?;
        self.whole(|own| *own == channel)?;
        let answer = inner.channel(&channel).await;
        self.dawdle(|plan| plan.read_polls).await;
        answer
    }

    pub(super) async fn namespace(&self, namespace: String) -> Result<NamespaceHead, StoreError> {
        let inner = self.begin().await?;
        self.whole(|own| own.namespace() == namespace)?;
        let answer = inner.namespace(&namespace).await;
        self.dawdle(|plan| plan.read_polls).await;
        answer
    }

    pub(super) async fn page(
        &self,
        channel: ChannelName,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let inner = self.begin().await?;
        let mut page = inner.page(&channel, after, up_to, limit).await?;
        self.cut(&mut page);
        self.dawdle(|plan| plan.read_polls).await;
        self.late_mark(&*inner, &channel, &mut page).await?;
        Ok(page)
    }

    pub(super) async fn before(
        &self,
        channel: ChannelName,
        before: Position,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let inner = self.begin().await?;
        let mut page = inner.before(&channel, before, limit).await?;
        self.cut(&mut page);
        self.dawdle(|plan| plan.read_polls).await;
        self.late_mark(&*inner, &channel, &mut page).await?;
        Ok(page)
    }

    pub(super) async fn range(
        &self,
        scope: Scope,
        after: Position,
        up_to: Position,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let mut page = self.begin().await?.range(scope, after, up_to, limit).await?;
        self.cut(&mut page);
        self.dawdle(|plan| plan.read_polls).await;
        Ok(page)
    }

    pub(super) async fn recall(&self, keys: Vec<MemoKey>) -> Result<Vec<Option<Remembered>>, StoreError> {
        let answer = self.begin().await?.recall(keys).await;
        self.dawdle(|plan| plan.read_polls).await;
        answer
    }

    pub(super) async fn trim(&self, channel: ChannelName, to: Position) -> Result<(), StoreError> {
        self.begin().await?.trim(&channel, to).await?;
        self.end().await
    }

    pub(super) async fn forget(&self, channel: ChannelName) -> Result<Position, StoreError> {
        let mark = self.begin().await?.forget(&channel).await?;
        self.end().await?;
        Ok(mark)
    }

    async fn begin(&self) -> Result<Arc<dyn Store>, StoreError> {
        self.dawdle(|plan| plan.read_polls).await;
        self.arrive(1).await;
        if self.roll("read_unavailable", |plan| plan.read_unavailable) {
            return Err(StoreError::Unavailable);
        }
        Ok(self.inner())
    }

    /// `Failed` if a channel that is asked for is damaged.
    fn whole(&self, asked: impl Fn(&ChannelName) -> bool) -> Result<(), StoreError> {
        match self.state.lock().damaged.iter().find(|own| asked(own)) {
            Some(own) => Err(StoreError::Failed(format!("the record of {own} is damaged"))),
            None => Ok(()),
        }
    }

    /// The answer to something that was done may be lost.
    async fn end(&self) -> Result<(), StoreError> {
        self.dawdle(|plan| plan.read_polls).await;
        let lost = self.roll("read_unavailable", |plan| plan.read_unavailable);
        if lost { Err(StoreError::Unavailable) } else { Ok(()) }
    }

    /// Leaves at least one event, and claims no more than what is left.
    fn cut(&self, page: &mut Page) {
        if page.events.len() < 2 || !self.roll("short_page", |plan| plan.short_page) {
            return;
        }
        let left = self.state.lock().rng.usize(1..page.events.len());
        page.events.truncate(left);
        page.complete_to = page.events[left - 1].position;
    }

    /// Reads the mark again, if the channel still lives the same life.
    async fn late_mark(
        &self,
        inner: &dyn Store,
        channel: &ChannelName,
        page: &mut Page,
    ) -> Result<(), StoreError> {
        if let Some(head) = inner.channel(channel).await?
            && head.trimmed_to > page.trimmed_to
            && page.first_seq > 0
        {
            (page.trimmed_to, page.first_seq) = (head.trimmed_to, head.first_seq);
        }
        Ok(())
    }

    pub(super) fn tell(&self, head: Position) {
        let mut state = self.state.lock();
        state.told = state.told.max(head);
    }
}
