//! What Prometheus is told, line by line.

use crate::admin::fake::{Admin, Answer, Mood, NOW, destination, spooling};
use pylon_receiver::internals::{Access, CertificateEnd, Metrics};
use pylon_receiver::ledger::{CommitObserver, DestinationStats, LedgerError, SpoolStatus, Stats};
use pylon_receiver::wire::CircuitStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Metric families by name, with their type and help; samples by name and labels.
struct Exposition {
    families: BTreeMap<String, (String, String)>,
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// Reads the text as strictly as OpenMetrics demands where it matters: each family is described once and before its samples,
    /// whose suffixes fit its type; no sample is there twice; the end is marked.
    fn read(text: &str) -> Self {
        let mut read = Self { families: BTreeMap::new(), samples: BTreeMap::new() };
        let mut family = (String::new(), String::new(), String::new());
        let lines = text.strip_suffix("# EOF\n").expect("the end is marked").lines();
        for line in lines {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                family = (name.to_owned(), String::new(), help.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, family.0);
                family.1 = kind.to_owned();
                let described = (family.1.clone(), family.2.clone());
                assert!(read.families.insert(name.to_owned(), described).is_none(), "{name} is described twice");
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                let (name, unit) = rest.split_once(' ').unwrap();
                assert!(name == family.0 && name.ends_with(&format!("_{unit}")), "{line}");
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let suffix = sample.split('{').next().unwrap().strip_prefix(&family.0).expect(line);
                let suffixes: &[&str] = match &*family.1 {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "histogram" => &["_sum", "_count", "_bucket"],
                    "info" => &["_info"],
                    other => panic!("unexpected type {other}"),
                };
                assert!(suffixes.contains(&suffix), "{line}");
                let value = value.parse().unwrap();
                assert!(read.samples.insert(sample.to_owned(), value).is_none(), "{sample} is there twice");
            }
        }
        read
    }

    #[track_caller]
    fn is(&self, sample: &str, value: f64) {
        assert_eq!(self.samples.get(&format!("pylon_receiver_{sample}")), Some(&value), "{sample}");
    }

    /// The samples of a metric, by their labels.
    fn labels(&self, name: &str) -> BTreeSet<&str> {
        let name = format!("pylon_receiver_{name}");
        self.samples.keys().filter_map(|sample| sample.strip_prefix(&*name)).collect()
    }
}

fn counted() -> Metrics {
    let metrics = Metrics::new();
    let (support, nowhere, app): (Arc<str>, Arc<str>, Arc<str>) = ("support".into(), "".into(), "app".into());
    metrics.accepted(&support);
    metrics.accepted(&support);
    metrics.duplicate(&support);
    metrics.refused(&support, "signature_mismatch");
    metrics.refused(&nowhere, "unknown_path");
    metrics.attempted(&app, "delivered", Duration::from_millis(20));
    metrics.attempted(&app, "retry", Duration::from_secs(15));
    metrics.committed(3, Duration::from_millis(2));
    metrics.failed();
    metrics.pruned(7);
    metrics
}

#[test]
fn everything_counted_is_told_under_its_name() {
    let told = Exposition::read(&counted().encode().unwrap());
    told.is("accepted_total{endpoint=\"support\"}", 2.0);
    told.is("duplicates_total{endpoint=\"support\"}", 1.0);
    told.is("refused_total{endpoint=\"support\",reason=\"signature_mismatch\"}", 1.0);
    told.is("refused_total{endpoint=\"\",reason=\"unknown_path\"}", 1.0);
    told.is("attempts_total{destination=\"app\",outcome=\"delivered\"}", 1.0);
    told.is("attempts_total{destination=\"app\",outcome=\"retry\"}", 1.0);
    told.is("attempt_time_seconds_count{destination=\"app\"}", 2.0);
    told.is("attempt_time_seconds_sum{destination=\"app\"}", 15.02);
    told.is("attempt_time_seconds_bucket{le=\"0.0256\",destination=\"app\"}", 1.0);
    told.is("attempt_time_seconds_bucket{le=\"+Inf\",destination=\"app\"}", 2.0);
    told.is("commit_batch_sum", 3.0);
    told.is("commit_batch_bucket{le=\"2.0\"}", 0.0);
    told.is("commit_batch_bucket{le=\"4.0\"}", 1.0);
    told.is("commit_time_seconds_sum", 0.002);
    told.is("commit_failures_total", 1.0);
    told.is("pruned_total", 7.0);
    told.is(&format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0);
    for (name, (_, help)) in &told.families {
        assert!(
            name.starts_with("pylon_receiver_") && help.len() > 10 && help.ends_with('.') && !help.ends_with(".."),
            "{name}"
        );
    }
}

