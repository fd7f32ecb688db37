//! A cluster: its folder, its settings, its databases.

use super::installation::Installation;
use super::server::{BOUND, Server, Stop};
use super::setup::Setup;
use crate::folder::{Folder, give};
use crate::wait::eventually;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

/// The superuser of every cluster.
const SUPERUSER: &str = "postgres";
/// The port of a cluster without TCP, a part of the name of its socket.
const USUAL_PORT: u16 = 5432;

/// A cluster at work. It stops, and its folder goes, when it is dropped or the process has ended.
#[derive(Debug)]
pub struct Cluster {
    pub(super) installation: Installation,
    pub(super) setup: Setup,
    // The server goes before the folder, since fields are dropped in order.
    server: Mutex<Option<Server>>,
    folder: Folder,
    port: u16,
    pub(super) password: String,
    pub(super) settings: Mutex<BTreeMap<String, String>>,
}

impl Setup {
    /// Starts it; none where PostgreSQL is missing, which is said.
    ///
    /// # Panics
    /// If it does not start, or PostgreSQL is missing and demanded.
    #[track_caller]
    pub fn start(self) -> Option<Cluster> {
        Installation::find().map(|installation| Cluster::new(installation, self))
    }
}

impl Cluster {
    /// The one that all tests of this process share; none where PostgreSQL is missing, which is said.
    ///
    /// # Panics
    /// If it does not start, or PostgreSQL is missing and demanded.
    #[track_caller]
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// One for a single test; none where PostgreSQL is missing, which is said.
    ///
    /// # Panics
    /// If it does not start, or PostgreSQL is missing and demanded.
    #[track_caller]
    pub fn start() -> Option<Self> {
        Self::setup().start()
    }

    /// One that syncs to disk as a server in production does; none where PostgreSQL is missing, which is said.
    ///
    /// # Panics
    /// If it does not start, or PostgreSQL is missing and demanded.
    #[track_caller]
    pub fn durable() -> Option<Self> {
        Self::setup().durable().start()
    }

    /// What a cluster is to be like.
    pub fn setup() -> Setup {
        Setup::default()
    }

    /// Makes the data and starts.
    #[track_caller]
    pub(super) fn new(installation: Installation, setup: Setup) -> Self {
        let cluster = Self::in_new_folder(installation, setup, random());
        let password = cluster.write("password", &cluster.password);
        let initdb = cluster.installation.program("initdb").argument("-D").argument(cluster.data_folder());
        // Texts sort by language here unless SQL says otherwise, as in most clusters of others.
        initdb
            .arguments(["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C"])
            .arguments(["--locale-provider=icu", "--icu-locale=und", "--username", SUPERUSER])
            .arguments(["--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile"])
            .argument(password)
            .run("", BOUND)
            .unwrap_or_else(|error| panic!("{error}"));
        cluster.write("data/postgresql.conf", "include '../settings.conf'\n");
        cluster.write_settings();
        *cluster.server() = Some(cluster.boot());
        cluster
    }

    /// A cluster without data, whose server has not started.
    #[track_caller]
    pub(super) fn in_new_folder(installation: Installation, setup: Setup, password: String) -> Self {
        let folder = Folder::new("pylon-pg-", installation.user.as_ref());
        let port = if setup.has_tcp { free_port() } else { USUAL_PORT };
        let mut settings = BTreeMap::new();
        let mut set = |name: &str, value: &str| _ = settings.insert(name.to_owned(), value.to_owned());
        set("unix_socket_directories", &folder.path().to_string_lossy());
        set("port", &port.to_string());
        set("listen_addresses", if setup.has_tcp { "127.0.0.1" } else { "" });
        // The tests of a process run side by side, each with pools of its own.
        set("max_connections", "400");
        set("jit", "off");
        // A standby that was away finds what it has missed.
        set("wal_keep_size", "256MB");
        if !setup.is_durable {
            set("fsync", "off");
            set("full_page_writes", "off");
        }
        for (name, value) in &setup.settings {
            set(name, value);
        }
        let settings = Mutex::new(settings);
        Self { installation, setup, server: Mutex::default(), folder, port, password, settings }
    }

