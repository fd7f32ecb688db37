//! Delivers as lines of JSON at the end of a file.
//!
//! A delivery counts once its line is on the disk. The file is opened for each line, so you can move it away at any time. It is
//! locked (`flock`) while a line is written, so that several writers do not mix. A line that went into a file which was deleted meanwhile
//! does not count.
//!
//! A line without an end was never acknowledged: the machine stopped, or the disk was full. It is cut off before the next one is
//! written, if it is ours: the file begins with a line of ours, and so does what is cut. Anything else stays as it is, and the delivery
//! fails.

use super::attempt::Attempt;
use super::code::Code;
use super::contract::{Transport, TransportFuture};
use super::report::Report;
use super::shortage::Shortage;
use crate::file::{FileIdentity, HeldFile, folder_of, kind_of};
use crate::headers::is_credential;
use crate::id::{DeliveryId, EventId};
use crate::text::show_duration;
use crate::time::Moment;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// The beginning of each line; the event's id follows.
const BEGINNING: &[u8] = b"{\"event_id\":\"";
/// What follows the event's id; its id again follows that, and a number.
const MIDDLE: &[u8] = b"\",\"delivery_id\":\"";
/// The length of an event's id.
const ID: usize = 36;
/// How much is read of a line to tell whose it is, in bytes.
const TELLS: u64 = (BEGINNING.len() + ID + MIDDLE.len() + ID) as u64;
/// How much is read at a time in search of the last line's end, in bytes.
const PIECE: u64 = 64 * 1024;
/// How often a file that is moved away is left for the next one, before one line.
const MOST_MOVES: usize = 3;
/// Owner only: bodies hold customers' words.
const PERMISSIONS: u32 = 0o600;

/// One file.
pub(super) struct JsonLines {
    path: Arc<Path>,
    timeout: Duration,
    /// Attempts wait for their turn here, where they can be aborted, and not on the lock of the file.
    turn: Arc<Mutex<()>>,
}

impl JsonLines {
    /// Appends to the file at this path.
    pub(super) fn new(path: &Path, timeout: Duration) -> Self {
        Self { path: path.into(), timeout, turn: Arc::default() }
    }

    async fn write(&self, attempt: &Attempt) -> Report {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let (path, attempt) = (Arc::clone(&self.path), attempt.clone());
        let written = spawn_blocking(move || {
            let _turn = turn;
            line(&attempt).and_then(|line| append(&path, &line))
        });
        match written.await {
            Ok(Ok(())) => Report::delivered(None, "written"),
            Ok(Err(error)) => match Shortage::of(&error) {
                Some(shortage) => Report::not_tried(shortage),
                None => Report::failed(Code::NOT_WRITTEN, None, format!("not written: {error}")),
            },
            Err(_) => Report::failed(Code::ABORTED, None, "not written: the writing was aborted"),
        }
    }
}

impl Transport for JsonLines {
    /// A write that has begun cannot be aborted: at the time-out, or when the future is dropped, the line is written all the same. The
    /// event comes a second time then, under the same event id.
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a> {
        Box::pin(async move {
            let late =
                || Report::failed(Code::TIMEOUT, None, format!("not written within {}", show_duration(self.timeout)));
            tokio::time::timeout(self.timeout, self.write(attempt)).await.unwrap_or_else(|_| late())
        })
    }
}

#[derive(Serialize)]
struct Line<'a> {
    event_id: EventId,
    delivery_id: DeliveryId,
    attempt: u32,
    received_at: Moment,
    endpoint: &'a str,
    name: &'a str,
    kind: Option<&'a str>,
    /// Without credentials. Bytes of values that are not UTF-8 become U+FFFD.
    headers: Vec<(&'a str, Cow<'a, str>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// The attempt as a line, its end included.
fn line(attempt: &Attempt) -> io::Result<Vec<u8>> {
    let body = std::str::from_utf8(&attempt.body).ok();
    let headers = attempt.headers.iter().filter(|(name, _)| !is_credential(name));
    let headers = headers.map(|(name, value)| (name, String::from_utf8_lossy(value))).collect();
    let line = Line {
        event_id: attempt.event(),
        delivery_id: attempt.delivery,
        attempt: attempt.number,
        received_at: attempt.event().received_at(),
        endpoint: &attempt.endpoint,
        name: &attempt.name,
        kind: attempt.kind.map(|kind| kind.name()),
        headers,
        body,
        body_base64: body.is_none().then(|| BASE64.encode(&attempt.body)),
    };
    let mut line = serde_json::to_vec(&line)?;
    line.push(b'\n');
    Ok(line)
}

/// Whether lines could be written at the path: nothing is there, or a file that is empty or begins and ends as ours does. Changes
/// nothing.
///
/// # Errors
/// What was found.
pub(crate) fn examine(path: &Path) -> io::Result<()> {
    if is_file(path)? {
        end_of_last_line(&mut File::open(path)?).map(drop)
    } else {
        folder_of(path).metadata().map(drop)
    }
}

fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = open(path)?;
    let end = end_of_last_line(&mut file)?;
    if end < file.metadata()?.len() {
        file.set_len(end)?;
    }
    if let Err(error) = file.write_all(line).and_then(|()| file.sync_data()) {
        // Part of the line may be there. If this fails too, the next line cuts it off.
        let _ = file.set_len(end).and_then(|()| file.sync_data());
        return Err(error);
    }
    // A new file survives a power failure only if its folder is on the disk as well.
    if end == 0 {
        File::open(folder_of(path))?.sync_all()?;
    }
    match file.metadata()?.nlink() {
        0 => Err(io::Error::other("the file was deleted while the line was written")),
        _ => Ok(()),
    }
}

