//! One open HTTP connection.
//!
//! The attempt that uses a connection also drives it. No other task has to run for an answer to arrive, and a connection ends with
//! the attempt that is dropped half-way.

use super::hearing::Hearing;
use super::stream::Stream;
use super::unanswered::Unanswered;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::task::unconstrained;
use tokio::time::Instant;

/// How many headers an answer may have.
const MOST_HEADERS: usize = 500;
/// How long an answer's head may be, in bytes.
const LONGEST_HEAD: usize = 256 * 1024;

/// An open connection.
pub(super) struct Connection {
    /// When it was opened.
    pub(super) since: Instant,
    requests: SendRequest<Full<Bytes>>,
    /// None: the connection has ended.
    driver: Option<Driver>,
}

/// Reads and writes; ends with the connection.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

impl Connection {
    /// Speaks HTTP over a stream. Where answers break a rule that does not matter here, they are read all the same: of an answer only
    /// the status and few headers count, and a failure would send the event again.
    pub(super) async fn begin(stream: Box<dyn Stream>) -> Result<Self, Unanswered> {
        let (requests, driver) = http1::Builder::new()
            .max_headers(MOST_HEADERS)
            .max_buf_size(LONGEST_HEAD)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .handshake(TokioIo::new(Hearing::new(stream)))
            .await
            .map_err(Unanswered::Http)?;
        Ok(Self { since: Instant::now(), requests, driver: Some(Box::pin(driver)) })
    }

    /// Sends a request, and waits for the head of the answer. The error holds the request if nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let mut response = pin!(self.requests.try_send_request(request));
        let driver = &mut self.driver;
        unconstrained(driven(driver)).await;
        poll_fn(|context| {
            drive(driver, context);
            response.as_mut().poll(context)
        })
        .await
    }

    /// The next piece of an answer's body; none at the end. What is no part of the body is an empty piece.
    pub(super) async fn read(&mut self, body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
        let mut frame = body.frame();
        let driver = &mut self.driver;
        let frame = poll_fn(|context| {
            drive(driver, context);
            Pin::new(&mut frame).poll(context)
        });
        let piece = |frame: http_body::Frame<Bytes>| frame.into_data().unwrap_or_default();
        frame.await.map(|frame| frame.map(piece))
    }

    /// Whether the connection takes another request now.
    pub(super) fn is_usable(&mut self) -> bool {
        // The attempts of a destination share a task. After many reads in one go, tokio holds back further ones of that task, and a
        // connection that the server has closed looks open.
        let _ = unconstrained(driven(&mut self.driver)).now_or_never();
        self.driver.is_some() && self.requests.is_ready()
    }
}

/// Drives once.
fn driven(driver: &mut Option<Driver>) -> impl Future<Output = ()> {
    poll_fn(|context| {
        drive(driver, context);
        Poll::Ready(())
    })
}

fn drive(driver: &mut Option<Driver>, context: &mut Context<'_>) {
    // The request that waits gets the error.
    if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
        *driver = None;
    }
}