    #[track_caller]
    pub(super) fn boot(&self) -> Server {
        Server::start(&self.installation, &self.data_folder(), &self.folder.path().join("log"))
    }

    pub(super) fn server(&self) -> MutexGuard<'_, Option<Server>> {
        // A test that has failed holds nothing back from the others.
        self.server.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The folder of its Unix socket, below 100 bytes long. Only the user of the server and root can reach it.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of PostgreSQL's programs, which every user can reach.
    pub fn programs(&self) -> &Path {
        self.installation.folder()
    }

    /// Its data.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its port on 127.0.0.1, if it has TCP; in any case a part of the name of its socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's password. The socket asks for none.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// The URL of a database, for the superuser by the socket.
    pub fn url(&self, database: &str) -> String {
        self.url_as(SUPERUSER, database)
    }

    /// The URL of a database, for this role by the socket.
    pub fn url_as(&self, role: &str, database: &str) -> String {
        let mut url = format!("postgres://{role}@/{database}?host={}", self.folder.path().display());
        if self.port != USUAL_PORT {
            let _ = write!(url, "&port={}", self.port);
        }
        url
    }

    /// The URL of a database, for the superuser by TCP, with the password.
    ///
    /// # Panics
    /// If it was set up without TCP.
    #[track_caller]
    pub fn tcp_url(&self, database: &str) -> String {
        assert!(self.setup.has_tcp, "this cluster was set up without TCP: Cluster::setup().tcp().start()");
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Makes a database that nobody else uses. Returns its name.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn fresh_database(&self) -> String {
        self.fresh_database_from("template1")
    }

    /// Makes a copy of a database to which nobody is connected. Returns its name.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn fresh_database_from(&self, template: &str) -> String {
        static MADE: AtomicUsize = AtomicUsize::new(1);
        let name = format!("fresh_{}", MADE.fetch_add(1, Ordering::Relaxed));
        self.sql(SUPERUSER, &format!("CREATE DATABASE {name} TEMPLATE {template}"));
        name
    }

