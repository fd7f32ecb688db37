//! Secrets: rotated, missing, read anew, and the header that stands beside or instead of a signature.

use super::*;
use pylon_receiver::config::RequiredHeader;

pub(crate) const BEARER: &str = "Bearer kX9-never-shown";

/// A header that every request must have.
pub(crate) fn bearer(name: &'static str) -> RequiredHeader {
    RequiredHeader { name: http::HeaderName::from_static(name), value: SecretSource::given(BEARER) }
}

fn missing() -> SecretSource {
    SecretSource::Environment("PYLON_RECEIVER_TEST_NOT_SET".into())
}

const NOT_SET: &str =
    "no secret: expected one in environment variable PYLON_RECEIVER_TEST_NOT_SET, found it not set; set it";

fn with_secrets(secrets: impl IntoIterator<Item = SecretSource>) -> Config {
    config().endpoints(vec![EndpointConfig::signed("/webhook", secrets)])
}

#[test]
fn each_of_two_secrets_is_accepted_during_rotation() {
    run(async {
        let front = Front::new(&with_secrets(["new", "old"].map(SecretSource::given))).await;
        for (secret, status) in [("new", 200), ("old", 200), ("older", 401)] {
            let headers = signed_headers(&Secret::new(secret).unwrap(), b"{}", None);
            assert_eq!(front.post(&headers, b"{}").await.status, status, "{secret}");
        }
        assert_eq!(front.refusal().code, "signature_mismatch");
    });
}

#[test]
fn an_endpoint_without_its_secret_refuses_every_webhook_and_says_why() {
    let header = |value| Some(RequiredHeader { value, ..bearer("x-token") });
    let signature = |secret| EndpointConfig::signed("/webhook", [secret]).signature;
    let cases = [
        ("no secret", signature(missing()), None),
        ("no secret beside a header", signature(missing()), header(SecretSource::given(BEARER))),
        ("no header", None, header(missing())),
        ("no header beside a secret", signature(SecretSource::given(SECRET)), header(missing())),
    ];
    for (name, signature, header) in cases {
        let ((), lines) = run(async {
            let endpoint = EndpointConfig::signed("/webhook", []).signature(signature).header(header);
            let config = config().endpoints(vec![endpoint]);
            let front = Front::new(&config).await;
            assert_eq!(front.acceptor.unmet(), [format!("endpoint \"webhook\": {NOT_SET}")], "{name}");
            let headers = [signed(b"{}"), self::header("X-Token", BEARER)].concat();
            let answer = front.post(&headers, b"{}").await;
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{name}");
            assert_eq!(answer.json(), json!({"error": "unavailable"}), "{name}");
            let refusal = front.refusal();
            assert_eq!((refusal.code, &*refusal.reason, &*refusal.body), ("no_secret", NOT_SET, &b"{}"[..]), "{name}");
            assert_eq!(front.events().len(), 0, "{name}");
        });
        assert_eq!(lines[0], format!("WARN message=a secret is missing: endpoint \"webhook\": {NOT_SET}"));
    }
}

#[test]
fn the_secrets_that_are_there_are_used_where_others_are_missing() {
    run(async {
        let front = Front::new(&with_secrets([missing(), SecretSource::given(SECRET), SecretSource::given("")])).await;
        front.webhook("{}").await.id();
        let empty = "endpoint \"webhook\": no secret: expected one in [redacted], found it empty, or only white space and quotes";
        assert_eq!(front.acceptor.unmet(), [format!("endpoint \"webhook\": {NOT_SET}"), empty.into()]);
    });
}

