//! The databases: a primary, its synchronous standby, and a proxy in front of each place.

use crate::disk::SmallDisk;
use pylon_test_support::postgres::{Cluster, Replication, Stop};
use pylon_test_support::proxy::{Proxy, Way};
use std::time::{Duration, Instant};

/// As many as three receivers need, and about as many again.
const CONNECTIONS: &str = "80";
const DATABASE: &str = "postgres";
/// A standby that was away streams again, and a server that has crashed is up again, by then.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// A server that recovers by itself has done so by then.
const RECOVERS_WITHIN: Duration = Duration::from_secs(8);

/// Two places, of which one has the primary and the other its standby.
#[derive(Debug)]
pub(crate) struct House {
    proxies: [Proxy; 2],
    // Before the clusters, which remove their folders.
    disks: [Option<SmallDisk>; 2],
    clusters: [Option<Cluster>; 2],
    /// The place of the primary.
    now: usize,
    why_no_small_disk: Option<String>,
}

impl House {
    /// Starts it; none where there is no PostgreSQL.
    pub(crate) fn start() -> Option<Self> {
        let setup = Cluster::setup().tcp().durable().with("max_connections", CONNECTIONS);
        // The disks are small, and nothing is away for long.
        let setup = setup.with("wal_keep_size", "64MB").with("max_wal_size", "96MB").with("min_wal_size", "32MB");
        let primary = setup.with("wal_retrieve_retry_interval", "200ms").start()?;
        let proxies = [Proxy::to(primary.port()), Proxy::to(primary.port())];
        let (disks, clusters) = ([None, None], [Some(primary), None]);
        let mut house = Self { proxies, disks, clusters, now: 0, why_no_small_disk: None };
        house.give_small_disk(0);
        house.add_standby();
        Some(house)
    }

    /// The primary.
    pub(crate) fn primary(&self) -> &Cluster {
        self.clusters[self.now].as_ref().expect("there always is one")
    }

    /// The disk of the primary, if it has one of its own.
    pub(crate) fn disk(&self) -> Option<&SmallDisk> {
        self.disks[self.now].as_ref()
    }

    /// Why the disks cannot be filled, if they cannot.
    pub(crate) fn why_no_small_disk(&self) -> Option<&str> {
        self.why_no_small_disk.as_deref()
    }

    /// What the receivers connect to.
    pub(crate) fn url(&self) -> String {
        let [one, other] = self.proxies.each_ref().map(Proxy::port);
        format!("postgres://postgres@127.0.0.1:{one},127.0.0.1:{other}/{DATABASE}?connect_timeout=2")
    }

    /// The password there.
    pub(crate) fn password(&self) -> String {
        self.primary().password().to_owned()
    }

    /// Runs SQL at the primary, by its socket, with the ledger's schema.
    pub(crate) fn sql(&self, text: &str) -> String {
        self.primary().sql(DATABASE, &format!("SET search_path = pylon_receiver;\n{text}"))
    }

    /// Tries to run SQL at the primary, as [`Self::sql`] does.
    ///
    /// # Errors
    /// What psql says.
    pub(crate) fn try_sql(&self, text: &str) -> Result<String, String> {
        self.primary().psql(&self.primary().url(DATABASE), text)
    }

    /// What becomes of the connections of the receivers.
    pub(crate) fn turn(&self, way: Way) {
        self.proxies.iter().for_each(|proxy| proxy.turn(way));
    }

    /// Ends the connections of the receivers; new ones are let through.
    pub(crate) fn cut_once(&self) {
        self.proxies.iter().for_each(Proxy::cut_once);
    }

    /// The primary dies at once, and its standby takes over. Returns how long the promotion took.
    pub(crate) fn fail_over(&mut self) -> Duration {
        let primary = self.clusters[self.now].take().expect("there always is one");
        primary.stop(Stop::Immediate);
        self.disks[self.now] = None;
        self.now = 1 - self.now;
        let begin = Instant::now();
        self.primary().promote();
        // Only now, since it takes a while to remove its data.
        drop(primary);
        begin.elapsed()
    }

    /// Gives the primary a synchronous standby, from a copy of its data.
    pub(crate) fn add_standby(&mut self) {
        let place = 1 - self.now;
        let standby = self.primary().standby(Replication::Asynchronous);
        self.proxies[place].point_to(standby.port());
        self.clusters[place] = Some(standby);
        self.give_small_disk(place);
        self.primary().conf([("synchronous_standby_names", "FIRST 1 (*)")]);
        self.wait_for_standby();
    }

    /// Waits until the standby takes part in commits.
    ///
    /// # Panics
    /// If it does not in time.
    pub(crate) fn wait_for_standby(&self) {
        let is_there = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'";
        let begin = Instant::now();
        while self.try_sql(is_there).as_deref() != Ok("1") {
            assert!(begin.elapsed() < BACK_WITHIN, "the standby does not stream within {BACK_WITHIN:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sees to it that the primary, which may have crashed, is up. Returns whether it had to be started.
    pub(crate) fn revive(&self) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < RECOVERS_WITHIN {
            if self.try_sql("SELECT 1").is_ok() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.primary().restart();
        true
    }

    fn give_small_disk(&mut self, place: usize) {
        let Some(cluster) = &self.clusters[place] else { return };
        if self.why_no_small_disk.is_none() {
            match SmallDisk::under(cluster) {
                Ok(disk) => self.disks[place] = Some(disk),
                Err(why) => self.why_no_small_disk = Some(why),
            }
        }
    }
}
