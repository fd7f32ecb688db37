//! The vectors of `vectors/`, which the Python tests read as well; `vectors/README.md` describes them.

use pylon_webhooks::{
    Error, EventKind, EventReader, FieldValue, IssueStateChangedEvent, NameSource, Payload, Secret, Shape,
    TimestampRule, TypedEvent, Verified, Verifier, WebhookEvent, WebhookHandler, parse_webhook_event,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

#[test]
fn every_signature_vector_has_its_verdict() {
    run("signatures.json", |case: &SignatureCase| {
        let (body, text) = (case.body.bytes(), case.text());
        let verified = case.request.verifier(&case.request.secrets()).verify(
            text.as_deref().map_or(Payload::from(&body), Payload::from),
            case.signature.as_deref(),
            case.timestamp.as_deref(),
        );
        case.expect.check(verified);
    });
}

#[test]
fn every_header_vector_has_its_verdict() {
    run("headers.json", |case: &HeaderCase| {
        let headers = case.headers.iter().map(|(name, value)| (name, value));
        let (body, text) = (case.body.bytes(), case.text());
        let payload = text.as_deref().map_or(Payload::from(&body), Payload::from);
        let verified = case.request.verifier(&case.request.secrets()).verify_headers(payload, headers);
        case.expect.check(verified);
    });
}

#[test]
fn every_secret_vector_is_taken_or_refused() {
    run("secrets.json", |case: &SecretCase| {
        let secret = case.secret();
        let errors = [
            Secret::new(&secret).err(),
            WebhookHandler::new(&secret).err(),
            Verifier::builder().secret("good").secret(&secret).build().err(),
        ];
        for found in errors.map(|error| error.map(|error| error.to_string())) {
            match &case.expect {
                SecretVerdict::Taken { ok } => assert_eq!((found, *ok), (None, true)),
                SecretVerdict::Refused { message } => assert_eq!(found.as_ref(), Some(message)),
            }
        }
    });
}

#[test]
fn every_refusal_vector_is_a_payload_error_that_holds_the_body() {
    run("refusals.json", |case: &RefusalCase| {
        let body = case.body.bytes();
        let error = parse_webhook_event(&body).expect_err("a payload error");
        assert_eq!(error.to_string(), case.expect.message);
        assert_eq!(error.payload(), &body);
        assert_eq!(Error::from(error).code(), "payload");
    });
}

#[test]
fn every_event_vector_is_read_as_it_says() {
    run("events.json", |case: &EventCase| {
        let body = case.body.bytes();
        let event = case.options.reader().parse(&body).expect("every JSON body is an event");
        assert_eq!(event.raw(), &body);
        case.expect.check(&event);
    });
}

#[test]
fn there_are_more_refused_deliveries_than_accepted_ones() {
    let verdicts = |name: &str| cases::<Value>(name).iter().filter(|case| case["expect"]["ok"] == true).count();
    let accepted = verdicts("signatures.json") + verdicts("headers.json");
    let all = ["signatures.json", "headers.json", "refusals.json"].map(|name| cases::<Value>(name).len());
    assert!(all.iter().sum::<usize>() > 2 * accepted);
}

/// Checks each case, and fails with the names and reasons of all that failed.
#[track_caller]
fn run<C: DeserializeOwned + Named>(file: &str, check: impl Fn(&C)) {
    let cases = cases::<C>(file);
    let ids: BTreeSet<&str> = cases.iter().map(Named::id).collect();
    assert_eq!(ids.len(), cases.len(), "{file} has an id twice");
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let panic = catch_unwind(AssertUnwindSafe(|| check(case))).err()?;
            let reason = panic.downcast_ref::<String>().map(String::as_str).unwrap_or("see above");
            Some(format!("{}: {reason}", case.id()))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} in {file}:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[track_caller]
fn cases<C: DeserializeOwned>(file: &str) -> Vec<C> {
    let path = format!("{}/../../vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the vectors stand in the repository");
    let file: File<C> = serde_json::from_str(&text).expect("the vectors are as vectors/README.md says");
    assert_eq!(file.schema, 1);
    assert!(!file.about.is_empty());
    file.cases
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<C> {
    schema: u32,
    about: String,
    cases: Vec<C>,
}

trait Named {
    fn id(&self) -> &str;
}

macro_rules! named {
    ($($case:ident),+) => { $(impl Named for $case {
        fn id(&self) -> &str {
            &self.id
        }
    })+ };
}

named!(SignatureCase, HeaderCase, SecretCase, RefusalCase, EventCase);

#[derive(Deserialize)]
struct SignatureCase {
    id: String,
    #[serde(flatten)]
    request: Request,
    #[serde(flatten)]
    body: Body,
    given_as: Option<GivenAs>,
    signature: Option<String>,
    timestamp: Option<String>,
    expect: Verdict,
}

#[derive(Deserialize)]
struct HeaderCase {
    id: String,
    #[serde(flatten)]
    request: Request,
    #[serde(flatten)]
    body: Body,
    given_as: Option<GivenAs>,
    headers: Vec<(String, String)>,
    expect: Verdict,
}

/// How the body is passed, where not as bytes.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum GivenAs {
    Text,
}

impl SignatureCase {
    fn text(&self) -> Option<String> {
        self.given_as.map(|GivenAs::Text| self.body.text())
    }
}

impl HeaderCase {
    fn text(&self) -> Option<String> {
        self.given_as.map(|GivenAs::Text| self.body.text())
    }
}

#[derive(Deserialize)]
struct SecretCase {
    id: String,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    secrets_base64: Vec<String>,
    expect: SecretVerdict,
}

impl SecretCase {
    /// The only secret of the case.
    fn secret(&self) -> Vec<u8> {
        assert_eq!(self.secrets.len() + self.secrets_base64.len(), 1);
        let texts = self.secrets.iter().map(|text| text.clone().into_bytes());
        texts.chain(self.secrets_base64.iter().map(|text| from_base64(text))).next().expect("one")
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SecretVerdict {
    Taken { ok: bool },
    Refused { message: String },
}

#[derive(Deserialize)]
struct RefusalCase {
    id: String,
    #[serde(flatten)]
    body: Body,
    expect: Refusal,
}

#[derive(Deserialize)]
struct EventCase {
    id: String,
    #[serde(default)]
    options: EventOptions,
    #[serde(flatten)]
    body: Body,
    expect: ExpectedEvent,
}

#[derive(Deserialize)]
enum Body {
    #[serde(rename = "body")]
    Text(String),
    #[serde(rename = "body_base64")]
    Base64(String),
    #[serde(rename = "body_repeat")]
    Repeat(Vec<(String, usize)>),
}

impl Body {
    fn text(&self) -> String {
        String::from_utf8(self.bytes()).expect("a text")
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Base64(text) => from_base64(text),
            Self::Repeat(parts) => {
                parts.iter().map(|(text, count)| text.repeat(*count)).collect::<String>().into_bytes()
            }
        }
    }
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    secrets_base64: Vec<String>,
    #[serde(default)]
    options: RequestOptions,
    now: u64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RequestOptions {
    tolerance_seconds: Option<u64>,
    timestamp_rule: Option<String>,
    signature_header: Option<String>,
    timestamp_header: Option<String>,
}

impl Request {
    fn secrets(&self) -> Vec<Vec<u8>> {
        let texts = self.secrets.iter().map(|secret| secret.clone().into_bytes());
        texts.chain(self.secrets_base64.iter().map(|secret| from_base64(secret))).collect()
    }

    fn verifier(&self, secrets: &[Vec<u8>]) -> Verifier {
        let now = self.now;
        let options = &self.options;
        let mut builder = secrets.iter().fold(Verifier::builder(), |builder, secret| builder.secret(secret));
        if let Some(seconds) = options.tolerance_seconds {
            builder = builder.tolerance(Duration::from_secs(seconds));
        }
        if let Some(rule) = &options.timestamp_rule {
            assert_eq!(rule, "required");
            builder = builder.timestamp_rule(TimestampRule::Required);
        }
        if let Some(name) = &options.signature_header {
            builder = builder.signature_header(name.as_str());
        }
        if let Some(name) = &options.timestamp_header {
            builder = builder.timestamp_header(name.as_str());
        }
        builder.clock(move || now).build().expect("the vectors' configurations are good")
    }
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Verdict {
    Accepted { ok: bool },
    Refused { error: String, message: String },
}

impl Verdict {
    fn check(&self, verified: Result<Verified<Payload<'_>>, Error>) {
        match (self, verified) {
            (Self::Accepted { ok }, verified) => {
                assert!(ok);
                assert!(verified.is_ok(), "{verified:?}");
            }
            (Self::Refused { error, message }, verified) => {
                let found = verified.expect_err("refused");
                assert_eq!((found.code(), &found.to_string()), (error.as_str(), message));
                assert!(found.is_refusal());
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    message: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct EventOptions {
    event_name_pointer: Option<String>,
    event_name: Option<String>,
    #[serde(default)]
    names: BTreeMap<String, String>,
}

impl EventOptions {
    fn reader(&self) -> EventReader {
        let mut reader = EventReader::builder();
        if let Some(pointer) = &self.event_name_pointer {
            reader = reader.name_source(NameSource::Pointer(pointer.as_str().into()));
        }
        if let Some(name) = &self.event_name {
            reader = reader.name_source(NameSource::Fixed(name.as_str().into()));
        }
        for (name, kind) in &self.names {
            reader = reader.name(name.as_str(), EventKind::from_name(kind).expect("a kind of ours"));
        }
        reader.build().expect("the vectors' options are good")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedEvent {
    r#type: String,
    event_type: String,
    fields: Option<Map<String, Value>>,
    texts: Option<BTreeMap<String, String>>,
    problems: Option<Vec<(String, String)>>,
    custom_fields: Option<Map<String, Value>>,
    extra: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "there")]
    payload: Option<Value>,
}

/// A payload of null is a payload: only an absent one is none.
fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl ExpectedEvent {
    fn check(&self, event: &WebhookEvent) {
        assert_eq!((type_name(event), event.event_type()), (self.r#type.as_str(), self.event_type.as_str()));
        if let Some(fields) = &self.fields {
            let found: Map<String, Value> =
                fields.keys().map(|name| (name.clone(), field_value(event, name))).collect();
            assert_eq!(&found, fields);
        }
        for (name, text) in self.texts.iter().flatten() {
            assert_eq!(&event.text(name), text, "text of {name}");
        }
        if let Some(problems) = &self.problems {
            let found: Vec<(String, String)> =
                event.problems().iter().map(|problem| (problem.field.into(), problem.reason.to_string())).collect();
            assert_eq!(&found, problems);
        }
        if let Some(custom_fields) = &self.custom_fields {
            assert_eq!(&event.custom_fields(), custom_fields);
        }
        if let Some(extra) = &self.extra {
            assert_eq!(&event.extra(), extra);
        }
        // Asked for in any case: reading it must not fail whatever the vector is about.
        let payload = event.payload();
        if let Some(expected) = &self.payload {
            assert_eq!(payload, expected);
        }
    }
}

fn type_name(event: &WebhookEvent) -> &'static str {
    match event.typed() {
        TypedEvent::IssueNew(_) => "IssueNewEvent",
        TypedEvent::IssueAssigned(_) => "IssueAssignedEvent",
        TypedEvent::IssueStateChanged(_) => "IssueStateChangedEvent",
        TypedEvent::IssueFieldChanged(_) => "IssueFieldChangedEvent",
        TypedEvent::IssueTagsChanged(_) => "IssueTagsChangedEvent",
        TypedEvent::IssueReaction(_) => "IssueReactionEvent",
        TypedEvent::MessageNew(_) => "MessageNewEvent",
        TypedEvent::Unknown(_) => "UnknownEvent",
        other => panic!("a type that the vectors do not know: {other:?}"),
    }
}

/// A field's value as JSON: absent text is empty text, an absent list is empty, all else that is absent is null.
fn field_value(event: &WebhookEvent, name: &str) -> Value {
    if name == "new_state" {
        let event = IssueStateChangedEvent::of(event).expect("a state change");
        return json!(event.new_state());
    }
    let field = event.fields().find(|field| field.name == name).expect("a field of this kind");
    match event.read(field) {
        Ok(FieldValue::Text(text)) => json!(text),
        Ok(FieldValue::Number(number)) => json!(number),
        Ok(FieldValue::Boolean(boolean)) => json!(boolean),
        Ok(FieldValue::DateTime(time)) => json!(time.to_string()),
        Ok(FieldValue::List(list)) => json!(list),
        Ok(other) => panic!("a value that the vectors do not know: {other:?}"),
        Err(_) => match field.shape {
            Shape::Id | Shape::Text => json!(""),
            Shape::List(_) => json!([]),
            _ => Value::Null,
        },
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for digit in text.bytes().filter(|&digit| digit != b'=') {
        let value = DIGITS.iter().position(|&known| known == digit).expect("base64");
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    bytes
}
