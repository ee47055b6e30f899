//! Sets that change on one connection (rule 8).

use sosik_lab::checker::{CursorFrom, Observed};

use super::{Ground, begin::seqs};
use crate::carriers::{Begin, Carrier, News};

// Mutant: the backlog's events with their own cursors -> fails; the `ok` before the backlog -> fails.
// Mutant: `Joined` told and not taken -> told without end, the worker hangs.
pub async fn a_second_subscribe_has_its_backlog_and_moves_no_cursor(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    ground.publish_numbers("disk:b", 1, 40).await;
    ground.publish_numbers("disk:a", 1, 2).await;
    let mut line = ground.follow(&["disk:a"], Begin::Start).await;
    assert_eq!(seqs(&line.events(2).await), [1, 2]);
    let place = line.cursor().unwrap().to_owned();
    line.say(r#"{"type":"subscribe","id":5,"channels":["disk:b"],"after":"start"}"#);
    let mut backlog = Vec::new();
    loop {
        match line.next().await {
            News::Seen(Observed::Event(event)) => {
                assert_eq!(
                    (event.channel.as_str(), event.cursor.as_deref()),
                    ("disk:b", Some(place.as_str()))
                );
                backlog.push(event);
            }
            News::Seen(Observed::Cursor { from: CursorFrom::Subscribed, cursor }) => {
                assert_eq!(cursor, place);
                break;
            }
            News::Seen(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seqs(&backlog), (1..=40).collect::<Vec<_>>());
    ground.publish_numbers("disk:b", 41, 41).await;
    ground.publish_numbers("disk:a", 3, 3).await;
    let live = line.events(2).await;
    assert_eq!((live[0].channel.as_str(), live[0].seq), ("disk:b", 41));
    assert_eq!((live[1].channel.as_str(), live[1].seq), ("disk:a", 3));
    // The cursor is of the whole set now.
    let cursor = live[0].cursor.clone().unwrap();
    let mut line = ground.follow(&["disk:a", "disk:b"], Begin::After(cursor)).await;
    assert_eq!(line.event().await.channel, "disk:a");
}

pub async fn what_is_followed_already_is_refused(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut line = ground.follow_live(&["disk:a", "mem:*"]).await;
    for channel in ["disk:a", "mem:x", "mem:x:*"] {
        line.say(&format!(r#"{{"type":"subscribe","id":5,"channels":[{channel:?}]}}"#));
        let error = line.frame("error").await;
        assert_eq!((error["id"].as_u64(), error["code"].as_str()), (Some(5), Some("already")), "{channel}");
    }
    line.say(r#"{"type":"subscribe","id":6,"channels":["disk:b"]}"#);
    line.handed(CursorFrom::Subscribed).await;
    ground.publish_numbers("disk:b", 1, 1).await;
    assert_eq!(line.event().await.channel, "disk:b");
}

// Mutant: members that stay in the set -> fails.
pub async fn what_is_left_comes_no_more(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut line = ground.follow_live(&["disk:a", "disk:b"]).await;
    line.say(r#"{"type":"unsubscribe","id":8,"channels":["disk:c"]}"#);
    assert_eq!(line.frame("error").await["code"], "not_found");
    line.say(r#"{"type":"unsubscribe","id":9,"channels":["disk:b"]}"#);
    line.handed(CursorFrom::Subscribed).await;
    ground.publish_numbers("disk:b", 1, 3).await;
    ground.publish_numbers("disk:a", 1, 1).await;
    assert_eq!(line.event().await.channel, "disk:a");
    // The last one too, and then another begins the feed anew.
    line.say(r#"{"type":"unsubscribe","id":10,"channels":["disk:a"]}"#);
    line.frame("ok").await;
    line.say(r#"{"type":"subscribe","id":11,"channels":["disk:b"],"after":"start"}"#);
    assert_eq!(seqs(&line.events(3).await), [1, 2, 3]);
}

pub async fn a_frame_of_more_than_1_mib_ends_the_connection_with_the_reason(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut line = ground.follow_live(&["disk:a"]).await;
    line.say(&format!(r#"{{"type":"ping","id":1,"padding":"{}"}}"#, "x".repeat(1024 * 1024)));
    let goodbye = line.frame("goodbye").await;
    assert_eq!((goodbye["code"].as_u64(), goodbye["name"].as_str()), (Some(4006), Some("too_large")));
    assert_eq!(goodbye["retry"], false);
}
