//! The log and the traces of `serve`.

mod lines;
#[cfg(feature = "otlp")]
mod otlp;

use crate::fault::Fault;
use lines::{Lines, LinesEnd};
#[cfg(feature = "otlp")]
use otlp::Traces;
use pylon_receiver::config::{Config, LogFormat};
use pylon_receiver::traces;
use tracing::Metadata;
use tracing_subscriber::filter::{Directive, FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// The environment variable with the filter of the log, in the syntax of `tracing`: `debug`, `warn,pylon_receiver=info`...
const LEVEL_VARIABLE: &str = "PYLON_RECEIVER_LOG";

/// What has to finish at the end, in this order: the traces may log.
pub(crate) struct Telemetry {
    #[cfg(feature = "otlp")]
    traces: Option<Traces>,
    lines: LinesEnd,
}

impl Telemetry {
    /// Starts the log on standard error, and the traces if they are configured.
    pub(crate) fn start(config: &Config) -> Result<Self, Fault> {
        let filter = filter()?.and(filter_fn(is_told));
        if let Some(fault) = unsupported(config) {
            return Err(Fault::configuration(fault));
        }
        #[cfg(feature = "otlp")]
        let traces = config.traces.as_ref().map(Traces::start).transpose();
        #[cfg(feature = "otlp")]
        let traces = traces.map_err(|fault| Fault::configuration(format!("`traces`: {fault}")))?;
        let (writer, lines) =
            Lines::start().map_err(|error| Fault::failed(format!("nothing can be logged: {error}")))?;
        let layer = tracing_subscriber::fmt::layer().with_writer(writer);
        let layer: Box<dyn Layer<Registry> + Send + Sync> = match config.log {
            LogFormat::Text => layer.with_ansi(false).with_filter(filter).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed(),
        };
        let registry = tracing_subscriber::registry().with(layer);
        #[cfg(feature = "otlp")]
        let registry = registry.with(traces.as_ref().map(Traces::layer));
        registry.try_init().map_err(|error| Fault::failed(format!("nothing can be logged: {error}")))?;
        Ok(Self {
            #[cfg(feature = "otlp")]
            traces,
            lines,
        })
    }

    /// Writes what is buffered; takes a few seconds at most.
    pub(crate) fn finish(self) {
        #[cfg(feature = "otlp")]
        if let Some(traces) = self.traces {
            traces.finish();
        }
        drop(self.lines);
    }
}

/// Says what a configuration asks for that this build cannot do.
pub(crate) fn unsupported(config: &Config) -> Option<String> {
    let is_unsupported = config.traces.is_some() && cfg!(not(feature = "otlp"));
    let fault = "`traces`: expected a build with the feature `otlp`, found one without; build with --features otlp";
    is_unsupported.then(|| fault.to_owned())
}

/// Whether a line may be in the log at any level. Those of the NATS client may hold headers; the receiver itself tells of connections.
fn is_told(metadata: &Metadata<'_>) -> bool {
    !metadata.target().starts_with("async_nats")
}

/// The filter of the log. It excludes the spans, which are for a collector.
fn filter() -> Result<EnvFilter, Fault> {
    let level = std::env::var(LEVEL_VARIABLE).unwrap_or_else(|_| "info".into());
    let filter = EnvFilter::try_new(level).map_err(|_| {
        Fault::configuration(format!("{LEVEL_VARIABLE}: expected a level such as info, found something else"))
    })?;
    let no_spans: Directive = format!("{}=off", traces::TARGET).parse().expect("a target and a level are a directive");
    Ok(filter.add_directive(no_spans))
}
