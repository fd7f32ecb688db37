//! A server that answers by script, byte for byte.

use crate::wait::within;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

/// What is done once a request has come in whole.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Answer, and wait for the next request on the connection.
    Answer(Vec<u8>),
    /// Answer, and close.
    AnswerAndClose(Vec<u8>),
    /// Answer, and then nothing more, with the connection open.
    AnswerAndHang(Vec<u8>),
}

/// An answer and the next request.
pub(super) fn answer(text: &str) -> Act {
    Act::Answer(text.replace('\n', "\r\n").into())
}

/// An answer and the end.
pub(super) fn answer_and_close(text: &str) -> Act {
    Act::AnswerAndClose(text.replace('\n', "\r\n").into())
}

/// An answer and silence.
pub(super) fn answer_and_hang(text: &str) -> Act {
    Act::AnswerAndHang(text.replace('\n', "\r\n").into())
}

/// A request as it came in.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) line: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The values of the headers of this name.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value.as_str()).collect()
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<Request>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves one act after the other, whatever the connection.
    pub(super) async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, requests) = mpsc::unbounded_channel();
        let connections = Arc::<AtomicUsize>::default();
        let acts = Arc::new(Mutex::new(acts.into_iter().collect::<Vec<_>>().into_iter()));
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (acts, tell) = (Arc::clone(&acts), tell.clone());
                tokio::spawn(async move {
                    let mut stream = stream;
                    while let Some(request) = read(&mut stream).await {
                        let _ = tell.send(request);
                        let act = acts.lock().await.next();
                        match act.expect("the script has an act for each request") {
                            Act::Answer(bytes) => stream.write_all(&bytes).await.unwrap(),
                            Act::AnswerAndClose(bytes) => return stream.write_all(&bytes).await.unwrap(),
                            Act::AnswerAndHang(bytes) => {
                                stream.write_all(&bytes).await.unwrap();
                                // Until the other side goes away.
                                let _ = stream.read(&mut [0]).await;
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests, connections, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?token=sesame", self.address)
    }

    pub(super) async fn request(&mut self) -> Request {
        within("a request comes in", self.requests.recv()).await.unwrap()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head: String = bytes[..head_end].iter().copied().map(char::from).collect();
    let (line, lines) = head.split_once("\r\n").unwrap_or((&head, ""));
    let headers: Vec<(String, String)> = lines
        .split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length =
        headers.iter().find(|(name, _)| name == "content-length").map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request { line: line.to_owned(), headers, body })
}
