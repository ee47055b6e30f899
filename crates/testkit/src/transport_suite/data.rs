//! What is published comes out as it went in.

use serde_json::json;

use super::Ground;
use crate::carriers::Carrier;

// Mutant: `normalise` that keeps white space -> every line protocol is torn here.
pub async fn pretty_printed_json_comes_out_normalised_on_one_line(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut line = ground.follow_live(&["disk:a"]).await;
    let body = "{\"channel\": \"disk:a\", \"data\":{\r\n\t\"text\": \"two  spaces\",\n  \"list\": [ 1.0,\n2 ]\r\n}\n}";
    assert_eq!(ground.client().await.post("/v1/publish", body).await.status(), 200);
    let one_line = br#"{"text":"two  spaces","list":[1.0,2]}"#;
    assert_eq!(line.event().await.body, one_line);
    // By the carrier's own way, where a line feed may end the frame.
    let spaced = r#"{ "text" : "two  spaces" ,	"list": [ 1.0, 2 ] }"#;
    ground.publisher().await.publish("disk:a", spaced).await.unwrap();
    assert_eq!(line.event().await.body, one_line);
}

pub async fn what_tears_lines_elsewhere_passes_inside_strings(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut line = ground.follow_live(&["disk:a"]).await;
    let mut publisher = ground.publisher().await;
    for text in [
        "\"\u{2028}\u{2029}\u{85}\u{feff}\u{b}소식 🎉\"",
        r#""\r\n\r\ndata: x\r\nid: y\n\n""#,
        r#""\u2028 \ud83c\udf89 \\n \" \u0000""#,
        r#"{"cursor":"1d0","type":"goodbye","\n":null}"#,
        "1.00e0",
    ] {
        let text = text.replace('\u{b}', "");
        publisher.publish("disk:a", &text).await.unwrap();
        assert_eq!(String::from_utf8(line.event().await.body).unwrap(), text);
    }
}

pub async fn a_string_of_64_kib_passes_and_one_byte_more_is_refused(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut line = ground.follow_live(&["disk:a"]).await;
    let mut publisher = ground.publisher().await;
    let most = format!("\"{}\"", "x".repeat(64 * 1024 - 2));
    let refusal = publisher.publish("disk:a", &format!("\"x{}", &most[1..])).await.unwrap_err();
    assert_eq!(refusal.code, "too_large");
    assert!(refusal.message.contains("65537") && refusal.message.contains("65536"), "{refusal:?}");
    publisher.publish("disk:a", &most).await.unwrap();
    publisher.publish("disk:a", "2").await.unwrap();
    assert!(line.event().await.body == most.as_bytes());
    assert_eq!(line.event().await.body, b"2");
}

pub async fn binary_data_comes_out_as_it_went_in(carrier: &'static dyn Carrier) {
    let ground = Ground::start(carrier).await;
    let mut line = ground.follow_live(&["disk:a", "mem:a"]).await;
    let mut publisher = ground.publisher().await;
    for (id, channel, base64, bytes) in [
        (1, "disk:a", "AAoN/w==", &[0, 10, 13, 255][..]),
        (2, "mem:a", "", &[]),
        (3, "disk:a", "gRR7InR5cGUiOiJoZWFydGJlYXQifQ==", b"\x81\x14{\"type\":\"heartbeat\"}"),
    ] {
        let frame = json!({ "type": "publish", "id": id, "channel": channel, "binary": base64 });
        publisher.send(&frame).await.unwrap();
        let event = line.event().await;
        assert_eq!((event.channel.as_str(), event.body.as_slice()), (channel, bytes));
    }
}
