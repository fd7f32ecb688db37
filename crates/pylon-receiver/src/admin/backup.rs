//! A copy of the ledger, sent to whoever asked for it.
//!
//! The receiver writes it nowhere but into a nameless file of its own: otherwise everybody who may ask could have it write files.

use super::answer::{Answer, Refusal};
use super::fields::Fields;
use super::parts::AdminParts;
use crate::ledger::Backup;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use futures_util::stream::try_unfold;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Response, StatusCode, Uri};
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// How much is sent at a time, in bytes.
const PIECE: usize = 256 * 1024;

/// One copy at a time: each takes as much room as the ledger.
#[derive(Clone)]
pub(super) struct Turn(Arc<Semaphore>);

impl Default for Turn {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

pub(super) async fn get(State(parts): State<AdminParts>, Extension(turn): Extension<Turn>, uri: Uri) -> Answer {
    parts.running.as_ref().ok_or_else(Refusal::not_running)?;
    Fields::of_query(uri.query())?.finish()?;
    let turn = turn.0.try_acquire_owned().map_err(|_| {
        let message =
            "a backup is under way: expected no other, found one that is made or sent; ask again when it is over";
        Refusal::new(StatusCode::CONFLICT, "backup_under_way", message)
    })?;
    // In a task of its own: it goes on when the caller hangs up, and the turn with it.
    let making = tokio::spawn(async move { (parts.ledger.backup().await, turn) });
    let (made, turn) = making.await.map_err(|_| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the backup broke off; the log says why")
    })?;
    let backup = made?;
    tracing::info!(bytes = backup.length(), "a backup was made");
    Ok(send(backup, turn))
}

fn send(backup: Backup, turn: OwnedSemaphorePermit) -> Response<Body> {
    let length = backup.length();
    let pieces = try_unfold((backup.into_file(), turn), |(mut file, turn)| async move {
        let read = spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE);
            file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            Ok::<_, io::Error>((piece, file))
        });
        let (piece, file) = read.await.map_err(io::Error::other)??;
        Ok::<_, io::Error>((!piece.is_empty()).then(|| (Bytes::from(piece), (file, turn))))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    // A copy that breaks off is known by it.
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/vnd.sqlite3"));
    response
}
