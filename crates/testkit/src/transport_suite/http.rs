//! The two forms of a reading request.

use super::Ground;
use crate::carriers::{Ask, Begin, Carrier, http::header};

pub async fn the_post_form_gives_the_same_as_the_get_form(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    ground.publish_numbers("disk:a", 1, 20).await;
    ground.publish_numbers("mem:a", 1, 20).await;
    let set = ["disk:a", "mem:*"];
    let mut cursor = None;
    for begin in [Begin::Start, Begin::Last(4), Begin::Now] {
        let get = Ask::new(&set, begin.clone());
        let post = Ask { by_post: true, ..get.clone() };
        let (mut get, mut post) = (ground.open(get).await, ground.open(post).await);
        let count = match begin {
            Begin::Start => 40,
            Begin::Last(_) => 8,
            _ => {
                get.live().await;
                post.live().await;
                ground.publish_numbers("disk:a", 21, 21).await;
                1
            }
        };
        let (by_get, by_post) = (get.events(count).await, post.events(count).await);
        assert_eq!(by_get, by_post);
        cursor = by_get[0].cursor.clone();
    }
    let after = Ask::new(&set, Begin::After(cursor.unwrap()));
    let mut line = ground.open(Ask { by_post: true, ..after }).await;
    line.live().await;
}

// Mutant: the header ignored -> fails.
pub async fn last_event_id_wins_over_after(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    ground.publish_numbers("disk:a", 1, 9).await;
    let mut line = ground.follow(&["disk:a"], Begin::Start).await;
    line.events(4).await;
    let cursor = line.cursor().unwrap().to_owned();
    for by_post in [false, true] {
        let headers = vec![header("Last-Event-ID", &cursor)];
        let ask = Ask { headers, by_post, ..Ask::new(&["disk:a"], Begin::Start) };
        assert_eq!(ground.open(ask).await.event().await.seq, 5);
    }
}

pub async fn thirty_two_channels_in_the_url_pass_and_one_more_is_refused(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let names: Vec<_> = (0..33).map(|number| format!("disk:{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let refusal = ground.follow(&names, Begin::Now).await.refusal().await;
    assert_eq!((refusal.code.as_str(), refusal.status), ("limit", 400));
    assert!(refusal.message.contains("POST"), "{refusal:?}");
    ground.follow(&names[..32], Begin::Now).await.live().await;
    let ask = Ask { by_post: true, ..Ask::new(&names, Begin::Now) };
    ground.open(ask).await.live().await;
}

pub async fn a_query_of_more_than_8_kib_is_refused(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let names: Vec<_> = (0..32).map(|number| format!("disk:{number:250}").replace(' ', "x")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let refusal = ground.follow(&names, Begin::Now).await.refusal().await;
    assert_eq!((refusal.code.as_str(), refusal.status), ("too_large", 413));
    assert!(refusal.message.contains("8192") && refusal.message.contains("POST"), "{refusal:?}");
    let ask = Ask { by_post: true, ..Ask::new(&names, Begin::Now) };
    ground.open(ask).await.live().await;
}

pub async fn a_body_of_more_than_1_mib_is_refused(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let path = format!("/v1/{}", carrier.name().split('.').next().unwrap().replace('_', "-"));
    let mut body = String::from(r#"{"channels":["disk:a"]}"#);
    body.push_str(&" ".repeat(1024 * 1024 + 1 - body.len()));
    for path in [path.as_str(), "/v1/publish", "/v1/send"] {
        let mut client = ground.client().await;
        let refusal = client.post(path, &body).await.refusal().expect("a problem");
        assert_eq!((refusal.code.as_str(), refusal.status), ("too_large", 413), "{path}");
        assert!(refusal.message.contains("1048576"), "{refusal:?}");
    }
}
