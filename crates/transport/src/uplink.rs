//! What clients send: one function for each thing, whichever way it came.

use std::sync::{Arc, atomic::Ordering};

use sosik_core::{ChannelName, Cursor, Error, History, Once, Publish, Published, Side, store::Level};
use sosik_wire::{Code, Down, Durability, HistoryFrame, OkFrame, PublishFrame, Refused, Up, answer};

use crate::hub::{Caller, Hub};

/// Answers one frame that needs no connection: publish, history, ping.
pub(crate) async fn answer(hub: Arc<Hub>, caller: Caller, frame: Up) -> Down {
    let answered = match frame {
        Up::Publish(frame) => publish_one(&hub, &caller, frame).await,
        Up::History(frame) => history_frame(&hub, &caller, frame).await,
        Up::Ping(ping) => Ok(Down::Ok(OkFrame { id: ping.id, ..OkFrame::default() })),
        Up::Subscribe(frame) => Err(needs_connection(frame.id, "subscribe")),
        Up::Unsubscribe(frame) => Err(needs_connection(frame.id, "unsubscribe")),
        _ => Err(needs_connection(None, "this frame")),
    };
    answered.unwrap_or_else(|refused| refuse(&hub, refused))
}

/// Publishes `frames` as one batch, stored once however often `once` comes, and answers an `ok` for each.
pub(crate) async fn publish(
    hub: &Hub,
    caller: &Caller,
    frames: Vec<PublishFrame>,
    once: Option<Once>,
) -> Result<Vec<Down>, Refused> {
    let mut heads = Vec::with_capacity(frames.len());
    let mut drafts = Vec::with_capacity(frames.len());
    for frame in frames {
        let id = frame.id;
        let (draft, channel) = frame.into_draft().map_err(|error| Refused::by_core(id, &error.into()))?;
        drafts.push(draft);
        heads.push((id, channel));
    }
    let only = if let [(id, _)] = heads[..] { id } else { None };
    let published = hub.node.publish(&caller.grant, Publish { drafts, once }, hub.clock.wall_ms()).await;
    let published = published.map_err(|error| Refused::by_core(only, &error))?;
    hub.figures.publishes.fetch_add(published.len() as u64, Ordering::Relaxed);
    Ok(heads
        .into_iter()
        .zip(published)
        .map(|((id, channel), published)| ok(id, channel, published))
        .collect())
}

/// A page of a channel's past.
pub(crate) async fn history(hub: &Hub, caller: &Caller, frame: &HistoryFrame) -> Result<History, Refused> {
    let refused = |error: Error| Refused::by_core(frame.id, &error);
    let channel = ChannelName::parse(&frame.channel).map_err(|error| refused(error.into()))?;
    let cursor = |text: &str| Cursor::parse(text).map_err(|error| refused(error.into()));
    let side = match (&frame.before, &frame.after) {
        (Some(_), Some(_)) => {
            return Err(refused(Error::Request("give either `before` or `after`, not both")));
        }
        (None, Some(after)) => Side::After(cursor(after)?),
        (Some(before), None) => Side::Before(Some(cursor(before)?)),
        (None, None) => Side::Before(None),
    };
    let limit = frame.limit.unwrap_or(HISTORY_EVENTS);
    if limit == 0 || limit > sosik_core::limits::PAGE_EVENTS_MAX as u64 {
        return Err(Refused::new(frame.id, Code::Limit, "`limit` must be 1 to 256"));
    }
    let now = hub.clock.wall_ms();
    hub.node.history(&caller.grant, &channel, side, limit as usize, now).await.map_err(refused)
}

/// Counts a refusal and makes the frame that tells it.
pub(crate) fn refuse(hub: &Hub, refused: Refused) -> Down {
    hub.figures.refused.fetch_add(1, Ordering::Relaxed);
    refused.into()
}

async fn publish_one(hub: &Hub, caller: &Caller, mut frame: PublishFrame) -> Result<Down, Refused> {
    let (id, once) = (frame.id, frame.once.take());
    let mut oks = publish(hub, caller, vec![frame], once).await?;
    oks.pop().ok_or_else(|| Refused::new(id, Code::Internal, "the publish was not answered; try again"))
}

async fn history_frame(hub: &Hub, caller: &Caller, frame: HistoryFrame) -> Result<Down, Refused> {
    let page = history(hub, caller, &frame).await?;
    let events = page.events.iter().map(|event| &**event);
    Ok(answer::history_ok(frame.id, &frame.channel, page.gap.as_ref(), events, &page.cursor, page.more))
}

fn ok(id: Option<u64>, channel: String, published: Published) -> Down {
    let epoch = published.epoch.short();
    Down::Ok(OkFrame {
        id,
        channel: Some(channel),
        epoch: Some(String::from_utf8_lossy(&epoch).into_owned()),
        seq: Some(published.seq),
        cursor: Some(Cursor::new([published.part()]).to_string()),
        durability: Some(match published.level {
            Level::Memory => Durability::Memory,
            Level::Synced => Durability::Synced,
            Level::Replicated => Durability::Replicated,
        }),
        duplicate: Some(published.duplicate),
        ..OkFrame::default()
    })
}

fn needs_connection(id: Option<u64>, what: &str) -> Refused {
    let message =
        format!("{what} needs a connection; send it over WebSocket or TCP, or open a stream of the channels");
    Refused::new(id, Code::Unsupported, message)
}

/// Events in a history answer when `limit` is not said.
const HISTORY_EVENTS: u64 = 100;
