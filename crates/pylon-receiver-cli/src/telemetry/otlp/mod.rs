//! Exports the receiver's spans to a collector of traces.
//!
//! The id of a trace is the sixteen bytes of the event's id: you find the trace of any event by its id, even if later attempts are
//! made after a restart of the receiver.

mod collector;

use collector::Collector;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};
use pylon_receiver::EventId;
use pylon_receiver::traces;
use pylon_receiver::{Randomness, SystemRandomness};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

const NAME: &str = "pylon-receiver";
/// The most spans that wait; spans beyond that are lost.
const QUEUE: usize = 8192;
/// How many spans go to the collector at once.
const BATCH: usize = 1024;
/// How long to wait for the collector at the end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Exports spans until [`finish`](Self::finish).
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    processor: Arc<BatchSpanProcessor>,
    /// How many spans have ended.
    ended: Arc<AtomicU64>,
    scope: InstrumentationScope,
}

impl Traces {
    /// Starts to export to the collector at this URL. The collector need not be up.
    pub(crate) fn start(url: &http::Uri) -> Result<Self, String> {
        let ended = Arc::<AtomicU64>::default();
        let config = BatchConfigBuilder::default().with_max_queue_size(QUEUE).with_max_export_batch_size(BATCH).build();
        let collector = Collector::new(url, QUEUE as u64, ended.clone())?;
        let mut processor = BatchSpanProcessor::builder(collector).with_batch_config(config).build();
        processor.set_resource(&resource());
        let scope = InstrumentationScope::builder(NAME).with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self { processor: Arc::new(processor), ended, scope })
    }

    /// A layer for the receiver's spans only.
    pub(crate) fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(&self) -> impl Layer<S> + use<S> {
        Spans(self.clone()).with_filter(Targets::new().with_target(traces::TARGET, Level::TRACE))
    }

    /// Exports what waits; gives up after three seconds.
    pub(crate) fn finish(self) {
        // The collector has logged its own warning.
        let _ = self.processor.shutdown_with_timeout(PATIENCE);
    }

    fn hand_over(&self, name: &'static str, span: Span) {
        if !span.has_outcome {
            return;
        }
        self.ended.fetch_add(1, Ordering::Relaxed);
        let (trace, of_webhook) = match span.event {
            Some(event) => (TraceId::from_bytes(*event.as_bytes()), span_of_webhook(event)),
            None => (TraceId::from_bytes(random()), SpanId::INVALID),
        };
        let (own, parent) = match span.event {
            Some(_) if span.is_first => (of_webhook, SpanId::INVALID),
            _ => (SpanId::from_bytes(random()), of_webhook),
        };
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(trace, own, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: if name == "deliver" { SpanKind::Client } else { SpanKind::Server },
            name: name.into(),
            start_time: span.began_at,
            // By a clock that never jumps.
            end_time: span.began_at + span.began.elapsed(),
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if span.has_failed { Status::error("not delivered") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        });
    }
}

/// The root span of an event's trace: the second half of the id, which is random except for two bits that are never both zero.
fn span_of_webhook(event: EventId) -> SpanId {
    let [.., a, b, c, d, e, f, g, h] = *event.as_bytes();
    SpanId::from_bytes([a, b, c, d, e, f, g, h])
}

/// The resource of the spans; the environment variables of OpenTelemetry override it.
fn resource() -> Resource {
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_service_name(NAME)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        _ => resource.build(),
    }
}

struct Spans(Traces);

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut recorded = Span::begun();
            attributes.record(&mut recorded);
            span.extensions_mut().insert(recorded);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(recorded) = span.extensions_mut().get_mut::<Span>()
        {
            values.record(recorded);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(span) = context.span(&id)
            && let Some(recorded) = span.extensions_mut().remove::<Span>()
        {
            self.0.hand_over(span.name(), recorded);
        }
    }
}

/// A span while it lasts.
struct Span {
    began_at: SystemTime,
    began: Instant,
    attributes: Vec<KeyValue>,
    event: Option<EventId>,
    has_outcome: bool,
    /// It is the acceptance of its event: the root of the trace.
    is_first: bool,
    /// It is an attempt that failed.
    has_failed: bool,
}

impl Span {
    fn begun() -> Self {
        Self {
            began_at: SystemTime::now(),
            began: Instant::now(),
            attributes: Vec::with_capacity(6),
            event: None,
            has_outcome: false,
            is_first: false,
            has_failed: false,
        }
    }

    fn push(&mut self, field: &Field, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }
}

impl Visit for Span {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "outcome" {
            self.has_outcome = true;
            self.is_first = value == "accepted";
            self.has_failed = matches!(value, "retry" | "dead");
        }
        self.push(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        if field.name() == "event_id" {
            self.event = value.parse().ok();
        }
        self.push(field, value);
    }
}

/// A random id. All zeros would be invalid, and does not happen.
fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    SystemRandomness.fill(&mut bytes);
    bytes
}
