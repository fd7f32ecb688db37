//! A proxy for TCP that a test can cut, or have swallow what passes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How often a connection looks what it is to do.
const LOOK: Duration = Duration::from_millis(10);

/// What the proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Passes everything on.
    Pass,
    /// Ends connections, new ones at once.
    Cut,
    /// Accepts, and passes nothing on, as a network does that has lost the way.
    Swallow,
}

/// A proxy in front of a server. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    way: Way,
    target: SocketAddr,
    is_gone: bool,
    /// Connections of an earlier round are cut.
    round: u64,
    accepted: u64,
}

impl Proxy {
    /// Passes connections on to this port of 127.0.0.1.
    ///
    /// # Panics
    /// If there is no port for it.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let target = (Ipv4Addr::LOCALHOST, port).into();
        let shared = Shared { way: Way::Pass, target, is_gone: false, round: 0, accepted: 0 };
        let shared = Arc::new(Mutex::new(shared));
        thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Self { port: own, shared }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections have come.
    pub fn accepted(&self) -> u64 {
        lock(&self.shared).accepted
    }

    /// What it does from now on.
    pub fn turn(&self, way: Way) {
        lock(&self.shared).way = way;
    }

    /// Ends the connections that there are; new ones are treated as before.
    pub fn cut_once(&self) {
        lock(&self.shared).round += 1;
    }

    /// Passes new connections on to another port of 127.0.0.1.
    pub fn point_to(&self, port: u16) {
        lock(&self.shared).target = (Ipv4Addr::LOCALHOST, port).into();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        lock(&self.shared).is_gone = true;
        // It waits for the next connection.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Mutex<Shared>>) {
    for stream in listener.incoming() {
        let (way, target, round) = {
            let mut shared = lock(shared);
            if shared.is_gone {
                return;
            }
            shared.accepted += 1;
            (shared.way, shared.target, shared.round)
        };
        let Ok(client) = stream else { continue };
        if way == Way::Cut {
            continue;
        }
        let Ok(server) = TcpStream::connect(target) else { continue };
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (from, to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), shared.clone());
            thread::spawn(move || copy(from, to, round, &shared));
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, round: u64, shared: &Mutex<Shared>) {
    from.set_read_timeout(Some(LOOK)).unwrap();
    let mut buffer = [0; 16 * 1024];
    loop {
        let (way, current, is_gone) = {
            let shared = lock(shared);
            (shared.way, shared.round, shared.is_gone)
        };
        if is_gone || way == Way::Cut || current != round {
            break;
        }
        if way == Way::Swallow {
            thread::sleep(LOOK);
            continue;
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) if to.write_all(&buffer[..read]).is_ok() => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
    // The other direction ends with it.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
