//! Tells other receivers that something is due, and hears from them: by NOTIFY on a connection of its own, off the path of commits.
//!
//! A commit that notifies takes a lock of the whole server. So what commits make due is gathered for a moment, and told in a
//! transaction that does nothing else. Messages are lost while this connection is: from then on everybody looks for himself, once a second.

use super::database::Database;
use super::error::Fault;
use super::notifier::Notifier;
use super::session::{Dedicated, Use};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::Notification;
use uuid::Uuid;

/// How long to gather before telling.
const GATHER: Duration = Duration::from_millis(20);
/// How often to look whether messages still come through, by one to oneself.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// How long such a message may take.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
/// How often everybody looks while no messages come through.
const DEAF_EVERY: Duration = Duration::from_secs(1);
/// The longest message; PostgreSQL allows 7,999 bytes.
const LONGEST: usize = 7000;
/// The message to oneself, which names no destination.
const PROBE: &str = "?";
/// The message that has everybody look everywhere.
pub(super) const EVERYWHERE: &str = "*";
/// Before each destination in a message.
const AT: char = '@';

/// Begins to hear, and from then on to tell; ends with the ledger.
pub(super) async fn start(database: &Arc<Database>) -> Result<(), Fault> {
    let connection = listen(database).await?;
    drop(database.runtime.spawn(run(Arc::downgrade(database), connection, database.notifier.clone())));
    Ok(())
}

async fn run(database: Weak<Database>, mut connection: Dedicated, notifier: Arc<Notifier>) {
    loop {
        let Err(fault) = hear(&database, connection, &notifier).await else { return };
        tracing::warn!(%fault, "no messages from other receivers come through: looking for what is due every second");
        connection = loop {
            let Some(open) = database.upgrade().filter(|database| !database.is_closing()) else { return };
            let listening = listen(&open).await;
            // What became due meanwhile was in no message.
            open.bell.ring_everywhere();
            drop(open);
            match listening {
                Ok(connection) => break connection,
                Err(_) => sleep(DEAF_EVERY).await,
            }
        };
        tracing::info!("messages from other receivers come through again");
    }
}

async fn listen(database: &Database) -> Result<Dedicated, Fault> {
    let connection = database.dedicated(Use::Listen).await?;
    connection.session.batch_execute(&format!("LISTEN \"{}\"", channel(database.id))).await?;
    Ok(connection)
}

/// Tells and hears until the connection is of no use any more, or the ledger is closed.
async fn hear(database: &Weak<Database>, mut connection: Dedicated, notifier: &Notifier) -> Result<(), Fault> {
    let Some(channel) = database.upgrade().map(|database| channel(database.id)) else { return Ok(()) };
    let own = backend(&connection).await?;
    let mut tell_at = None;
    let mut probe_at = Instant::now() + PROBE_EVERY;
    let mut heard_by: Option<Instant> = None;
    loop {
        let next = [tell_at, Some(probe_at), heard_by].into_iter().flatten().min().unwrap_or(probe_at);
        tokio::select! {
            notification = connection.notifications.recv() => {
                let Some(notification) = notification else { return Err(Fault::Away("the connection was closed".into())) };
                match (notification.process_id() == own, notification.payload() == PROBE) {
                    (true, true) => heard_by = None,
                    // This receiver has rung for it.
                    (true, false) | (false, true) => {}
                    (false, false) => match ring(database, &notification) {
                        ControlFlow::Continue(()) => {}
                        ControlFlow::Break(()) => return Ok(()),
                    },
                }
            }
            has_news = notifier.has_news(), if tell_at.is_none() => {
                if !has_news {
                    return Ok(());
                }
                tell_at = Some(Instant::now() + GATHER);
            }
            () = sleep_until(next) => {
                let now = Instant::now();
                if heard_by.is_some_and(|by| by <= now) {
                    return Err(Fault::Away("a message to oneself was not heard".into()));
                }
                if tell_at.is_some_and(|at| at <= now) {
                    tell_at = None;
                    for message in messages(&notifier.take()) {
                        notify(&connection, &channel, &message).await?;
                    }
                }
                if probe_at <= now {
                    probe_at = now + PROBE_EVERY;
                    heard_by = Some(now + HEARD_WITHIN);
                    notify(&connection, &channel, PROBE).await?;
                }
            }
        }
    }
}

/// The number of the server's process that serves the connection.
async fn backend(connection: &Dedicated) -> Result<i32, Fault> {
    let row = connection.session.query_one("SELECT pg_backend_pid()", &[]).await?;
    Ok(row.try_get(0)?)
}

async fn notify(connection: &Dedicated, channel: &str, message: &str) -> Result<(), Fault> {
    let notify = connection.session.prepare_cached("SELECT pg_notify($1, $2)").await?;
    let told = async { connection.session.execute(&notify, &[&channel, &message]).await };
    timeout(HEARD_WITHIN, told).await.map_err(|_| Fault::Away("a message could not be sent in time".into()))??;
    Ok(())
}

/// Rings where a message says that something is due; breaks if nobody is there to hear it.
fn ring(database: &Weak<Database>, notification: &Notification) -> ControlFlow<()> {
    let Some(database) = database.upgrade() else { return ControlFlow::Break(()) };
    for destination in notification.payload().split(AT).skip(1) {
        database.bell.ring(&destination.into());
    }
    if !notification.payload().starts_with(AT) {
        database.bell.ring_everywhere();
    }
    ControlFlow::Continue(())
}

/// The destinations in as few messages as they fit into. One that does not fit is told of by a message that names none: look everywhere.
fn messages(destinations: &BTreeSet<Arc<str>>) -> Vec<String> {
    let mut messages = vec![String::new()];
    for destination in destinations {
        if destination.len() >= LONGEST || destination.contains([AT, '\0']) {
            return vec![EVERYWHERE.to_owned()];
        }
        if messages.last().is_some_and(|message| message.len() + destination.len() >= LONGEST) {
            messages.push(String::new());
        }
        if let Some(message) = messages.last_mut() {
            message.push(AT);
            message.push_str(destination);
        }
    }
    messages
}

/// The channel of a ledger.
pub(super) fn channel(ledger: Uuid) -> String {
    format!("pylon_receiver_{}", ledger.simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_every_destination_or_none() {
        let set = |names: &[&str]| names.iter().map(|&name| Arc::from(name)).collect::<BTreeSet<Arc<str>>>();
        assert_eq!(messages(&set(&["b", "a", ""])), ["@@a@b"]);
        assert_eq!(messages(&set(&["a", "me@example.com"])), ["*"]);
        let (long, other) = ("x".repeat(LONGEST - 2), "y".repeat(9));
        assert_eq!(messages(&set(&[&long, &other])), [format!("@{long}"), format!("@{other}")]);
        assert_eq!(messages(&set(&["a", &"x".repeat(LONGEST)])), ["*"]);
        assert!(messages(&set(&[&long, &other])).iter().all(|message| message.len() < 8000));
    }
}
