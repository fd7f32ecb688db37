//! A proxy between a ledger and its PostgreSQL: it loses or holds up the commits that a test names.

use pylon_test_support::postgres::Cluster;
use pylon_test_support::wait::PATIENCE;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// The name of its socket.
const SOCKET: &str = ".s.PGSQL.5432";

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// The connection is cut before the server hears of it.
    Cut,
    /// The server commits, and the connection is cut in the middle of its answer.
    AnswerCut,
    /// The server commits, and the connection is cut once its answer is through.
    CutAfterwards,
    /// The server commits, and nothing comes back; the connection stays open.
    Silence,
    /// The client's connection is cut, and the server hears of the commit when the test says so.
    Late,
    /// The server hears of it when the test says so; the connection stays open.
    Held,
}

/// A proxy. It ends when it is dropped.
pub(crate) struct Proxy {
    folder: TempDir,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    server: PathBuf,
    /// What becomes of the next commit.
    next: Mutex<Option<Commit>>,
    /// How many commits have met what was meant for them.
    met: watch::Sender<u64>,
    /// Lets a late or held commit go on.
    let_go: Notify,
    /// How many late commits the server has heard of, and answered.
    arrived: watch::Sender<u64>,
    /// How many answers may pass; none: all.
    answers: watch::Sender<Option<u64>>,
    /// Grows when the connections that there are end.
    cuts: watch::Sender<u64>,
    /// Whether what other sessions notify of is kept back.
    is_mute: AtomicBool,
    /// How many statements were prepared.
    prepared: AtomicU64,
    /// What the server told beside its answers.
    notices: Mutex<Vec<String>>,
}

impl Proxy {
    /// A proxy to a server.
    pub(crate) fn to(cluster: &Cluster) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let shared = Arc::new(Shared {
            server: cluster.socket_folder().join(format!(".s.PGSQL.{}", cluster.port())),
            next: Mutex::default(),
            met: watch::Sender::new(0),
            let_go: Notify::new(),
            arrived: watch::Sender::new(0),
            answers: watch::Sender::new(None),
            cuts: watch::Sender::new(0),
            is_mute: AtomicBool::new(false),
            prepared: AtomicU64::new(0),
            notices: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, shared.clone()));
        Self { folder, shared, _tasks: tasks }
    }

    /// The URL of a database behind it.
    pub(crate) fn url_as(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@/{database}?host={}", self.folder.path().display())
    }

    /// This becomes of the next commit, whichever connection it comes on.
    pub(crate) fn next_commit(&self, commit: Commit) {
        assert_eq!(self.shared.next.lock().unwrap().replace(commit), None, "the one before has come");
    }

    /// Waits until this many commits have met what was meant for them.
    pub(crate) async fn has_met(&self, count: u64) {
        wait_for(&self.shared.met, count, "the commit comes").await;
    }

    /// Lets a late or held commit go on.
    pub(crate) fn let_go(&self) {
        self.shared.let_go.notify_one();
    }

    /// Waits until the server has answered this many late commits.
    pub(crate) async fn has_arrived(&self, count: u64) {
        wait_for(&self.shared.arrived, count, "the late commit is done").await;
    }

    /// From now on so many answers pass, one for each message that was sent for itself; none: all.
    pub(crate) fn pass_answers(&self, answers: Option<u64>) {
        self.shared.answers.send_replace(answers);
    }

    /// Whether none of the answers that may pass are left.
    pub(crate) fn has_passed_answers(&self) -> bool {
        *self.shared.answers.borrow() == Some(0)
    }

    /// Ends the connections that there are.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Keeps back what other sessions notify of, or passes it on again.
    pub(crate) fn mute(&self, is_mute: bool) {
        self.shared.is_mute.store(is_mute, Ordering::SeqCst);
    }

    /// How many statements were prepared by now.
    pub(crate) fn prepared(&self) -> u64 {
        self.shared.prepared.load(Ordering::SeqCst)
    }

    /// What the server told beside its answers since the last call.
    pub(crate) fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.notices.lock().unwrap())
    }
}

async fn wait_for(counter: &watch::Sender<u64>, count: u64, what: &str) {
    let mut counter = counter.subscribe();
    let reached = tokio::time::timeout(PATIENCE, counter.wait_for(|reached| *reached >= count)).await;
    drop(reached.unwrap_or_else(|_| panic!("not in time: {what}")).unwrap());
}