#[test]
fn what_is_expected_is_told_before_it_happens() {
    let metrics = Metrics::new();
    metrics.expect_endpoint(&"support".into());
    metrics.expect_destination(&"app".into());
    let told = Exposition::read(&metrics.encode().unwrap());
    told.is("accepted_total{endpoint=\"support\"}", 0.0);
    told.is("duplicates_total{endpoint=\"support\"}", 0.0);
    for outcome in ["delivered", "retry", "dead", "released", "fenced"] {
        told.is(&format!("attempts_total{{destination=\"app\",outcome=\"{outcome}\"}}"), 0.0);
    }
    told.is("attempt_time_seconds_count{destination=\"app\"}", 0.0);
    assert!(told.labels("refused_total").is_empty());
    metrics.expect_refusal(&"support".into(), "signature_mismatch");
    let told = Exposition::read(&metrics.encode().unwrap());
    told.is("refused_total{endpoint=\"support\",reason=\"signature_mismatch\"}", 0.0);
}

#[test]
fn names_with_quotes_and_line_feeds_stay_on_their_lines() {
    let metrics = Metrics::new();
    metrics.accepted(&"a\"b\\c\nd 1\n# EOF".into());
    let told = Exposition::read(&metrics.encode().unwrap());
    told.is("accepted_total{endpoint=\"a\\\"b\\\\c\\nd 1\\n# EOF\"}", 1.0);
}

