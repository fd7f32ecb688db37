use super::server::{Server, answer};
use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use pylon_receiver::config::{HttpTransport, SecretFault, SecretSource, Signing};
use pylon_receiver::internals::TransportFault;
use pylon_webhooks::{Secret, TimestampRule, Verifier, sign};
use sha2::Sha256;

const WHOLE: &str = "HTTP/1.1 200 OK\ncontent-length: 0\n\n";
/// The secret of the published example.
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn signed(url: &str, signing: Signing) -> TransportConfig {
    TransportConfig::Http(HttpTransport::new(url.parse().unwrap()).signing(signing))
}

/// What the sender signed with its own secret, long ago, and what a forger might add.
fn came_in() -> Attempt {
    let old = sign(&Secret::new("theirs").unwrap(), BODY.as_bytes(), Some("1600000000"));
    let pairs = [
        ("x-pylon-signature", old.as_str()),
        ("x-pylon-signature", "twice"),
        ("x-pylon-timestamp", "1600000000"),
        ("webhook-id", "forged"),
        ("webhook-signature", "v1,forged"),
        ("webhook-signature", "v1,twice"),
    ];
    Attempt { headers: headers(&pairs), ..attempt() }
}

#[tokio::test]
async fn an_app_that_verifies_pylons_webhooks_verifies_a_late_delivery() {
    let mut server = Server::start([answer(WHOLE), answer(WHOLE)]).await;
    let config = signed(&server.url(), Signing::Pylon(SecretSource::given("ours")));
    let transport = transport(&destination(config, PATIENCE), None).unwrap();
    let builder = Verifier::builder().secret("ours").timestamp_rule(TimestampRule::Required);
    let verifier = builder.clock(|| 1_700_000_060).build().unwrap();
    let mut signatures = Vec::new();
    for number in [1, 2] {
        let started_at = attempt().started_at.after(Duration::from_secs(u64::from(number)));
        within("the attempt ends", transport.deliver(&Attempt { number, started_at, ..came_in() })).await;
        let request = server.request().await;
        let pairs: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert!(verifier.verify_headers(request.body.as_slice(), pairs).is_ok());
        assert_eq!(request.all("x-pylon-timestamp"), [started_at.unix_seconds().to_string()]);
        signatures.push(request.all("x-pylon-signature").concat());
    }
    assert_ne!(signatures[0], signatures[1], "each attempt is signed anew");
}

fn standard_signature(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

/// The example that the libraries of <https://github.com/standard-webhooks/standard-webhooks> test themselves by.
#[test]
fn these_tests_sign_as_standard_webhooks_does() {
    let signature =
        standard_signature(STANDARD_SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[tokio::test]
async fn a_delivery_is_signed_as_standard_webhooks_has_it() {
    for secret in [STANDARD_SECRET, "whsec_c2VzYW1lIG9wZW4hISE=", "whsec_c2VzYW1lIG9wZW4hISE"] {
        let mut server = Server::start([answer(WHOLE)]).await;
        let config = signed(&server.url(), Signing::StandardWebhooks(SecretSource::given(secret)));
        deliver(config, PATIENCE, &came_in()).await;
        let request = server.request().await;
        assert_eq!(request.all("webhook-id"), [EVENT]);
        assert_eq!(request.all("webhook-timestamp"), ["1700000060"]);
        let padded = if secret.len() == 25 { format!("{secret}=") } else { secret.to_owned() };
        assert_eq!(request.all("webhook-signature"), [standard_signature(&padded, EVENT, "1700000060", BODY)]);
        assert_eq!(request.all("x-pylon-signature"), [""; 0]);
        assert_eq!(request.all("x-pylon-timestamp"), [""; 0]);
    }
}

#[tokio::test]
async fn a_delivery_as_received_keeps_the_signature_with_which_it_came() {
    let mut server = Server::start([answer(WHOLE)]).await;
    deliver(signed(&server.url(), Signing::AsReceived), PATIENCE, &came_in()).await;
    let request = server.request().await;
    assert_eq!(request.all("x-pylon-timestamp"), ["1600000000"]);
    assert_eq!(request.all("x-pylon-signature").len(), 2);
    assert_eq!(request.all("webhook-id"), ["forged"]);
}

#[test]
fn a_secret_that_is_none_makes_no_transport() {
    let malformed = SecretFault::Malformed("`whsec_` and base64");
    let cases = [
        (Signing::Pylon(SecretSource::given("")), SecretFault::Empty("[redacted]".into())),
        (Signing::StandardWebhooks(SecretSource::given("")), SecretFault::Empty("[redacted]".into())),
        (Signing::StandardWebhooks(SecretSource::given("whsec_")), malformed.clone()),
        (Signing::StandardWebhooks(SecretSource::given("whsec_AAAA")), malformed.clone()),
        (Signing::StandardWebhooks(SecretSource::given("whsec_???")), malformed.clone()),
        (Signing::StandardWebhooks(SecretSource::given("whsec_c2Vz YW1l")), malformed.clone()),
        (Signing::StandardWebhooks(SecretSource::given("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")), malformed.clone()),
        (Signing::StandardWebhooks(SecretSource::given("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")), malformed.clone()),
    ];
    for (signing, fault) in cases {
        let shown = format!("{signing:?}");
        let made = transport(&destination(signed("http://127.0.0.1/", signing), PATIENCE), None);
        assert_eq!(made.err(), Some(TransportFault::Secret(fault)), "{shown}");
    }
    assert_eq!(malformed.to_string(), "malformed secret: expected `whsec_` and base64, found another form");
}
