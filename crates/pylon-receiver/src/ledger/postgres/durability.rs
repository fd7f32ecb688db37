//! What a commit is worth: which settings and standbys decide it, whether that is what was promised, and whether commits can be confirmed
//! at all at present.

use super::error::Fault;
use crate::ledger::Durability;
use crate::promise::Promise;
use std::fmt::Write;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

/// What decides it. Own commits that wait for a standby can be seen by every role, and so can which database a connection is to: a standby's
/// is to none, that of a subscriber of logical replication to one. The state of standbys only some roles see.
const LOOK: &str = "
    WITH connected AS MATERIALIZED (
        SELECT activity.datid IS NOT NULL AS subscribes, sender.state, sender.sync_state, sender.flush_lsn
        FROM pg_stat_replication AS sender JOIN pg_stat_activity AS activity USING (pid)
    )
    SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
        current_setting('synchronous_standby_names'), session_user::text,
        pg_has_role(session_user, 'pg_read_all_stats', 'USAGE'),
        (SELECT count(*) FROM connected WHERE NOT subscribes),
        (SELECT count(*) FROM connected
            WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum') AND flush_lsn IS NOT NULL),
        (SELECT count(*) FROM connected WHERE subscribes),
        (SELECT count(*) FROM connected WHERE subscribes AND sync_state <> 'async'),
        (SELECT count(*) FROM pg_stat_activity
            WHERE usename = session_user AND wait_event = 'SyncRep' AND state_change < clock_timestamp() - interval '2 s')";
/// What a session's last commit met: the settings that may differ from those of the last look.
const MET: &str = "
    SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names')";

/// The settings that decide how far a commit waits, as one session has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    fsync: bool,
    pub(super) synchronous_commit: String,
    synchronous_standby_names: String,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) terms: Terms,
    full_page_writes: bool,
    role: String,
    /// Whether the role may see the state of standbys.
    sees_standbys: bool,
    /// Connections of standbys, of any kind.
    connected: i64,
    /// Standbys and subscribers that a commit may wait for.
    synchronous: i64,
    /// Connections of subscribers of logical replication, and those of them that may confirm a commit, now or when others are gone.
    subscribers: i64,
    confirming_subscribers: i64,
    /// Own commits that have waited for a standby for more than two seconds.
    stuck: i64,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) seen: Seen,
    pub(super) durability: Durability,
    /// Why nothing can be recorded; none: it can.
    pub(super) barred: Option<Fault>,
}

/// Looks.
pub(super) async fn look(client: &Client) -> Result<Seen, Fault> {
    let row = client.query_one(LOOK, &[]).await?;
    let is_on = |place: usize| -> Result<bool, Fault> { Ok(row.try_get::<_, &str>(place)? == "on") };
    Ok(Seen {
        terms: Terms {
            fsync: is_on(0)?,
            synchronous_commit: row.try_get(2)?,
            synchronous_standby_names: row.try_get(3)?,
        },
        full_page_writes: is_on(1)?,
        role: row.try_get(4)?,
        sees_standbys: row.try_get(5)?,
        connected: row.try_get(6)?,
        synchronous: row.try_get(7)?,
        subscribers: row.try_get(8)?,
        confirming_subscribers: row.try_get(9)?,
        stuck: row.try_get(10)?,
    })
}

/// What the commit met that was sent just before, where something is promised. Another server, or another session, may have other settings
/// than those that were looked at; and a server signals a change of its settings to its sessions before commits go by it.
pub(super) async fn met(client: &Client, promise: Option<Promise>) -> Result<Option<Terms>, Error> {
    if promise.is_none() {
        return Ok(None);
    }
    let answers = client.simple_query(MET).await?;
    let row = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let setting = |place: usize| row.and_then(|row| row.get(place)).unwrap_or_default();
    Ok(Some(Terms {
        fsync: setting(0) == "on",
        synchronous_commit: setting(1).to_owned(),
        synchronous_standby_names: setting(2).to_owned(),
    }))
}

/// How far a commit waits, by `synchronous_commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Waits {
    /// For nothing.
    Not,
    /// For the server's own disk.
    Here,
    /// Also until standbys have it in memory.
    ForMemory,
    /// Also until standbys have it on their disks.
    ForDisks,
}

impl Seen {
    /// The same server and standbys under other settings.
    pub(super) fn under(&self, terms: Terms) -> Self {
        Self { terms, ..self.clone() }
    }

    fn waits(&self) -> Waits {
        match &*self.terms.synchronous_commit {
            "off" => Waits::Not,
            "local" => Waits::Here,
            "remote_write" => Waits::ForMemory,
            _ => Waits::ForDisks,
        }
    }

    /// Standbys that a commit waits for.
    fn demanded(&self) -> i64 {
        match self.waits() {
            Waits::Not | Waits::Here => 0,
            Waits::ForMemory | Waits::ForDisks => demanded(&self.terms.synchronous_standby_names),
        }
    }

