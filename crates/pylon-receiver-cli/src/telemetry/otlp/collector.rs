//! Sends spans to a collector: OTLP over HTTP, in protobuf.

use crate::http_client::{cause, http_client};
use bytes::{Bytes, BytesMut};
use http::{Request, Response, Uri};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter as Otlp, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// How long the collector may take for a batch.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How much of an answer to read, in bytes: it says briefly which spans were refused.
const ANSWER: usize = 64 * 1024;
/// The shortest time between two warnings about lost spans.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Exports to the collector. Spans that it does not take are lost; a warning says how many.
#[derive(Debug)]
pub(super) struct Collector {
    otlp: Otlp,
    queue: u64,
    /// How many spans have ended.
    ended: Arc<AtomicU64>,
    /// How many of them reached the exporter.
    come: AtomicU64,
    /// How many of these the collector refused.
    refused: AtomicU64,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    at: Option<Instant>,
    lost: u64,
}

impl Collector {
    pub(super) fn new(url: &Uri, queue: u64, ended: Arc<AtomicU64>) -> Result<Self, String> {
        let client = Client::new(url)?;
        let otlp = Otlp::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url.to_string())
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| error.to_string())?;
        let (come, refused, said) = Default::default();
        Ok(Self { otlp, queue, ended, come, refused, said })
    }

    /// Warns of lost spans, unless the last warning is recent.
    fn tell(&self, error: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let not_come = self.ended.load(Ordering::Relaxed).saturating_sub(self.come.load(Ordering::Relaxed));
        // Spans that did not reach the exporter may still wait, up to the size of the queue; the others are lost.
        let lost = self.refused.load(Ordering::Relaxed) + not_come.saturating_sub(self.queue);
        let news = lost.saturating_sub(said.lost);
        if news == 0 || said.at.is_some_and(|at| at.elapsed() < SAID_EVERY) {
            return;
        }
        *said = Said { at: Some(Instant::now()), lost };
        tracing::warn!(spans = news, error, "traces were lost: the collector did not take them");
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        self.come.fetch_add(spans, Ordering::Relaxed);
        let exported = self.otlp.export(batch).await;
        match &exported {
            Ok(()) => self.tell("it is too slow"),
            Err(error) => {
                self.refused.fetch_add(spans, Ordering::Relaxed);
                self.tell(&error.to_string());
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

/// The HTTP client of the commands, with an event loop: the exporter's thread has none.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Runtime,
}

impl Client {
    fn new(url: &Uri) -> Result<Self, String> {
        let url = url.to_string().parse().map_err(|_| "expected a URL, found something else".to_owned())?;
        let http = http_client(&url).map_err(|fault| fault.message().unwrap_or_default().to_owned())?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the operating system gives no event loop: {error}"))?;
        Ok(Self { http, runtime })
    }

    async fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let failed = |error: reqwest::Error| cause(&error);
        let mut response = self.http.execute(request.try_into().map_err(failed)?).await.map_err(failed)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > ANSWER {
                return Err("its answer is too large".into());
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = Response::new(body.freeze());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(
            async move { self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, self.post(request)).await })? },
        )
    }
}
