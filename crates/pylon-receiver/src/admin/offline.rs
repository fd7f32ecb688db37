//! The admin API over a ledger without a running receiver.

use super::parts::AdminParts;
use super::routes::open_router;
use crate::access::Caller;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::time::SystemWallClock;
use axum::body::Body;
use axum::{Extension, Router};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::sync::Arc;
use tower_service::Service;

/// The admin API over a ledger that no receiver serves: it answers what a receiver would answer, and refuses orders that a receiver carries
/// out. What is left of a destination can be moved or dropped, if the ledger is open to write. Over a [shared](Self::shared) ledger all
/// orders are carried out.
///
/// ```
/// use pylon_receiver::ledger::{SqliteLedger, SqliteOptions};
/// use pylon_receiver::{OfflineAdmin, wire};
/// use std::sync::Arc;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("pylon.db");
/// # drop(SqliteLedger::open(&path, SqliteOptions::default())?);
/// let ledger = SqliteLedger::open_read_only(&path)?;
/// let admin = OfflineAdmin::new(Arc::new(ledger));
/// let request = http::Request::get(wire::path::EVENTS).body(bytes::Bytes::new())?;
/// let answer: wire::EventList = serde_json::from_slice(admin.ask(request).await.body())?;
/// assert!(answer.events.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct OfflineAdmin(Router);

impl OfflineAdmin {
    /// The API over this ledger, for this process: nobody else can ask it.
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self::over(ledger, false)
    }

    /// The API over a ledger that receivers elsewhere serve too: they deliver what is ordered here.
    pub fn shared(ledger: Arc<dyn Ledger>) -> Self {
        Self::over(ledger, true)
    }

    fn over(ledger: Arc<dyn Ledger>, is_shared: bool) -> Self {
        let (metrics, clock) = (Arc::new(Metrics::new()), Arc::new(SystemWallClock));
        let parts = AdminParts { ledger, running: None, is_shared, metrics, clock, orders: Arc::default() };
        // The gate protects a listener; here the caller is the process itself.
        Self(open_router(parts).layer(Extension(Caller::Local)))
    }

    /// The answer to a request. The request needs a path, and a method and a body where the route has them; of headers, `user-agent` alone counts, which
    /// the list of orders goes by.
    pub async fn ask(&self, request: Request<Bytes>) -> Response<Bytes> {
        let request = request.map(Body::from);
        let Ok(response) = self.0.clone().call(request).await;
        let (parts, body) = response.into_parts();
        // Every answer of the router is in memory already: a backup needs a receiver that runs.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Response::from_parts(parts, body)
    }
}
