//! Connects: to each host in turn, each step within its time, not too often where nobody answers.

use super::dial::dial;
use super::driver::{Ended, Unasked, drive};
use super::error::Fault;
use super::options::{PostgresOptions, ReadPassword};
use super::pulse::{Host, Pulse};
use super::schema::VERSION;
use super::server::{Cluster, Server, Unfit, examine};
use super::session::{Dedicated, Renewal, Session, Use};
use super::settings::{set, settings};
use super::stream::Secured;
use super::tls;
use crate::postgres_address::{PostgresAddress, PostgresHost, PostgresTls};
use crate::random::{Randomness, SystemRandomness};
use deadpool_postgres::ClientWrapper;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation};
use uuid::Uuid;

/// How long nobody connects after a failure, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// The same where the server has no room for more connections: who floods it keeps it from its work.
const LONGEST_PAUSE_OF_ROOM: Duration = Duration::from_secs(5);
/// The ledger's id, and whether its tables are of a later version.
const LEDGER: &str = "SELECT id, version > $1 FROM ledger";
/// The longest name of an application, in bytes.
const LONGEST_APPLICATION: usize = 63;

/// Connects to one ledger.
pub(super) struct Connector {
    address: PostgresAddress,
    password: Option<ReadPassword>,
    runtime: Handle,
    /// Machine and process, for `pg_stat_activity`.
    whence: String,
    /// When each host of the address was last heard.
    heard: Box<[Arc<Host>]>,
    state: Mutex<State>,
    /// Connections of an earlier generation are renewed: the server that they lead to stops, or is no primary any more.
    generation: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// The host that let the last connection in.
    first: usize,
    failed: Option<Failed>,
    cluster: Option<Cluster>,
    /// The id of the ledger, once it is known.
    ledger: Option<Uuid>,
    /// What the log has heard last of a server that is not used.
    told: Option<String>,
}

impl State {
    /// Refuses a server; the log hears of it once.
    fn refuse(&mut self, host: &PostgresHost, text: String) -> Unfit {
        if self.told.as_ref() != Some(&text) {
            tracing::error!(%host, "the database is not used: {text}");
            self.told = Some(text.clone());
        }
        Unfit::Now(text)
    }
}

struct Failed {
    at: Instant,
    times: u32,
    not_before: Instant,
    fault: Fault,
}

impl Connector {
    pub(super) fn new(address: &PostgresAddress, options: &PostgresOptions, runtime: Handle) -> Self {
        let name = rustix::system::uname();
        Self {
            address: address.clone(),
            password: options.password.clone(),
            runtime,
            whence: format!("{}/{}", name.nodename().to_string_lossy(), std::process::id()),
            heard: address.hosts.iter().map(|_| Arc::default()).collect(),
            state: Mutex::default(),
            generation: watch::Sender::new(0),
        }
    }

    /// From now on connections lead to this ledger, or fail.
    pub(super) fn expect(&self, ledger: Uuid) {
        self.state().ledger = Some(ledger);
    }