    /// Drops a database, and ends its sessions.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn drop_database(&self, name: &str) {
        self.sql(SUPERUSER, &format!("DROP DATABASE {name} WITH (FORCE)"));
    }

    /// Runs SQL as the superuser. Returns what it selects: a line a row, columns parted by `|`, without the last line end.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn sql(&self, database: &str, text: &str) -> String {
        self.psql(&self.url(database), text).unwrap_or_else(|error| panic!("{error}; the SQL is:\n{text}"))
    }

    /// Runs SQL by this URL. Returns what it selects: a line a row, columns parted by `|`, without the last line end.
    ///
    /// # Errors
    /// What psql says.
    pub fn psql(&self, url: &str, text: &str) -> Result<String, String> {
        let psql = self.installation.own_program("psql").arguments(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url]);
        let output = psql.run(text, BOUND)?;
        Ok(output.strip_suffix('\n').unwrap_or(&output).to_owned())
    }

    /// Writes a file that only the server and root can read. Returns its path.
    ///
    /// The name counts from the folder that also holds the socket and, as `data`, the data.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        // Complete at every moment, since the server may read it.
        let new = path.with_extension("new");
        let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&new).unwrap();
        std::io::Write::write_all(&mut file, contents.as_ref()).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
        if let Some(user) = &self.installation.user {
            give(&new, user);
        }
        std::fs::rename(&new, &path).unwrap();
        path
    }

    /// Sets what `postgresql.conf` sets, and waits until it holds; some settings hold from the next [`Cluster::restart`].
    ///
    /// # Panics
    /// If the server takes a setting for an error, or does not read it in time.
    #[track_caller]
    pub fn conf<'s>(&self, settings: impl IntoIterator<Item = (&'s str, &'s str)>) {
        let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.settings.lock().unwrap().extend(settings);
        self.write_settings();
        self.reload();
        if self.server().is_some() {
            let faults = "SELECT f.name || ': ' || f.error FROM pg_file_settings f LEFT JOIN pg_settings s USING (name) \
                WHERE f.error IS NOT NULL AND NOT coalesce(s.pending_restart, false)";
            let faults = self.sql(SUPERUSER, faults);
            assert!(faults.is_empty(), "PostgreSQL does not take the settings: {faults}");
        }
    }

    /// Puts lines before all others of `pg_hba.conf`, and waits until they hold.
    ///
    /// # Panics
    /// If the server takes a line for an error, or does not read it in time.
    #[track_caller]
    pub fn hba(&self, lines: &str) {
        let earlier = std::fs::read_to_string(self.data_folder().join("pg_hba.conf")).unwrap();
        self.write("data/pg_hba.conf", format!("{}\n{earlier}", lines.trim_end()));
        self.reload();
        if self.server().is_some() {
            let faults =
                self.sql(SUPERUSER, "SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL");
            assert!(faults.is_empty(), "PostgreSQL does not take the lines of pg_hba.conf: {faults}");
        }
    }

    /// Has the server read its settings again, and waits for that.
    #[track_caller]
    fn reload(&self) {
        if self.server().is_none() {
            return;
        }
        let loaded = || self.sql(SUPERUSER, "SELECT pg_conf_load_time()");
        let earlier = loaded();
        if let Some(server) = &mut *self.server() {
            server.reload();
        }
        eventually("PostgreSQL reads its settings again", || (loaded() != earlier).then_some(()));
    }

    #[track_caller]
    pub(super) fn write_settings(&self) {
        let mut text = String::new();
        for (name, value) in &*self.settings.lock().unwrap() {
            let _ = writeln!(text, "{name} = '{}'", value.replace('\\', "\\\\").replace('\'', "''"));
        }
        self.write("settings.conf", text);
    }

    /// Stops the server; nothing happens if it does not run.
    ///
    /// # Panics
    /// If it has not stopped in time.
    #[track_caller]
    pub fn stop(&self, how: Stop) {
        if let Some(server) = self.server().take() {
            server.stop(how);
        }
    }

    /// Starts the server with its data, after stopping it ([`Stop::Fast`]) if it runs.
    ///
    /// # Panics
    /// If it does not start in time.
    #[track_caller]
    pub fn restart(&self) {
        let mut server = self.server();
        if let Some(server) = server.take() {
            server.stop(Stop::Fast);
        }
        *server = Some(self.boot());
    }

    /// Stops the time of the server and its sessions: connections stay open, and nothing is answered, until [`Cluster::thaw`].
    ///
    /// # Panics
    /// If a process does not stop in time.
    #[track_caller]
    pub fn freeze(&self) {
        if let Some(server) = &mut *self.server() {
            server.freeze();
        }
    }

    /// Lets the time of a frozen server go on.
    pub fn thaw(&self) {
        if let Some(server) = &mut *self.server() {
            server.thaw();
        }
    }

    /// The process id of the server.
    ///
    /// # Panics
    /// If it does not run.
    #[track_caller]
    pub fn id(&self) -> u32 {
        self.server().as_ref().expect("the server runs").id()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop(Stop::Immediate);
    }
}

fn random() -> String {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    format!("{:032x}", u128::from_ne_bytes(bytes))
}

/// A port below those that Linux gives away by itself, so that nobody gets it while the server is stopped.
fn free_port() -> u16 {
    let ports = (0..).map(|_| 12_000 + u16::from_str_radix(&random()[..4], 16).unwrap() % 20_000);
    ports.take(1000).find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).expect("a port is free")
}
