//! A small HTTP/1.1 server on loopback that remembers its requests, and a client of one request. Both block.

use crate::wait::PATIENCE;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest body that the server reads, in bytes.
const LONGEST_BODY: usize = 64 << 20;

/// Headers, with names in lower case.
pub type Headers = Vec<(String, String)>;

fn header<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// When it arrived, in Unix seconds.
    pub at: u64,
}

impl Request {
    /// Reads a request whose body has a declared length; none if the connection ends before it is complete.
    pub fn read(stream: &mut impl BufRead) -> Option<Self> {
        let mut line = || {
            let mut text = String::new();
            (stream.read_line(&mut text).ok()? > 0).then(|| text.trim_end().to_owned())
        };
        let first = line()?;
        let mut words = first.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Headers::new();
        while let Some((name, value)) = line()?.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = header(&headers, "content-length").map_or(Some(0), |length| length.parse().ok())?;
        let mut body = vec![0; Some(length).filter(|&length| length <= LONGEST_BODY)?];
        stream.read_exact(&mut body).ok()?;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Some(Self { method, target, headers, body, at })
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The id of the event, in a delivery by the receiver.
    ///
    /// # Panics
    /// If it is no such request.
    #[track_caller]
    pub fn event_id(&self) -> String {
        self.header("x-receiver-event-id").expect("an event id").to_owned()
    }

    /// The number of the attempt, in a delivery by the receiver.
    ///
    /// # Panics
    /// If it is no such request.
    #[track_caller]
    pub fn attempt(&self) -> u32 {
        self.header("x-receiver-attempt").expect("an attempt").parse().unwrap()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What a server does with a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Answers with this status and body, and keeps the connection.
    Answer(u16, Vec<u8>),
    /// Sends nothing, and keeps the connection until the client goes away.
    Hang,
    /// Sends this text, and closes the connection.
    Close(&'static str),
}

impl Reply {
    /// The answer 200, without a body.
    pub const OK: Self = Self::status(200);

    /// An answer without a body.
    pub const fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new())
    }
}

/// A server, until the process ends.
#[derive(Debug)]
pub struct Server {
    /// The address.
    pub address: SocketAddr,
    /// The URL of the root, without a slash at its end.
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Listens on a free port, and replies as the function says; the function also gets the number of earlier requests.
    pub fn start(reply: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), reply)
    }

    /// The same, on this address.
    pub fn at(address: SocketAddr, reply: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let kept = requests.clone();
        let address = listen(address, move |request| {
            let number = {
                let mut kept = kept.lock().unwrap();
                kept.push(request.clone());
                kept.len() - 1
            };
            reply(&request, number)
        });
        Self { address, url: format!("http://{address}"), requests }
    }

    /// Answers every request with this status and body.
    pub fn answering(status: u16, body: impl ToString) -> Self {
        let body = body.to_string().into_bytes();
        Self::start(move |_, _| Reply::Answer(status, body.clone()))
    }

    /// The requests that have arrived.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Serves an address until the process ends, and keeps no requests. Returns the address, with its port.
pub fn listen(address: SocketAddr, reply: impl Fn(Request) -> Reply + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    let reply = Arc::new(reply);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let reply = reply.clone();
            std::thread::spawn(move || converse(&stream, &*reply));
        }
    });
    address
}

/// A URL at which nothing listens.
pub fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn converse(stream: &TcpStream, reply: &dyn Fn(Request) -> Reply) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = Request::read(&mut reader) {
        // A client may have gone, which ends the conversation with the next request.
        match reply(request) {
            Reply::Answer(status, body) => {
                let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = writer.write_all(&[head.as_bytes(), &body].concat());
            }
            Reply::Hang => {
                let _ = reader.read(&mut [0]);
                return;
            }
            Reply::Close(bytes) => {
                let _ = writer.write_all(bytes.as_bytes());
                return;
            }
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads an answer to the end of its connection; none if it is not complete.
    pub fn read(stream: &mut impl Read) -> Option<Self> {
        let mut bytes = Vec::new();
        // A connection that is reset after the answer has delivered the answer.
        let _ = stream.read_to_end(&mut bytes);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let pairs = lines.filter_map(|line| line.split_once(": "));
        let headers: Headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let body = bytes[end + 4..].to_vec();
        let length = header(&headers, "content-length").map(str::parse);
        length.is_none_or(|length| length == Ok(body.len())).then_some(Self { status, headers, body })
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The id of the event that the receiver accepted.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn id(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["id"].as_str().unwrap().to_owned()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends a request on a connection of its own; none if the connection is refused, or ends before the answer.
pub fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    Answer::read(&mut stream)
}
