//! What answers where: pages, unknown paths, wrong methods.

use crate::door::{ask, ask_path, server};

// Mutant: the demo's pages served without --demo -> the second half fails.
#[tokio::test]
async fn the_first_page_is_the_demo_or_a_few_words() {
    let running = server(|_| {}).await;
    let page = ask_path(running.http, "/", &[]).await;
    assert!(page.header("content-type").starts_with("text/html"));
    let parts = page.body.split(['"', '\'']).filter(|text| text.starts_with("/demo/"));
    let parts: Vec<_> = parts.map(ToOwned::to_owned).collect();
    assert!(parts.iter().any(|part| part.ends_with(".js")), "{}", page.body);
    for path in ["/"].into_iter().chain(parts.iter().map(String::as_str)) {
        let answer = ask_path(running.http, path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    }
    let running = server(|options| options.demo = false).await;
    let words = ask_path(running.http, "/", &[]).await;
    assert!(words.header("content-type").starts_with("text/plain"));
    assert!(words.body.contains("Sosik") && words.body.contains("/v1/sse"), "{}", words.body);
    assert_eq!(ask_path(running.http, &parts[0], &[]).await.status, 404);
}

// Mutant: the route mounted without --lab -> 426.
#[tokio::test]
async fn the_laboratory_is_served_when_it_was_asked_for() {
    let running = server(|_| {}).await;
    assert_eq!(ask_path(running.http, "/lab/echo", &[]).await.status, 404);
    let running = server(|options| options.lab = true).await;
    assert_eq!(ask_path(running.http, "/lab/echo", &[]).await.status, 426);
}

#[tokio::test]
async fn an_unknown_path_is_told_the_known_ones() {
    let running = server(|_| {}).await;
    for path in ["/v1", "/v1/", "/v1/nothing", "/../etc/passwd", "/%2e%2e/x", "//", "/index.html"] {
        let answer = ask_path(running.http, path, &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
        assert!(answer.body.contains("/v1/long-poll") && answer.body.contains("/v1/publish"), "{path}");
    }
}

// Mutant: `explain` left out -> the body is empty.
#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let running = server(|_| {}).await;
    let host = format!("Host: {}", running.http);
    for line in ["DELETE /v1/publish HTTP/1.1", "PUT /live HTTP/1.1", "BREW /v1/history HTTP/1.1"] {
        let answer = ask(running.http, &[line, &host]).await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "method"), "{line}");
        assert!(!answer.header("allow").is_empty(), "{line}: {answer:?}");
    }
}
