//! The settings of a session: set, and read back.

use super::error::Fault;
use super::session::Use;
use std::fmt::Write;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Since this version there is `client_connection_check_interval`.
const CHECKS_CLIENT: i32 = 140_000;

/// For how many milliseconds what is sent may stay unconfirmed. On a Unix socket, and where the server's system cannot do it, it is 0.
const UNREAD: &str = "tcp_user_timeout";

/// The settings of a session for a use, each as the server shows it.
pub(super) fn settings(used_for: Use, schema: &str, application: &str, version: i32) -> Vec<(&'static str, String)> {
    let own = |text: &str| text.to_owned();
    let mut settings = vec![
        ("search_path", own(schema)),
        ("application_name", own(application)),
        ("plan_cache_mode", own(plan_cache_mode(used_for))),
        ("default_transaction_isolation", own("read committed")),
        // The price by which a scan of a whole table is avoided would have each such plan compiled.
        ("jit", own("off")),
        ("statement_timeout", own(used_for.statement_timeout())),
        ("lock_timeout", own(used_for.lock_timeout())),
        ("idle_in_transaction_session_timeout", own("10s")),
        // A wait for a standby that is given up is told by a warning alone.
        ("client_min_messages", own("notice")),
        // Who is told something and does not read it would hold a snapshot for ever, behind which nothing is cleaned up.
        (UNREAD, own("10000")),
    ];
    if version >= CHECKS_CLIENT {
        settings.push(("client_connection_check_interval", own("1s")));
    }
    if matches!(used_for, Use::Write | Use::Deliver | Use::Read) {
        settings.push(("enable_seqscan", own("off")));
    }
    if matches!(used_for, Use::Write | Use::Deliver) {
        // A bitmap is made of all rows that match before the first one is taken: thousands may wait in one line.
        settings.push(("enable_bitmapscan", own("off")));
    }
    match used_for {
        // As the server is set up: it decides what an answer of 200 means.
        Use::Write | Use::Probe => {}
        // What is done here is on the server's own disk: a standby that is missing holds up no delivery and no operator.
        Use::Deliver | Use::Read | Use::Listen => settings.push(("synchronous_commit", own("local"))),
        // What a chore adds up can be added up again.
        Use::Chores => settings.push(("synchronous_commit", own("off"))),
    }
    settings
}

/// Made for a table that was empty, a plan is wrong a thousandfold for a full one, so plans are made anew each time; except for recording,
/// whose statements leave no choice (see `record`), and whose plans take long to make.
fn plan_cache_mode(used_for: Use) -> &'static str {
    match used_for {
        Use::Write => "force_generic_plan",
        Use::Deliver | Use::Read | Use::Chores | Use::Listen | Use::Probe => "force_custom_plan",
    }
}

/// Sets the settings and reads them back.
pub(super) async fn set(client: &Client, settings: &[(&'static str, String)]) -> Result<(), Fault> {
    let (mut text, mut back) = (String::new(), String::from("SELECT "));
    for (place, (name, value)) in settings.iter().enumerate() {
        let between = if place == 0 { "" } else { ", " };
        let _ = write!(text, "SET {name} = {};", literal(value));
        let _ = write!(back, "{between}current_setting('{name}')");
    }
    let answers = client.simple_query(&(text + &back)).await?;
    let row = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    for (place, (name, value)) in settings.iter().enumerate() {
        let found = row.and_then(|row| row.get(place)).unwrap_or("nothing");
        // A name that is a word of SQL is shown in quotes.
        let is_impossible = *name == UNREAD && found == "0";
        if found != value && found.trim_matches('"') != value && !is_impossible {
            return Err(Fault::Other(format!("expected the setting {name} to be {value}, found {found}").into()));
        }
    }
    Ok(())
}

/// A text as SQL has it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
