//! One connection: its TLS handshake, its requests, its end.

use super::beginning::Remembering;
use super::connection_refusal::{ConnectionRefusal, ConnectionRefusals};
use super::limits::ListenerLimits;
use super::places::Place;
use super::progress::Phase;
use super::socket::{Patience, Socket};
use super::tls::TlsKeys;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// The largest head of a request, and the largest buffer of a connection, in bytes. A larger head is answered 431.
const HEAD_LIMIT: usize = 32 * 1024;
/// How long a connection that is quiet when its listener ends is kept: what its peer has sent by then is on its way.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// What all connections of a listener have in common.
pub(super) struct Shared<F> {
    pub(super) answer: F,
    pub(super) limits: ListenerLimits,
    pub(super) tls: Option<Arc<TlsKeys>>,
    pub(super) refusals: ConnectionRefusals,
    /// Whether the listener ends.
    pub(super) ending: watch::Sender<bool>,
}

impl<F> Shared<F> {
    /// Whether a connection ends with this answer: the listener ends, the connection was used often enough, or there is little room
    /// for idle connections.
    fn is_last(&self, place: &Place, answered: u32) -> bool {
        answered >= self.limits.keep_alive_requests || *self.ending.borrow() || place.is_crowded()
    }
}

/// Serves one connection, to its end. When the listener ends, the next answer is the last.
pub(super) async fn serve<F, A, B>(
    shared: Arc<Shared<F>>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    remote: SocketAddr,
    place: Place,
) where
    F: Fn(Request<Incoming>, SocketAddr) -> A + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let Some(tls) = &shared.tls else {
        return exchange(&shared, stream, remote, &place).await;
    };
    let handshake = tls.acceptor().accept(Remembering::new(stream)).into_fallible();
    let shaken = tokio::select! {
        shaken = timeout(shared.limits.header_timeout, handshake) => shaken,
        () = grace_is_over(&shared.ending) => return,
    };
    match shaken {
        Ok(Ok(stream)) => exchange(&shared, stream, remote, &place).await,
        Ok(Err((error, stream))) => match stream.beginning.instead_of_tls() {
            Some(refusal) => shared.refusals.refuse(refusal, remote),
            // A probe that only connects says nothing.
            None if stream.beginning.is_empty() => {}
            None => shared.refusals.refuse_for(ConnectionRefusal::Handshake, remote, Some(&error)),
        },
        Err(_) => shared.refusals.refuse(ConnectionRefusal::HandshakeTimeout, remote),
    }
}

async fn exchange<F, A, B>(
    shared: &Shared<F>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    remote: SocketAddr,
    place: &Place,
) where
    F: Fn(Request<Incoming>, SocketAddr) -> A + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let Shared { limits, refusals, ending, .. } = shared;
    let progress = &place.progress;
    let service = service_fn(|request: Request<Incoming>| {
        progress.begins();
        let answer = is_for_one_host(&request).then(|| (shared.answer)(request, remote));
        async move {
            let mut response = match answer {
                Some(answer) => answer.await.map(Either::Right),
                None => {
                    refusals.refuse(ConnectionRefusal::Host, remote);
                    bad_request().map(Either::Left)
                }
            };
            let is_refused = response.status().is_client_error() || response.status().is_server_error();
            let answered = progress.answered(is_refused);
            if shared.is_last(place, answered) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let patience = Patience { head: limits.header_timeout, idle: limits.idle_timeout };
    let socket = Socket::new(stream, patience, progress.clone());
    let mut builder = Builder::new();
    builder
        // The socket has time-outs of its own.
        .header_read_timeout(None)
        // A sender may close its sending side after the request, and wait for the answer.
        .half_close(true)
        .max_header_size(HEAD_LIMIT)
        .max_buf_size(HEAD_LIMIT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // A request that has come in this moment is answered, and it is the last.
        () = progress.retired() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = grace_is_over(ending) => {
            // Otherwise an answer is left to wait for, and it is the last.
            if progress.now().0 == Phase::Quiet {
                connection.as_mut().graceful_shutdown();
            }
            connection.await
        }
    };
    if let Err(error) = ended {
        match progress.refusal(&error, HEAD_LIMIT) {
            Some(refusal) => refusals.refuse(refusal, remote),
            None => tracing::debug!(%remote, %error, "a connection ended early"),
        }
    }
}

/// Waits until the listener has been ending for a moment.
async fn grace_is_over(ending: &watch::Sender<bool>) {
    let _ = ending.subscribe().wait_for(|&ending| ending).await;
    sleep(GRACE).await;
}

/// Whether a request names its host as HTTP/1.1 demands: a proxy and the receiver could otherwise take it for different ones.
/// <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>
fn is_for_one_host(request: &Request<Incoming>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        0 => request.version() < Version::HTTP_11,
        count => count == 1,
    }
}

fn bad_request() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(r#"{"error":"bad_request"}"#));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
