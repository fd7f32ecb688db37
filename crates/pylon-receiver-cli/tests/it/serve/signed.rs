//! What an app verifies.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use pylon_webhooks::{TimestampRule, Verifier};
use sha2::Sha256;

#[test]
fn an_app_verifies_every_attempt_as_it_would_verify_pylon() {
    let destination = Destination::start(|_, number| if number < 3 { destination::FAILS } else { Reply::OK });
    let scene = Scene::new(&app(&destination.url, "secret = { file = \"{}/app-secret\" }"));
    let running = scene.start();
    let id = running.webhook(&body(1)).id();
    assert_eq!(running.ended(&id), ["delivered"]);
    let attempts = destination.arrived();
    assert_eq!(attempts.iter().map(Request::attempt).collect::<Vec<_>>(), [1, 2, 3, 4]);
    for attempt in attempts {
        let at = attempt.at;
        let verifier = Verifier::builder()
            .secret(APP_SECRET)
            .timestamp_rule(TimestampRule::Required)
            .tolerance(std::time::Duration::from_secs(2))
            .clock(move || at)
            .build()
            .unwrap();
        let headers = attempt.headers.iter().map(|(name, value)| (name, value));
        assert!(verifier.verify_headers(&attempt.body, headers).is_ok());
    }
}

#[test]
fn an_app_verifies_every_attempt_by_standard_webhooks() {
    let destination = Destination::start(|_, number| if number < 2 { destination::FAILS } else { Reply::OK });
    let further = "sign = \"standard-webhooks\"\nsecret = { file = \"{}/standard-secret\" }";
    let scene = Scene::new(&app(&destination.url, further));
    let key = [7_u8; 24];
    scene.write("standard-secret", &format!("whsec_{}\n", BASE64.encode(key)));
    let running = scene.start();
    let id = running.webhook(&body(1)).id();
    assert_eq!(running.ended(&id), ["delivered"]);
    let attempts = destination.arrived();
    assert_eq!(attempts.len(), 3);
    for attempt in attempts {
        let timestamp = attempt.header("webhook-timestamp").unwrap();
        assert!(timestamp.parse::<u64>().unwrap().abs_diff(attempt.at) <= 2);
        assert_eq!(attempt.header("webhook-id"), Some(&*id));
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{id}.{timestamp}.{}", attempt.text()).as_bytes());
        let expected = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
        assert_eq!(attempt.header("webhook-signature"), Some(&*expected));
        assert_eq!(attempt.header("x-pylon-signature"), None);
    }
}

#[test]
fn without_a_secret_the_signature_goes_on_as_it_came() {
    let destination = Destination::well();
    let scene = Scene::new(&app(&destination.url, ""));
    let running = scene.start();
    let headers = process::signed(SECRET, &body(1));
    let id = running.try_webhook("/webhook", &headers, &body(1)).unwrap().id();
    assert_eq!(running.ended(&id), ["delivered"]);
    let arrived = destination.arrived().pop().unwrap();
    for (name, value) in headers {
        assert_eq!(arrived.header(&name.to_lowercase()), Some(&*value));
    }
}
