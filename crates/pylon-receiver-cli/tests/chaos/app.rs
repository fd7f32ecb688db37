//! The app behind the receiver: notes what arrives, and sometimes fails.

use crate::load;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// No body is longer, bytes.
const LONGEST_BODY: usize = 1 << 20;

/// An app that listens as long as the process runs.
#[derive(Debug)]
pub(crate) struct App {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// What has arrived.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// How often each id was answered with 200.
    pub(crate) taken: HashMap<String, u64>,
    /// How many deliveries were answered with 500.
    pub(crate) failed: u64,
    /// How many were left without an answer.
    pub(crate) hung_up: u64,
    /// Deliveries with another body than was sent.
    pub(crate) faults: Vec<String>,
}

impl App {
    /// Starts it.
    pub(crate) fn start(mut random: fastrand::Rng) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let to_fill = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, random) = (to_fill.clone(), random.fork());
                // The receiver is killed again and again: connections break, and that is no fault.
                std::thread::spawn(move || converse(&stream, &seen, random));
            }
        });
        Self { address, seen }
    }

    /// What has arrived until now.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().expect("nobody panics with it").clone()
    }
}

fn converse(stream: &TcpStream, seen: &Mutex<Seen>, mut random: fastrand::Rng) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(length) = read_head(&mut reader)? {
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        match random.u8(..100) {
            0..10 => {
                seen.lock().expect("nobody panics with it").failed += 1;
                writer.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")?;
            }
            10..15 => {
                seen.lock().expect("nobody panics with it").hung_up += 1;
                return Ok(());
            }
            _ => {
                take(&body, &mut seen.lock().expect("nobody panics with it"));
                writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            }
        }
    }
    Ok(())
}

fn take(body: &[u8], seen: &mut Seen) {
    match load::id_in(body) {
        Some(id) if load::body(id).as_bytes() == body => *seen.taken.entry(id.to_owned()).or_default() += 1,
        Some(id) => seen.faults.push(format!("{id}: expected the bytes that were sent, found others in a delivery")),
        None => seen.faults.push("expected an id in every delivery, found one without".into()),
    }
}

/// The length of the body that follows; none when the connection was closed.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<usize>> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().ok(),
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let length = length.filter(|&length| length <= LONGEST_BODY);
    length.map(Some).ok_or_else(|| io::Error::other("expected a content-length within the limit, found none"))
}
