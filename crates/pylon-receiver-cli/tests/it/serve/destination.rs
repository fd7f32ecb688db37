//! An app behind the receiver: it answers as the test says, and remembers what arrived.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// An attempt that arrived.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// In Unix seconds.
    pub(super) at: u64,
}

impl Arrived {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(super) fn event_id(&self) -> String {
        self.header("x-receiver-event-id").expect("an event id").to_owned()
    }

    #[track_caller]
    pub(super) fn attempt(&self) -> u32 {
        self.header("x-receiver-attempt").expect("an attempt").parse().unwrap()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What an app does with an attempt.
pub(super) enum Reply {
    /// Answers with these bytes, and closes.
    Says(&'static str),
    /// Says nothing until the other side goes away.
    Hangs,
}

pub(super) const OK: Reply = Reply::Says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
pub(super) const FAILS: Reply = Reply::Says("HTTP/1.1 500 -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");

pub(super) struct Destination {
    pub(super) url: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Destination {
    /// Answers each attempt as the function says, which gets its number of all, from 0. Its threads end with the process.
    pub(super) fn start(reply: impl Fn(&Arrived, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), reply)
    }

    /// Takes everything.
    pub(super) fn well() -> Self {
        Self::start(|_, _| OK)
    }

    pub(super) fn at(address: SocketAddr, reply: impl Fn(&Arrived, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let arrived = Arc::<Mutex<Vec<Arrived>>>::default();
        let (kept, reply) = (arrived.clone(), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, reply) = (kept.clone(), reply.clone());
                std::thread::spawn(move || serve(stream, &kept, &*reply));
            }
        });
        Self { url, arrived }
    }

    /// An address at which nothing listens, and nobody else will: others use `127.0.0.1`.
    pub(super) fn nowhere() -> SocketAddr {
        TcpListener::bind("127.83.7.1:0").unwrap().local_addr().unwrap()
    }

    pub(super) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// The attempts of an event that have arrived, by their numbers.
    pub(super) fn attempts_of(&self, event: &str) -> Vec<u32> {
        self.arrived().iter().filter(|arrived| arrived.event_id() == event).map(Arrived::attempt).collect()
    }
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Arrived>>, reply: &dyn Fn(&Arrived, usize) -> Reply) {
    let Some(arrived) = read(&stream) else { return };
    let number = {
        let mut kept = kept.lock().unwrap();
        kept.push(arrived.clone());
        kept.len() - 1
    };
    match reply(&arrived, number) {
        Reply::Says(bytes) => _ = (&stream).write_all(bytes.as_bytes()),
        Reply::Hangs => _ = (&stream).read(&mut [0]),
    }
}

fn read(stream: &TcpStream) -> Option<Arrived> {
    let mut lines = BufReader::new(stream);
    let mut line = || {
        let mut text = String::new();
        lines.read_line(&mut text).ok()?;
        Some(text.trim_end().to_owned())
    };
    line()?;
    let mut headers = Vec::new();
    while let Some((name, value)) = line()?.split_once(": ") {
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut arrived = Arrived { headers, body: Vec::new(), at };
    arrived.body = vec![0; arrived.header("content-length")?.parse().unwrap()];
    lines.read_exact(&mut arrived.body).ok()?;
    Some(arrived)
}