    /// Subscribers of logical replication that may confirm a commit in the place of a standby. Who may not see which ones do knows it where
    /// all of them do.
    fn stand_ins(&self) -> i64 {
        match self.sees_standbys {
            true => self.confirming_subscribers,
            false if names_any(&self.terms.synchronous_standby_names) => self.subscribers,
            false => 0,
        }
    }

    /// On how many disks an event is before its 200. Standbys that are missing hold a commit up, so one that succeeds has met all of them.
    /// A subscriber has only what it subscribed to.
    fn disks(&self) -> u32 {
        match self.waits() {
            _ if !self.terms.fsync => 0,
            Waits::Not => 0,
            Waits::Here | Waits::ForMemory => 1,
            Waits::ForDisks => 1 + u32::try_from(self.demanded() - self.stand_ins()).unwrap_or(0),
        }
    }

    /// Why commits do not come to an end; none: they do, as far as can be seen.
    fn hold_up(&self) -> Option<String> {
        let demanded = self.demanded();
        let found = if self.sees_standbys { self.synchronous } else { self.connected + self.stand_ins() };
        let missing = demanded > found;
        (missing || self.stuck > 0).then(|| {
            let standbys = if demanded == 1 { "1 standby".to_owned() } else { format!("{demanded} standbys") };
            match missing {
                true => format!("each commit waits for {standbys}, found {found} connected; bring the standby back"),
                false => {
                    format!("commits wait for {standbys} in vain; see whether the standby still writes to its disk")
                }
            }
        })
    }

    fn meaning(&self) -> String {
        let Terms { fsync, synchronous_commit: setting, synchronous_standby_names: names } = &self.terms;
        let mut meaning = match (self.disks(), self.waits(), self.demanded()) {
            (0, ..) if !fsync => "on no disk for certain: fsync is off".to_owned(),
            (0, ..) => "on no disk yet: PostgreSQL confirms before it writes (synchronous_commit is off)".to_owned(),
            (_, Waits::ForMemory, 1..) => {
                "on one disk, PostgreSQL's own: a standby has it in memory only (synchronous_commit is remote_write)"
                    .to_owned()
            }
            (_, Waits::Not | Waits::Here, _) => {
                format!("on one disk, PostgreSQL's own: no standby is waited for (synchronous_commit is {setting})")
            }
            (_, _, 0) => "on one disk, PostgreSQL's own: no standby is waited for (synchronous_standby_names is empty)"
                .to_owned(),
            (1, ..) => format!(
                "on one disk, PostgreSQL's own: a subscriber of logical replication may confirm a commit in the place of a standby \
                 (synchronous_standby_names is {names})"
            ),
            (disks, ..) => {
                let standbys =
                    if disks == 2 { "a standby's".to_owned() } else { format!("those of {} standbys", disks - 1) };
                format!(
                    "on {disks} disks, PostgreSQL's own and {standbys} (synchronous_commit is {setting}, \
                     synchronous_standby_names is {names})"
                )
            }
        };
        if *fsync && !self.full_page_writes {
            meaning.push_str("; full_page_writes is off: only some file systems survive a power failure with that");
        }
        if self.demanded() > 0 && !self.sees_standbys {
            let _ =
                write!(meaning, "; which standbys are connected cannot be seen: GRANT pg_monitor TO \"{}\"", self.role);
        }
        meaning
    }

    /// Why a promise is not kept by how the server is set up.
    pub(super) fn too_little(&self, promise: Promise) -> Option<String> {
        let (promised, found) = (promise.disks(), self.disks());
        (found < promised).then(|| {
            let order = match (promised, self.waits()) {
                _ if !self.terms.fsync => "set fsync = on".to_owned(),
                (1, _) | (_, Waits::Not | Waits::Here | Waits::ForMemory) => {
                    format!("ALTER ROLE \"{}\" SET synchronous_commit = on", self.role)
                }
                (_, Waits::ForDisks) if self.demanded() > 0 => {
                    "name standbys alone in synchronous_standby_names, no subscriber of logical replication".to_owned()
                }
                (_, Waits::ForDisks) => "name a standby in synchronous_standby_names".to_owned(),
            };
            let less = if promised > 1 && found > 0 { ", or set `promise = \"one_disk\"`" } else { "" };
            let counted = |disks| if disks == 1 { "1 disk".to_owned() } else { format!("{disks} disks") };
            format!("expected each event on {}, found it {}; {order}{less}", counted(promised), self.meaning())
        })
    }

