//! An HTTP server on loopback that keeps what is posted to it.

use super::protobuf::{self, Span};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone)]
pub(super) struct Posted {
    /// Request line and headers.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

pub(super) enum Answer {
    /// These, and the last of them from then on.
    Statuses(&'static [u16]),
    /// None: the connection stays open.
    Never,
}

pub(super) struct Collector {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<Posted>>>,
}

impl Collector {
    /// Its threads end with the process.
    pub(super) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Posted>>>::default();
        let (kept, answer) = (requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (kept.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &kept, &answer));
            }
        });
        Self { url, requests }
    }

    pub(super) fn requests(&self) -> Vec<Posted> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        self.requests().iter().flat_map(|posted| protobuf::spans(&posted.body)).collect()
    }
}

/// A URL at which nothing listens.
pub(super) fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn serve(stream: TcpStream, kept: &Mutex<Vec<Posted>>, answer: &Answer) {
    let mut lines = BufReader::new(&stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if lines.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if lines.read_exact(&mut body).is_err() {
            return;
        }
        let number = {
            let mut kept = kept.lock().unwrap();
            kept.push(Posted { head, body });
            kept.len()
        };
        if let Answer::Statuses(statuses) = answer {
            let status = statuses[number.min(statuses.len()) - 1];
            let _ = (&stream).write_all(format!("HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n").as_bytes());
        }
    }
}
