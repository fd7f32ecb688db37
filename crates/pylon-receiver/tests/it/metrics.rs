//! What Prometheus is told, line by line.

use crate::admin::fake::{Admin, Mood, NOW, destination};
use pylon_receiver::internals::{Access, Metrics};
use pylon_receiver::ledger::{CommitObserver, DestinationStats, LedgerError, Stats};
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
    let answer = admin.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let told = Exposition::read(answer.text());
    told.is("accepted_total{endpoint=\"support\"}", 1.0);
    told.is("ledger_readable", 1.0);
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
        let answer = admin.get("/metrics").await;
        assert_eq!(answer.status, 200);
        let told = Exposition::read(answer.text());
        told.is("accepted_total{endpoint=\"support\"}", 1.0);
        told.is("ledger_readable", 0.0);
        told.is("circuit_open{destination=\"app\"}", 0.0);
        for unknown in ["queue", "events", "ledger_bytes", "oldest_due_age_seconds"] {
            assert!(told.labels(unknown).is_empty(), "{unknown} is not known, and not told as zero");
        }
    }
}