#[tokio::test]
async fn the_state_of_the_ledger_is_told_beside_what_was_counted() {
    let admin = Admin::new(Access::Loopback);
    admin.metrics.accepted(&"support".into());
    let of =
        |destination: &str| DestinationStats { destination: destination.to_owned(), ..DestinationStats::default() };
    *admin.ledger.stats.lock().unwrap() = Stats {
        events: 9,
        parked: 1,
        refused: 2,
        ledger_bytes: 4096,
        destinations: vec![
            DestinationStats {
                waiting: 4,
                held: 3,
                delivering: 2,
                dead: 1,
                oldest_due_at: Some(NOW.before(Duration::from_millis(1500))),
                ..of("app")
            },
            // Written under another time of day.
            DestinationStats { dead: 5, oldest_due_at: Some(NOW.after(Duration::from_secs(9))), ..of("gone") },
        ],
    };
    *admin.running.destinations.lock().unwrap() = vec![
        destination("app", CircuitStatus::Open),
        destination("archive", CircuitStatus::Closed),
        destination("quiet", CircuitStatus::Probing),
    ];
    let answer = scrape(&admin).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), OPEN_METRICS);
    let told = Exposition::read(answer.text());
    told.is("accepted_total{endpoint=\"support\"}", 1.0);
    told.is("ledger_readable", 1.0);
    told.is("ready", 1.0);
    told.is("ledger_bytes", 4096.0);
    told.is("events", 9.0);
    told.is("parked", 1.0);
    told.is("refused_kept", 2.0);
    for (state, count) in [("waiting", 4.0), ("held", 3.0), ("delivering", 2.0), ("dead", 1.0)] {
        told.is(&format!("queue{{destination=\"app\",state=\"{state}\"}}"), count);
        told.is(&format!("queue{{destination=\"archive\",state=\"{state}\"}}"), 0.0);
    }
    told.is("queue{destination=\"gone\",state=\"dead\"}", 5.0);
    told.is("oldest_due_age_seconds{destination=\"app\"}", 1.5);
    told.is("oldest_due_age_seconds{destination=\"archive\"}", 0.0);
    told.is("oldest_due_age_seconds{destination=\"gone\"}", 0.0);
    told.is("circuit_open{destination=\"app\"}", 1.0);
    told.is("circuit_open{destination=\"archive\"}", 0.0);
    told.is("circuit_open{destination=\"quiet\"}", 1.0);
    assert_eq!(told.labels("circuit_open").len(), 3, "a destination that is not configured has no circuit");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_read_takes_no_counter_away() {
    for mood in [Mood::Failing(LedgerError::Failed("it said no".into())), Mood::Hanging] {
        let admin = Admin::new(Access::Loopback);
        admin.metrics.accepted(&"support".into());
        *admin.ledger.mood.lock().unwrap() = mood;
        let answer = scrape(&admin).await;
        assert_eq!(answer.status, 200);
        let told = Exposition::read(answer.text());
        told.is("accepted_total{endpoint=\"support\"}", 1.0);
        told.is("ledger_readable", 0.0);
        told.is("ready", 0.0);
        told.is("circuit_open{destination=\"app\"}", 0.0);
        for unknown in ["queue", "events", "ledger_bytes", "oldest_due_age_seconds"] {
            assert!(told.labels(unknown).is_empty(), "{unknown} is not known, and not told as zero");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_the_spool_is_told_and_zero_where_there_is_none() {
    for (mood, spool) in [
        (Mood::Well, None),
        (Mood::Well, Some(spooling())),
        (Mood::Failing(LedgerError::Unreachable("no route".into())), Some(spooling())),
        (Mood::Well, Some(SpoolStatus { since: None, ..spooling() })),
    ] {
        let admin = Admin::new(Access::Loopback);
        *admin.ledger.mood.lock().unwrap() = mood;
        admin.ledger.spool.lock().unwrap().clone_from(&spool);
        let told = Exposition::read(scrape(&admin).await.text());
        let of = |value: fn(&SpoolStatus) -> u64| spool.as_ref().map_or(0, value) as f64;
        told.is("spooling", of(|spool| spool.since.is_some().into()));
        told.is("spooled_events", of(|spool| spool.events));
        told.is("spooled_refused", of(|spool| spool.refused));
        told.is("spooled_bytes", of(|spool| spool.bytes));
        told.is("spool_size_bytes", of(|spool| spool.size));
        told.is("handed_over_total", of(|spool| spool.handed_over));
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Asks for OpenMetrics.
async fn scrape(admin: &Admin) -> Answer {
    let headers = [("host", "localhost"), ("accept", "application/openmetrics-text")];
    admin.send("GET", "/metrics", &headers, "").await
}

/// `Accept` headers, and the format of the answer.
const ACCEPTED: [(&[&str], &str); 32] = [
    (&[], TEXT),
    (&[""], TEXT),
    (&["*/*"], TEXT),
    (&["text/plain"], TEXT),
    (&["text/*"], TEXT),
    (&["text/html, */*;q=0.8"], TEXT),
    (&["text/plain;version=0.0.4"], TEXT),
    (&["text/plain; version=0.0.4; charset=utf-8"], TEXT),
    (&["application/json"], TEXT),
    (&["application/openmetrics-text;q=0"], TEXT),
    (&["application/openmetrics-text;q=0, */*"], TEXT),
    (&["application/openmetrics-text;version=0.0.1"], TEXT),
    (&["application/openmetrics-text;q=0.5, text/plain"], TEXT),
    (&["application/openmetrics-text;q=0.4, text/plain;q=0.5"], TEXT),
    (&["application/openmetrics-text, text/plain"], TEXT),
    (&["text/plain;q=0.5", "application/openmetrics-text;q=0.4"], TEXT),
    (&["application/openmetrics-text;q=2"], TEXT),
    (&["application/openmetrics-text;q=much"], TEXT),
    (&["application/openmetrics-text;q"], TEXT),
    (&["application"], TEXT),
    (&["application/openmetrics-text"], OPEN_METRICS),
    (&["Application/OpenMetrics-Text; Version=1.0.0; Q=0.9"], OPEN_METRICS),
    (&["application/openmetrics-text;version=\"1.0.0\""], OPEN_METRICS),
    (&["application/openmetrics-text, */*"], OPEN_METRICS),
    (&["*/*;q=0.1", "application/openmetrics-text;q=0.2"], OPEN_METRICS),
    (&["text/plain;q=0.4, application/openmetrics-text;q=0.5"], OPEN_METRICS),
    (&["text/plain;version=1.0.0, application/openmetrics-text;q=0.1"], OPEN_METRICS),
    (&["text/plain;q=0, application/openmetrics-text;q=0.1"], OPEN_METRICS),
    (&["application/*"], OPEN_METRICS),
    // As Prometheus 2 and 3 ask, and Prometheus 3 with `PrometheusText0.0.4` in front.
    (
        &[
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        ],
        OPEN_METRICS,
    ),
    (
        &[
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ],
        OPEN_METRICS,
    ),
    (
        &[
            "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.2",
        ],
        TEXT,
    ),
];

#[tokio::test]
async fn each_scraper_is_told_in_its_format() {
    let admin = Admin::new(Access::Loopback);
    for (accepted, expected) in ACCEPTED {
        let accepted = accepted.iter().map(|value| ("accept", *value));
        let headers: Vec<_> = [("host", "localhost")].into_iter().chain(accepted).collect();
        let answer = admin.send("GET", "/metrics", &headers, "").await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, expected), "{headers:?}");
        assert_eq!(answer.text().ends_with("# EOF\n"), expected == OPEN_METRICS, "{headers:?}");
    }
}

#[tokio::test]
async fn both_formats_tell_the_same() {
    let admin = Admin::new(Access::Loopback);
    admin.metrics.accepted(&"a\"b\\c\nd".into());
    *admin.running.certificates.lock().unwrap() =
        vec![CertificateEnd { path: "/etc/a.pem".into(), at: NOW.after(Duration::from_millis(1999)) }];
    let open_metrics = scrape(&admin).await;
    let told = Exposition::read(open_metrics.text());
    told.is("certificate_expiry_seconds{certificate=\"/etc/a.pem\"}", (NOW.unix_seconds() + 1) as f64);
    let text = admin.get("/metrics").await;
    let samples = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_admin_requests_"));
        // One writes whole numbers as integers in labels too.
        lines.map(|line| line.replace(".0\"}", "\"}").replace(".0\",", "\",")).collect()
    };
    assert_eq!(samples(text.text()), samples(open_metrics.text()));
    let comments: Vec<_> = text.text().lines().filter(|line| line.starts_with('#')).collect();
    assert!(comments.iter().all(|line| line.starts_with("# HELP ") || line.starts_with("# TYPE ")), "{comments:?}");
    // Every family is described by the name of its samples.
    for line in text.text().lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        for kind in ["HELP", "TYPE"] {
            let begins = |comment: &&&str| comment.starts_with(&format!("# {kind} {family} "));
            assert_eq!(comments.iter().filter(begins).count(), 1, "{kind} {family}");
        }
    }
}

#[tokio::test]
async fn what_readiness_says_is_a_metric() {
    let admin = Admin::new(Access::Loopback);
    Exposition::read(scrape(&admin).await.text()).is("ready", 1.0);
    *admin.running.unmet.lock().unwrap() = vec!["endpoint support has no secret".to_owned()];
    Exposition::read(scrape(&admin).await.text()).is("ready", 0.0);
    Exposition::read(scrape(&Admin::reading()).await.text()).is("ready", 0.0);
}