#[test]
fn a_secret_that_has_come_is_read_on_reload_and_what_is_open_stays_open() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let config = with_secrets([SecretSource::File(file.clone())]);
        let front = Front::new(&config).await;
        let mut peer = front.connect().await;
        let webhook = request("POST", "/webhook", &signed(b"{}"), b"{}");
        peer.send(&webhook).await;
        assert_eq!(peer.answer().await.status, 503);
        std::fs::write(&file, format!("{SECRET}\n")).unwrap();
        front.reload(&config);
        assert_eq!(front.acceptor.unmet(), [""; 0]);
        peer.send(&webhook).await;
        assert_eq!(peer.answer().await.status, 200);
        front.reload(&config.endpoints(vec![]));
        peer.send(&webhook).await;
        assert_eq!(peer.answer().await.status, 404);
    });
}

#[test]
fn a_request_under_way_keeps_the_configuration_that_it_began_with() {
    run(async {
        let front = Front::new(&config()).await;
        let mut peer = front.connect().await;
        let webhook = request("POST", "/webhook", &signed(b"{}"), b"{}");
        let (beginning, end) = webhook.split_at(webhook.len() - 1);
        peer.send(beginning).await;
        // Another request, answered, shows that the first one's head has been read: both are read by one thread, in turn.
        front.webhook("{}").await.id();
        front.reload(&config().endpoints(vec![]));
        assert_eq!(front.webhook("{}").await.status, 404);
        peer.send(end).await;
        assert_eq!(peer.answer().await.status, 200);
    });
}

#[test]
fn a_header_stands_beside_a_signature_or_instead_of_it() {
    let valid = signed(b"{}");
    let forged = signed(b"[]");
    let right = header("X-Token", BEARER);
    let expected = "missing header: expected x-token with its configured value, found no such header";
    let mismatch = "header mismatch: expected x-token with its configured value, found another value; check what the sender \
                    sends";
    let twice = "header mismatch: expected x-token once, found it more than once";
    let missing_signature =
        "missing signature: expected 64 hexadecimal digits in X-Pylon-Signature, found no such header";
    let forged_signature = "signature mismatch: the signature matches none of the configured secrets; check the \
                            secret of this webhook destination, and pass the raw bytes of the request body";
    let wrong = |value: &str| header("X-Token", value);
    // Whether a signature is demanded, the headers, and the refusal; none: accepted.
    let cases = [
        (true, [right.clone(), valid.clone()], None),
        (true, [vec![], valid.clone()], Some(("header_missing", expected))),
        (true, [wrong("Bearer"), valid.clone()], Some(("header_mismatch", mismatch))),
        (true, [wrong("Bearer kX9-never-showm"), valid.clone()], Some(("header_mismatch", mismatch))),
        (true, [wrong("bearer kX9-never-shown"), valid.clone()], Some(("header_mismatch", mismatch))),
        (true, [wrong(""), valid.clone()], Some(("header_mismatch", mismatch))),
        (true, [wrong("wrong"), forged.clone()], Some(("header_mismatch", mismatch))),
        (true, [[right.clone(), right.clone()].concat(), valid.clone()], Some(("header_mismatch", twice))),
        (true, [right.clone(), vec![]], Some(("signature_missing", missing_signature))),
        (true, [right.clone(), forged.clone()], Some(("signature_mismatch", forged_signature))),
        (false, [right.clone(), vec![]], None),
        (false, [right.clone(), forged.clone()], None),
        (false, [vec![], valid.clone()], Some(("header_missing", expected))),
        (false, [wrong("wrong"), valid.clone()], Some(("header_mismatch", mismatch))),
    ];
    for (is_signed, headers, refusal) in cases {
        run(async {
            let mut config = config();
            config.endpoints[0].header = Some(bearer("x-token"));
            if !is_signed {
                config.endpoints[0].signature = None;
            }
            let front = Front::new(&config).await;
            let answer = front.post(&headers.concat(), b"{}").await;
            let Some((code, reason)) = refusal else {
                assert_eq!(answer.status, 200, "{headers:?}");
                return;
            };
            assert_eq!((answer.status, answer.json()), (401, json!({"error": "unauthorized"})), "{headers:?}");
            assert_eq!((front.refusal().code, &*front.refusal().reason), (code, reason), "{headers:?}");
            assert_eq!(front.events().len(), 0);
        });
    }
}