    /// What follows for a promise.
    pub(super) fn judge(&self, promise: Promise) -> Verdict {
        let (too_little, hold_up) = (self.too_little(promise), self.hold_up());
        let barred = match (&too_little, &hold_up) {
            (Some(text), _) => Some(Fault::Unconfirmed(text.as_str().into())),
            // Whoever promised one disk may keep events on another one meanwhile.
            (None, Some(text)) if promise == Promise::OneDisk => Some(Fault::Away(text.as_str().into())),
            (None, Some(text)) => Some(Fault::Unconfirmed(text.as_str().into())),
            (None, None) => None,
        };
        let unkept = too_little.or(hold_up).map(String::into_boxed_str);
        Verdict { seen: self.clone(), durability: Durability::new(self.disks(), self.meaning(), unkept), barred }
    }
}

/// The number of standbys that `synchronous_standby_names` demands: `FIRST 2 (a, b)`, `ANY 1 (a, b)`, `2 (a, b)`, or names, of which one.
fn demanded(names: &str) -> i64 {
    let names = names.trim();
    if names.is_empty() {
        return 0;
    }
    let Some((before, _)) = names.split_once('(') else { return 1 };
    let number = before.split_whitespace().next_back().and_then(|number| number.parse().ok());
    number.unwrap_or(1)
}

/// Whether `synchronous_standby_names` names everybody: by `*`, also in quotes.
fn names_any(names: &str) -> bool {
    names.split(['(', ')', ',', ' ']).any(|name| matches!(name, "*" | "\"*\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            terms: terms("on", ""),
            full_page_writes: true,
            role: "pylon".into(),
            sees_standbys: true,
            connected: 0,
            synchronous: 0,
            subscribers: 0,
            confirming_subscribers: 0,
            stuck: 0,
        }
    }

    fn terms(synchronous_commit: &str, synchronous_standby_names: &str) -> Terms {
        Terms {
            fsync: true,
            synchronous_commit: synchronous_commit.into(),
            synchronous_standby_names: synchronous_standby_names.into(),
        }
    }

    #[test]
    fn everybody_is_named_by_a_star() {
        for (names, expected) in [
            ("", false),
            ("a, b", false),
            ("*", true),
            ("a,*", true),
            ("ANY 1 (*)", true),
            ("FIRST 1 (a, \"*\")", true),
            ("\"a*b\"", false),
        ] {
            assert_eq!(names_any(names), expected, "{names}");
        }
    }

    #[test]
    fn the_number_of_standbys_is_read_from_every_form() {
        for (names, expected) in [
            ("", 0),
            ("  ", 0),
            ("*", 1),
            ("a", 1),
            ("a, b", 1),
            ("FIRST 2 (a, b)", 2),
            ("first 3(a,b,c)", 3),
            ("ANY 2 (*)", 2),
            ("2 (a, b)", 2),
            ("\"odd(name\"", 1),
        ] {
            assert_eq!(demanded(names), expected, "{names}");
        }
    }

    #[test]
    fn disks_are_counted_by_what_a_commit_waits_for() {
        for (setting, alone, with_one) in
            [("off", 0, 0), ("local", 1, 1), ("remote_write", 1, 1), ("on", 1, 2), ("remote_apply", 1, 2)]
        {
            let mut seen = Seen { terms: terms(setting, ""), ..seen() };
            assert_eq!(seen.disks(), alone, "{setting}");
            seen.terms = terms(setting, "ANY 1 (a, b)");
            (seen.connected, seen.synchronous) = (2, 2);
            assert_eq!(seen.disks(), with_one, "{setting}");
            assert_eq!(seen.judge(Promise::OneDisk).barred.is_some(), alone == 0, "{setting}");
            assert_eq!(seen.judge(Promise::TwoDisks).barred.is_some(), with_one < 2, "{setting}");
            seen.terms.fsync = false;
            assert_eq!(seen.disks(), 0, "{setting}");
            assert!(seen.judge(Promise::OneDisk).barred.is_some(), "{setting}");
        }
    }

    #[test]
    fn a_standby_that_is_missing_bars_what_waits_for_it() {
        for (setting, waits) in [("local", false), ("remote_write", true), ("on", true), ("remote_apply", true)] {
            let seen = Seen { terms: terms(setting, "FIRST 2 (a, b, c)"), connected: 2, synchronous: 1, ..seen() };
            let barred = seen.judge(Promise::OneDisk).barred;
            let text = "each commit waits for 2 standbys, found 1 connected; bring the standby back";
            assert_eq!(barred, waits.then(|| Fault::Away(text.into())), "{setting}");
            // Who may not see which standbys these are, takes them for the right ones until a commit is held up.
            let blind = Seen { sees_standbys: false, synchronous: 0, ..seen.clone() };
            assert_eq!(blind.judge(Promise::OneDisk).barred, None, "{setting}");
            assert_eq!(
                Seen { connected: 0, ..blind.clone() }.judge(Promise::OneDisk).barred.is_some(),
                waits,
                "{setting}"
            );
            assert!(Seen { stuck: 1, ..blind }.judge(Promise::OneDisk).barred.is_some(), "{setting}");
        }
    }
}