/// Opens the file that the path leads to once it is locked: who had it locked may have moved it away.
fn open(path: &Path) -> io::Result<File> {
    let mut opened = open_and_lock(path)?;
    for _ in 0..MOST_MOVES {
        if FileIdentity::at(path).ok() == Some(FileIdentity::of(&opened.metadata()?)) {
            break;
        }
        opened = open_and_lock(path)?;
    }
    Ok(opened)
}

fn open_and_lock(path: &Path) -> io::Result<File> {
    is_file(path)?;
    let file = OpenOptions::new().read(true).append(true).create(true).mode(PERMISSIONS).open(path)?;
    match file.lock() {
        // A file system without locks is for one writer.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

/// Whether there is a file; refuses what is no file, and the ledger's.
fn is_file(path: &Path) -> io::Result<bool> {
    let metadata = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let found = match metadata.file_type() {
        kind if !kind.is_file() => kind_of(kind),
        _ if HeldFile::is_at(path) => "the ledger",
        _ => return Ok(true),
    };
    Err(io::Error::other(format!("expected a regular file, found {found}")))
}

/// The end of the last whole line of a file of ours.
fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let (mut end, mut piece) = (length, Vec::new());
    read_at(file, 0, TELLS, &mut piece)?;
    // Less than an id is enough only if a torn line is all there is.
    let is_named = piece.len() >= BEGINNING.len() && is_ours(&piece);
    if length > 0 && !is_named {
        return Err(io::Error::other(
            "the file does not begin with a line of ours; move it away, or name another file",
        ));
    }
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        read_at(file, start, end - start, &mut piece)?;
        if let Some(line_feed) = piece.iter().rposition(|&byte| byte == b'\n') {
            end = start + line_feed as u64 + 1;
            break;
        }
        end = start;
    }
    read_at(file, end, TELLS, &mut piece)?;
    if is_ours(&piece) || (end > 0 && holds_zeros(file, end)?) {
        Ok(end)
    } else {
        Err(io::Error::other("the file ends in something that is no line of ours; move it away"))
    }
}

/// Whether this is a line of ours as far as it goes.
fn is_ours(line: &[u8]) -> bool {
    let is_id = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    let (beginning, rest) = line.split_at(line.len().min(BEGINNING.len()));
    let (id, rest) = rest.split_at(rest.len().min(ID));
    let (middle, again) = rest.split_at(rest.len().min(MIDDLE.len()));
    BEGINNING.starts_with(beginning)
        && id.iter().all(is_id)
        && MIDDLE.starts_with(middle)
        && id.starts_with(&again[..again.len().min(ID)])
}

/// Whether there are zeros only from there on: after a power failure a file system may show them where nothing was written yet.
fn holds_zeros(file: &mut File, mut start: u64) -> io::Result<bool> {
    let mut piece = Vec::new();
    loop {
        read_at(file, start, PIECE, &mut piece)?;
        if piece.is_empty() || piece.iter().any(|&byte| byte != 0) {
            return Ok(piece.is_empty());
        }
        start += piece.len() as u64;
    }
}

fn read_at(file: &mut File, start: u64, length: u64, piece: &mut Vec<u8>) -> io::Result<()> {
    piece.clear();
    file.seek(SeekFrom::Start(start))?;
    file.take(length).read_to_end(piece)?;
    Ok(())
}