    /// Tells when connections are to be renewed.
    pub(super) fn generations(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Connects for a use. Where the last try has failed since the caller has asked, or only just before, that failure is the answer.
    pub(super) async fn connect(self: &Arc<Self>, used_for: Use, asked: Instant) -> Result<Dedicated, Fault> {
        if let Some(failed) = &self.state().failed
            && (failed.at >= asked || Instant::now() < failed.not_before)
        {
            return Err(failed.fault.clone());
        }
        let password = match &self.password {
            Some(read) => read().map_err(Fault::Away)?.to_vec().into(),
            None => self.address.password().map(|password| password.as_bytes().to_vec()),
        };
        let password = password.map(zeroize::Zeroizing::new);
        let (hosts, first) = (&self.address.hosts, self.state().first);
        let (mut said, mut is_wrong, mut has_no_room) = (Vec::new(), false, false);
        for place in (first..hosts.len()).chain(0..first) {
            let host = &hosts[place];
            let deadline = Instant::now() + self.address.connect_timeout;
            let trying = self.try_host(place, used_for, password.as_deref().map(Vec::as_slice), deadline);
            let tried = timeout_at(deadline, trying).await;
            match tried.unwrap_or_else(|_| Err(Unfit::Now("no answer in time".to_owned()))) {
                Ok(connected) => {
                    let mut state = self.state();
                    (state.first, state.failed) = (place, None);
                    return Ok(connected);
                }
                Err(unfit) => {
                    is_wrong |= matches!(unfit, Unfit::Ever(_));
                    has_no_room |= matches!(unfit, Unfit::NoRoom(_));
                    said.push(format!("{host}: {unfit}"));
                }
            }
        }
        let said = said.join("; ").into();
        Err(self.failed(if is_wrong { Fault::Wrong(said) } else { Fault::Away(said) }, has_no_room))
    }

    /// Notes a failure.
    fn failed(&self, fault: Fault, has_no_room: bool) -> Fault {
        let mut state = self.state();
        let times = state.failed.as_ref().map_or(0, |failed| failed.times).saturating_add(1);
        let longest = if has_no_room { LONGEST_PAUSE_OF_ROOM } else { LONGEST_PAUSE };
        let pause = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(times - 1).unwrap_or(u32::MAX)).min(longest);
        // So that several receivers do not come at the same moment.
        let pause = pause / 2 + SystemRandomness.part_of(pause / 2);
        let at = Instant::now();
        state.failed = Some(Failed { at, times, not_before: at + pause, fault: fault.clone() });
        fault
    }

