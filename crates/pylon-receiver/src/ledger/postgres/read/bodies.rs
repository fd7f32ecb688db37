//! Conditions on bodies, and what a list shows of them. SQL can say neither.

use super::super::database::Database;
use super::super::error::Fault;
use super::bounded;
use super::search::Looks;
use crate::ledger::{BodyText, IssueSummary, Terms};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Bodies in memory at a time, in bytes; a longer one comes alone.
const MOST_BYTES: i64 = 4 * 1024 * 1024;
/// And in number.
const MOST_BODIES: usize = 256;

/// What an event's body has to have.
#[derive(Default)]
pub(super) struct Wanted {
    /// This text.
    pub(super) contains: Option<BodyText>,
    /// An issue of this number or id.
    pub(super) issue: Option<String>,
    /// This term.
    pub(super) term: Option<String>,
}

impl Wanted {
    /// Whether every body will do.
    pub(super) fn is_anything(&self) -> bool {
        self.contains.is_none() && self.issue.is_none() && self.term.is_none()
    }

    /// The issue that the body names, where it has what is wanted.
    fn look(&self, body: &[u8], about: &About) -> Looked {
        if self.contains.as_ref().is_some_and(|text| !text.is_in(body)) {
            return Looked::Passed;
        }
        let has = |term: &String| Terms::of(body, &about.name, about.kind.as_deref()).contain(term);
        if !self.term.as_ref().is_none_or(has) {
            return Looked::Passed;
        }
        let issue = IssueSummary::of(body, &about.name, about.kind.as_deref());
        match &self.issue {
            Some(called) if !issue.as_ref().is_some_and(|issue| issue.is_called(called)) => Looked::Passed,
            _ => Looked::Wanted(issue),
        }
    }
}

/// An event whose body is to be looked into.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) event: Uuid,
    pub(super) name: String,
    pub(super) kind: Option<String>,
    pub(super) body_length: i64,
}

/// What came of a look into a body.
#[derive(Debug, Clone)]
enum Looked {
    Wanted(Option<IssueSummary>),
    Passed,
}

/// Goes through entries in their order, a few bodies in memory at a time, until enough have what is wanted; gives each of these its issue.
pub(super) async fn complete<T>(
    database: &Database,
    looks: &Looks,
    wanted: &Arc<Wanted>,
    entries: Vec<T>,
    most: usize,
    about: impl Fn(&T) -> About,
    with_issue: impl Fn(T, Option<IssueSummary>) -> T,
) -> Result<Vec<T>, Fault> {
    let mut complete = Vec::new();
    // Deliveries of one event stand beside each other: its body is read once.
    let mut last: Option<(Uuid, Looked)> = None;
    let mut entries = entries.into_iter().peekable();
    while complete.len() < most && entries.peek().is_some() {
        looks.check(database)?;
        let mut together: Vec<T> = Vec::new();
        let mut bodies: Vec<About> = Vec::new();
        let mut bytes = 0;
        let most_together = if wanted.is_anything() { most - complete.len() } else { usize::MAX };
        while together.len() < most_together && bodies.len() < MOST_BODIES {
            let Some(entry) = entries.peek() else { break };
            let about = about(entry);
            let is_known = last.as_ref().is_some_and(|(event, _)| *event == about.event)
                || bodies.last().is_some_and(|before| before.event == about.event);
            if !is_known {
                if bytes + about.body_length > MOST_BYTES && !bodies.is_empty() {
                    break;
                }
                bytes += about.body_length;
                bodies.push(about);
            }
            together.extend(entries.next());
        }
        let mut looked = look_into(database, wanted, bodies).await?;
        looked.extend(last.take());
        for entry in together {
            let event = about(&entry).event;
            match looked.get(&event) {
                Some(Looked::Wanted(issue)) if complete.len() < most => {
                    complete.push(with_issue(entry, issue.clone()));
                }
                // Or it was forgotten meanwhile.
                _ => {}
            }
            last = looked.get(&event).map(|looked| (event, looked.clone()));
        }
    }
    Ok(complete)
}

/// Reads the bodies, and looks into them on a thread that may take its time.
async fn look_into(
    database: &Database,
    wanted: &Arc<Wanted>,
    events: Vec<About>,
) -> Result<HashMap<Uuid, Looked>, Fault> {
    if events.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = events.iter().map(|about| about.event).collect();
    let rows = bounded::read(database, async |connection| {
        let read = connection.prepare_cached("SELECT id, body FROM events WHERE id = ANY($1)").await?;
        Ok(connection.query(&read, &[&ids]).await?)
    })
    .await?;
    let wanted = wanted.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let about: HashMap<Uuid, About> = events.into_iter().map(|about| (about.event, about)).collect();
        let look = |row: &tokio_postgres::Row| -> Result<Option<(Uuid, Looked)>, Fault> {
            let id = row.try_get(0)?;
            let Some(about) = about.get(&id) else { return Ok(None) };
            Ok(Some((id, wanted.look(row.try_get(1)?, about))))
        };
        rows.iter().filter_map(|row| look(row).transpose()).collect()
    });
    looking.await.unwrap_or_else(|error| Err(Fault::Other(error.to_string().into())))
}
