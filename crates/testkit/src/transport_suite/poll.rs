//! What only the interval poll has.

use super::Ground;
use crate::carriers::{Ask, Begin, Carrier, http::header};

// Mutants: a set that is never known to be quiet -> an answer is made; one that always is -> the news is not told.
// Mutant: a tag without what was asked -> `after=start` is answered by the tag of `now`.
pub async fn the_same_question_with_the_same_outcome_is_answered_304(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    ground.publish_numbers("disk:a", 1, 2).await;
    let mut client = ground.client().await;
    let target = |begin| format!("/v1/poll?{}", Ask::new(&["disk:a"], begin).query());
    let start = client.get(&target(Begin::Start)).await;
    let cursor = start.json()["cursor"].as_str().unwrap().to_owned();
    let now = target(Begin::After(cursor.clone()));
    let first = client.get(&now).await;
    let tag = first.head.header("ETag").expect("a tag").to_owned();
    assert_eq!((first.status(), first.json()["frames"].as_array().unwrap().len()), (200, 0));
    assert_eq!(first.head.header("Cache-Control"), Some("private, no-cache"));
    let asking = |tag: &str| [header("If-None-Match", tag)];
    let answers = || ground.running.hub.figures.answers.load(std::sync::atomic::Ordering::Relaxed);
    let made = answers();
    let again = client.ask("GET", &now, &asking(&tag), b"").await;
    assert_eq!(answers(), made, "nothing was made for it");
    assert_eq!((again.status(), again.body.len()), (304, 0));
    assert_eq!(again.head.header("ETag"), Some(tag.as_str()));
    assert_eq!(again.head.header("Sosik-Next-Ms"), Some("5000"), "hints of a 304 travel in headers");
    // Another question with the same outcome.
    let other = client.ask("GET", &target(Begin::Start), &asking(&tag), b"").await;
    assert_eq!((other.status(), other.json()["frames"].as_array().unwrap().len()), (200, 2));
    // The same with another outcome, on the same connection.
    ground.publish_numbers("disk:a", 3, 3).await;
    let news = client.ask("GET", &now, &asking(&format!("W/{tag}, \"x\"")), b"").await;
    assert_eq!((news.status(), news.json()["frames"][0]["seq"].as_u64()), (200, Some(3)));
    // The POST form has no validators.
    let body = format!(r#"{{"channels":["disk:a"],"after":"{cursor}"}}"#);
    assert_eq!(client.post("/v1/poll", &body).await.head.header("ETag"), None);
}

// Mutant: `more` never said -> fails.
pub async fn an_answer_that_is_full_says_that_there_is_more(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    ground.publish_numbers("disk:a", 1, 300).await;
    let mut client = ground.client().await;
    let (mut begin, mut counts) = (Begin::Start, Vec::new());
    loop {
        let answer = client.get(&format!("/v1/poll?{}", Ask::new(&["disk:a"], begin).query())).await.json();
        counts.push((answer["frames"].as_array().unwrap().len(), answer["more"].as_bool().unwrap()));
        begin = Begin::After(answer["cursor"].as_str().unwrap().to_owned());
        if answer["more"] == false {
            break;
        }
    }
    assert_eq!(counts, [(256, true), (44, false)]);
}