    async fn try_host(
        self: &Arc<Self>,
        place: usize,
        used_for: Use,
        password: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<Dedicated, Unfit> {
        let host = &self.address.hosts[place];
        let mut generations = self.generation.subscribe();
        let generation = *generations.borrow_and_update();
        let pulse = Arc::new(Pulse::new(self.heard[place].clone()));
        let stream = dial(&self.address, host, deadline, &pulse).await.map_err(Unfit::Now)?;
        let connected = self.config(host, password).connect_raw(stream, Secured).await;
        let (client, connection) = connected.map_err(|error| refused(error, &self.address.tls))?;
        let warnings = Arc::new(AtomicU64::new(0));
        let (unasked, notifications) = Unasked::new(warnings.clone());
        let is_in_use = Arc::new(AtomicBool::new(false));
        let task = self.runtime.spawn({
            let (connector, pulse, is_in_use) = (Arc::downgrade(self), pulse.clone(), is_in_use.clone());
            // A pool renews its own.
            let renewed = async move {
                if used_for.has_pool() || generations.changed().await.is_err() {
                    pending().await
                }
            };
            async move {
                let ended = drive(connection, pulse.clone(), used_for.patience(), unasked, renewed).await;
                if let Some(connector) = connector.upgrade()
                    && ended == Ended::Silent
                    && is_in_use.load(Ordering::Acquire)
                {
                    match pulse.is_host_silent() {
                        true => connector.distrust(place, generation),
                        // Others may lead to another server by now, behind the same address.
                        false => connector.renew(generation),
                    }
                }
            }
        });
        // From here on the task ends with the client.
        let client = ClientWrapper::new(client, task);
        let server = examine(&client).await?;
        let application = application(&self.address.application_name, used_for, &self.whence);
        set(&client, &settings(used_for, &self.address.schema, &application, server.version)).await?;
        self.recognize(host, &server)?;
        let expected = self.state().ledger;
        if let Some(expected) = expected {
            is_of(&client, expected).await?;
        }
        is_in_use.store(true, Ordering::Release);
        warnings.store(0, Ordering::Release);
        let connector = self.clone();
        Ok(Dedicated {
            session: Session { client, pulse, warnings, renewal: connector, place, generation },
            notifications,
        })
    }

    /// Holds a server against the one before it.
    fn recognize(&self, host: &PostgresHost, server: &Server) -> Result<(), Unfit> {
        let mut state = self.state();
        match (&state.cluster, &server.cluster) {
            (Some(Cluster { identifier, .. }), Some(found)) if *identifier != found.identifier => {
                let text = format!(
                    "another database cluster: expected system identifier {identifier}, found {}; restart the receiver if that is intended",
                    found.identifier
                );
                return Err(state.refuse(host, text));
            }
            // Whatever was committed since the fail-over is missing there, and what is committed there will be.
            (Some(known), Some(found)) if found.timeline < known.timeline => {
                let text = format!(
                    "an older timeline, such as a primary of before a fail-over has: expected timeline {} or later, found {}; \
                     restart the receiver if that is intended",
                    known.timeline, found.timeline
                );
                return Err(state.refuse(host, text));
            }
            (Some(known), Some(found)) if known.timeline != found.timeline => {
                tracing::info!(%host, timeline = found.timeline, was = known.timeline, "the database has failed over");
            }
            (None, Some(Cluster { identifier, timeline })) => {
                let version = server.version;
                tracing::info!(%host, version, system_identifier = %identifier, timeline, "connected to the database");
            }
            _ => {}
        }
        if let Some(cluster) = &server.cluster {
            state.cluster = Some(cluster.clone());
        }
        Ok(())
    }

    fn config(&self, host: &PostgresHost, password: Option<&[u8]>) -> Config {
        let mut config = Config::new();
        config.user(&self.address.user).dbname(&self.address.database);
        password.map(|password| config.password(password));
        match self.address.is_secured(host) {
            // The stream is secured already.
            true => config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct),
            false => config.ssl_mode(SslMode::Disable),
        };
        if self.address.tls.binds_channel {
            config.channel_binding(ChannelBinding::Require);
        }
        config
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the database has this ledger: a program of a later version may have changed its tables, or it may be another database.
async fn is_of(client: &ClientWrapper, expected: Uuid) -> Result<(), Unfit> {
    let found = client.query_opt(LEDGER, &[&VERSION]).await?;
    match found.map(|row| (row.try_get::<_, Uuid>(0), row.try_get(1))) {
        Some((Ok(id), Ok(is_newer))) if id == expected && !is_newer => Ok(()),
        Some((Ok(id), Ok(true))) if id == expected => Err(Unfit::Ever(
            "tables of a later version, found while this program runs; use the newer pylon-receiver".to_owned(),
        )),
        _ => Err(Unfit::Now("another ledger than before; restart the receiver if that is intended".to_owned())),
    }
}

/// The name of a session, as the server shows it: in ASCII, and not too long.
fn application(name: &str, used_for: Use, whence: &str) -> String {
    let name = format!("{name} {} {whence}", used_for.name());
    name.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).take(LONGEST_APPLICATION).collect()
}

/// What a server says that lets nobody in. The driver has no words of its own for a password that is missing.
fn refused(error: tokio_postgres::Error, tls: &PostgresTls) -> Unfit {
    if let Some(cause) = tls::cause(&error, tls) {
        return Unfit::Now(cause);
    }
    let source = std::error::Error::source(&error).map(ToString::to_string);
    match source.as_deref() {
        Some("password missing") => Unfit::Now(
            "expected a password, found none; set PGPASSWORD, or `ledger_password` in the configuration".to_owned(),
        ),
        _ => error.into(),
    }
}

impl Renewal for Connector {
    fn distrust(&self, place: usize, generation: u64) {
        let mut state = self.state();
        if state.first == place {
            state.first = (place + 1) % self.address.hosts.len();
        }
        drop(state);
        self.renew(generation);
    }

    fn renew(&self, generation: u64) {
        self.generation.send_if_modified(|current| {
            let is_news = *current == generation;
            *current += u64::from(is_news);
            is_news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_session_is_one_that_the_server_shows_unchanged() {
        assert_eq!(application("pylon", Use::Write, "host/1"), "pylon write host/1");
        assert_eq!(application("pylon", Use::Probe, "b\u{fc}cher\n/1"), "pylon probe b?cher?/1");
        let long = application("pylon", Use::Write, &"\u{fc}".repeat(100));
        assert_eq!(long, format!("pylon write {}", "?".repeat(LONGEST_APPLICATION - 12)));
    }
}
