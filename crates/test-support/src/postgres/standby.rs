//! A second cluster that follows a first.

use super::cluster::Cluster;
use super::server::BOUND;
use crate::wait::eventually;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whether commits wait for a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// They do, as `synchronous_commit` says.
    Synchronous,
    /// They do not.
    Asynchronous,
}

impl Cluster {
    /// Starts a standby of this cluster, and waits until it streams; it has TCP if this one has.
    ///
    /// A synchronous one becomes the only one that commits of this cluster wait for.
    ///
    /// # Panics
    /// If it does not stream in time.
    #[track_caller]
    pub fn standby(&self, replication: Replication) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(1);
        let name = format!("standby_{}", MADE.fetch_add(1, Ordering::Relaxed));
        let standby = Self::in_new_folder(self.installation.clone(), self.setup.clone(), self.password.clone());
        let source = format!(
            "host={} port={} user=postgres application_name={name}",
            self.socket_folder().display(),
            self.port()
        );
        let backup = self.installation.program("pg_basebackup").arguments(["-D"]).argument(standby.data_folder());
        let backup = backup.arguments(["-X", "stream", "--checkpoint=fast", "--no-sync", "-d"]).argument(&source);
        backup.run("", BOUND).unwrap_or_else(|error| panic!("{error}"));
        standby.write("data/standby.signal", "");
        standby.settings.lock().unwrap().insert("primary_conninfo".to_owned(), source);
        standby.write_settings();
        *standby.server() = Some(standby.boot());
        let state = match replication {
            Replication::Asynchronous => "async",
            Replication::Synchronous => {
                self.conf([("synchronous_standby_names", &*format!("FIRST 1 ({name})"))]);
                "sync"
            }
        };
        let streams = format!(
            "SELECT 1 FROM pg_stat_replication WHERE application_name = '{name}' AND state = 'streaming' AND sync_state = '{state}'"
        );
        eventually("the standby streams", || (self.sql("postgres", &streams) == "1").then_some(()));
        standby
    }

    /// Waits until this standby has replayed all that its primary has committed.
    ///
    /// # Panics
    /// If it has not in time.
    #[track_caller]
    pub fn catch_up_with(&self, primary: &Self) {
        let end = primary.sql("postgres", "SELECT pg_current_wal_flush_lsn()");
        let has = format!("SELECT pg_last_wal_replay_lsn() >= '{end}'");
        eventually("the standby has replayed all", || (self.sql("postgres", &has) == "t").then_some(()));
    }

    /// Makes this standby a primary, and waits until it is one.
    ///
    /// # Panics
    /// If it is none in time, or was none.
    #[track_caller]
    pub fn promote(&self) {
        let promoted = self.sql("postgres", &format!("SELECT pg_promote(true, {})", BOUND.as_secs()));
        assert_eq!(promoted, "t", "the standby has not become a primary; it logged:\n{}", self.log());
    }
}