async fn serve(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connect(client, shared.clone()));
    }
}

async fn connect(mut client: UnixStream, shared: Arc<Shared>) {
    let Ok(mut server) = UnixStream::connect(&shared.server).await else { return };
    let on_its_way = Mutex::new(None);
    let mut cuts = shared.cuts.subscribe();
    let late = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        // Whichever ends first ends both.
        tokio::select! {
            late = up(from_client, to_server, &shared, &on_its_way) => late,
            () = down(from_server, to_client, &shared, &on_its_way) => None,
            _ = cuts.changed() => None,
        }
    };
    drop(client);
    if let Some(commit) = late {
        shared.let_go.notified().await;
        let _ = server.write_all(&commit).await;
        let _ = server.shutdown().await;
        let _ = server.read_to_end(&mut Vec::new()).await;
        shared.arrived.send_modify(|arrived| *arrived += 1);
    }
}

/// Passes on what the client says, to the end of its connection. Returns a commit that is late.
async fn up(
    mut client: impl AsyncRead + Unpin,
    mut server: impl AsyncWrite + Unpin,
    shared: &Shared,
    on_its_way: &Mutex<Option<Commit>>,
) -> Option<Vec<u8>> {
    // The first message has no kind.
    let first = message(&mut client, false).await?;
    server.write_all(&first).await.ok()?;
    loop {
        let message = message(&mut client, true).await?;
        shared.prepared.fetch_add(u64::from(message[0] == b'P'), Ordering::SeqCst);
        let is_commit = message[0] == b'Q' && message.ends_with(b"COMMIT\0");
        let meant = if is_commit { shared.next.lock().unwrap().take() } else { None };
        if meant.is_some() {
            shared.met.send_modify(|met| *met += 1);
        }
        match meant {
            Some(Commit::Cut) => return None,
            Some(Commit::Late) => return Some(message),
            Some(Commit::Held) => shared.let_go.notified().await,
            Some(answer) => *on_its_way.lock().unwrap() = Some(answer),
            None => {}
        }
        server.write_all(&message).await.ok()?;
    }
}

/// Passes on what the server says, to the end of its connection or of the time for the client to have it.
async fn down(
    mut server: impl AsyncRead + Unpin,
    mut client: impl AsyncWrite + Unpin,
    shared: &Shared,
    on_its_way: &Mutex<Option<Commit>>,
) {
    let mut has_committed = false;
    while let Some(message) = message(&mut server, true).await {
        if message[0] == b'N' {
            shared.notices.lock().unwrap().push(notice(&message));
        }
        if message[0] == b'A' && shared.is_mute.load(Ordering::SeqCst) {
            continue;
        }
        let mut answers = shared.answers.subscribe();
        let Ok(_) = answers.wait_for(|answers| *answers != Some(0)).await else { return };
        if message[0] == b'Z' {
            shared.answers.send_if_modified(|answers| answers.as_mut().map(|answers| *answers -= 1).is_some());
        }
        // The answers to earlier commits are through, or their next one would not be on its way.
        let meant = *on_its_way.lock().unwrap();
        has_committed |= meant.is_some() && message[0] == b'C' && message.ends_with(b"COMMIT\0");
        let meant = meant.filter(|_| has_committed);
        match (meant, message[0]) {
            (Some(Commit::AnswerCut), _) => {
                let _ = client.write_all(&message[..message.len() / 2]).await;
                return;
            }
            (Some(Commit::Silence), _) => continue,
            _ => {}
        }
        if client.write_all(&message).await.is_err() || meant.is_some() && message[0] == b'Z' {
            return;
        }
    }
}

/// The next message, whole; none at the end.
async fn message(from: &mut (impl AsyncRead + Unpin), has_kind: bool) -> Option<Vec<u8>> {
    let mut message = vec![0; if has_kind { 5 } else { 4 }];
    from.read_exact(&mut message).await.ok()?;
    let (_, length) = message.split_last_chunk::<4>()?;
    let rest = u32::from_be_bytes(*length) as usize - 4;
    let head = message.len();
    message.resize(head + rest, 0);
    from.read_exact(&mut message[head..]).await.ok()?;
    Some(message)
}

/// The text of a notice.
fn notice(message: &[u8]) -> String {
    let fields = message[5..].split(|byte| *byte == 0);
    let text = fields.filter_map(|field| field.strip_prefix(b"M")).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
