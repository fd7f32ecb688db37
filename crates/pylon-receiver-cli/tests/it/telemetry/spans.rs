//! Traces, at a collector on loopback.

mod collector;
mod protobuf;

use super::BODY;
use super::serve::{SECRET, Serve, forged, signed};
use collector::{answering, spans};
use protobuf::Span;
use pylon_receiver::EventId;
use pylon_test_support::http::{Reply, Server, nowhere};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Longer than any end may take: the receiver's own, the collector's three seconds and the log's two.
const END: Duration = Duration::from_secs(15);

fn traces(collector: &Server) -> String {
    format!("traces = \"{}/v1/traces\"\n", collector.url)
}

/// The id in the answer to an accepted webhook.
fn id_in(answer: &(u16, String)) -> EventId {
    let answer: Value = serde_json::from_str(&answer.1).unwrap();
    answer["id"].as_str().unwrap().parse().unwrap()
}

#[test]
fn the_trace_of_an_event_is_its_acceptance_and_its_attempts() {
    let (collector, app) = (answering(&[200]), answering(&[500, 200]));
    let config = format!(
        "{}log = \"json\"\n[[destination]]\nname = \"app\"\nurl = \"{}/\"\n\
         [destination.retry]\nfirst_delay = \"1ms\"\nlongest_delay = \"2ms\"\n",
        traces(&collector),
        app.url
    );
    // Not even those who log everything find spans in their log.
    let mut serve = Serve::start(&config, &[("PYLON_RECEIVER_LOG", "trace")]);
    let mut connection = serve.connect();
    let event = id_in(&connection.ask(&signed(BODY)));
    assert_eq!(connection.ask(&forged("/webhook", BODY)).0, 401);
    assert_eq!(connection.ask(&forged("/elsewhere", BODY)).0, 404);
    serve.line(|line| line.contains("\"delivered\""));
    let (code, lines) = serve.stop();
    assert_eq!(code, Some(0));
    assert!(!lines.iter().any(|line| line.contains("\"span\"")), "{lines:?}");

    let requests = collector.requests();
    assert!(requests.iter().all(|request| (&*request.method, &*request.target) == ("POST", "/v1/traces")));
    assert!(requests.iter().all(|request| request.header("content-type") == Some("application/x-protobuf")));
    for never in [SECRET, "words-of-a-customer", &"0".repeat(64)] {
        assert!(!requests.iter().any(|request| contains(&request.body, never)), "{never}");
    }
    let spans: Vec<Span> = requests.iter().flat_map(|request| protobuf::spans(&request.body)).collect();
    let (of_event, others): (Vec<_>, Vec<_>) = spans.into_iter().partition(|span| span.trace_id == event.as_bytes());
    let webhook = of_event.iter().find(|span| span.name == "webhook").unwrap();
    assert!(webhook.parent.is_empty() && webhook.began <= webhook.ended);
    let id = event.to_string();
    assert_eq!(webhook.attributes(), [("endpoint", "webhook"), ("event_id", &id), ("outcome", "accepted")]);

    let mut attempts: Vec<_> = of_event.iter().filter(|span| span.name == "deliver").collect();
    attempts.sort_by_key(|span| span.began);
    assert!(attempts.iter().all(|span| span.parent == webhook.id && span.id != webhook.id && span.began <= span.ended));
    let told: Vec<_> = attempts.iter().map(|span| span.attributes()).collect();
    let attempt = |number, outcome, status| {
        [("attempt", number), ("destination", "app"), ("event_id", &*id), ("outcome", outcome), ("status", status)]
    };
    assert_eq!(told, [attempt("1", "retry", "500"), attempt("2", "delivered", "200")]);
    assert_eq!(of_event.len(), 3, "{of_event:?}");

    assert!(others.iter().all(|span| span.name == "webhook" && span.parent.is_empty()), "{others:?}");
    assert!(others.iter().all(|span| span.trace_id.len() == 16) && others[0].trace_id != others[1].trace_id);
    let told: Vec<_> = others.iter().map(Span::attributes).collect();
    assert_eq!(
        told,
        [
            [("code", "signature_mismatch"), ("endpoint", "webhook"), ("outcome", "refused")],
            [("code", "unknown_path"), ("endpoint", ""), ("outcome", "refused")]
        ]
    );
}

#[test]
fn a_duplicate_stands_in_the_trace_of_the_event_that_it_repeats() {
    let collector = answering(&[200]);
    let endpoint = "[[endpoint]]\npath = \"/webhook\"\nsecrets = [{ env = \"PYLON_WEBHOOK_SECRET\" }]\n\
                    deduplication = { body_window = \"1h\" }\n";
    let mut serve = Serve::start(&format!("{}{endpoint}", traces(&collector)), &[]);
    let mut connection = serve.connect();
    let event = id_in(&connection.ask(&signed(BODY)));
    assert_eq!(id_in(&connection.ask(&signed(BODY))), event);
    serve.stop();
    let mut spans = spans(&collector);
    spans.sort_by_key(|span| span.began);
    let [accepted, duplicate] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&accepted.trace_id[..], &duplicate.trace_id[..]), (&event.as_bytes()[..], &event.as_bytes()[..]));
    assert_eq!((&duplicate.parent, duplicate.attribute("outcome")), (&accepted.id, Some("duplicate")));
}

#[test]
fn the_resource_is_the_receiver_unless_the_environment_says_otherwise() {
    let version = env!("CARGO_PKG_VERSION");
    for (environment, name) in [
        (&[][..], "pylon-receiver"),
        (&[("OTEL_SERVICE_NAME", "support-webhooks")], "support-webhooks"),
        (&[("OTEL_SERVICE_NAME", "")], "pylon-receiver"),
        (&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=by-attributes")], "by-attributes"),
    ] {
        let collector = answering(&[200]);
        let mut serve = Serve::start(&traces(&collector), environment);
        serve.connect().ask(&signed(BODY));
        serve.stop();
        let resource = protobuf::resource(&collector.requests()[0].body);
        let found = |key| resource.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str());
        assert_eq!((found("service.name"), found("service.version")), (Some(name), Some(version)), "{environment:?}");
    }
}

#[test]
fn a_collector_that_takes_nothing_costs_one_warning_and_no_webhook() {
    let refusing = answering(&[400]);
    let silent = Server::start(|_, _| Reply::Hang);
    for (url, why) in [(nowhere(), "down"), (refusing.url.clone(), "refusing"), (silent.url.clone(), "silent")] {
        let mut serve = Serve::start(&format!("traces = \"{url}/v1/traces\"\n"), &[("OTEL_BSP_SCHEDULE_DELAY", "20")]);
        let mut connection = serve.connect();
        assert_eq!(connection.ask(&signed(BODY)).0, 200, "{why}");
        serve.line(|line| line.contains("traces were lost"));
        for _ in 0..20 {
            assert_eq!(connection.ask(&signed(BODY)).0, 200, "{why}");
        }
        let begin = Instant::now();
        let (code, lines) = serve.stop();
        assert!(begin.elapsed() < END, "{why}: {:?}", begin.elapsed());
        assert_eq!(code, Some(0), "{why}");
        let is_warning = |line: &&String| line.contains("WARN") && !line.contains("no destination");
        let warnings: Vec<_> = lines.iter().filter(is_warning).collect();
        assert_eq!(warnings.len(), 1, "{why}: {warnings:?}");
        assert!(warnings[0].contains("traces were lost: the collector did not take them spans=1"), "{warnings:?}");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
