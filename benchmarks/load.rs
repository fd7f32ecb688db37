//! Loads one server on loopback: sends the same request again and again on connections that stay open.
//!
//! A closed loop: a connection sends its next request when the answer to its last has come whole. One thread, so that it can
//! be kept to one core. Prints one line of JSON; fails when an answer is not 200, or is not a whole answer of HTTP/1.1.
//!
//! Usage: load ADDRESS CONNECTIONS REQUESTS < REQUEST        REQUEST: head and body, as they are to be sent

use std::error::Error;
use std::future::poll_fn;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

const MOST_CONNECTIONS: usize = 1_000;
const MOST_REQUESTS: usize = 10_000_000;
/// No answer is longer, head and body, bytes.
const LONGEST_ANSWER: usize = 16 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, requests] = arguments.as_slice() else {
        return Err("usage: load ADDRESS CONNECTIONS REQUESTS < REQUEST".into());
    };
    let address: SocketAddr = address.parse()?;
    if !address.ip().is_loopback() {
        return Err(format!("{address} is not a loopback address").into());
    }
    let (connections, requests) = (connections.parse()?, requests.parse()?);
    if !(1..=MOST_CONNECTIONS).contains(&connections) || !(connections..=MOST_REQUESTS).contains(&requests) {
        return Err(format!(
            "connections must be 1 to {MOST_CONNECTIONS}, requests at least as many and at most {MOST_REQUESTS}"
        )
        .into());
    }
    let mut request = Vec::new();
    io::stdin().lock().read_to_end(&mut request)?;

    let mut open = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        open.push(stream);
    }
    let (request, left) = (Arc::<[u8]>::from(request), Arc::new(AtomicUsize::new(requests)));
    let begin = Instant::now();
    let tasks: Vec<_> =
        open.into_iter().map(|stream| tokio::spawn(converse(stream, request.clone(), left.clone()))).collect();
    let (mut times, mut not_200) = (Vec::with_capacity(requests), 0);
    for task in tasks {
        let talk = task.await??;
        times.extend(talk.times);
        not_200 += talk.not_200;
    }
    let seconds = begin.elapsed().as_secs_f64();
    times.sort_unstable();

    println!(
        "{{\"requests\": {}, \"seconds\": {seconds:.6}, \"per_second\": {:.1}, \"p50_microseconds\": {:.1}, \
         \"p99_microseconds\": {:.1}, \"not_200\": {not_200}}}",
        times.len(),
        times.len() as f64 / seconds,
        quantile(&times, 0.5),
        quantile(&times, 0.99),
    );
    Ok(if not_200 == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What one connection saw: how long each answer took, and how many were not 200.
struct Talk {
    times: Vec<Duration>,
    not_200: usize,
}

/// Sends requests while some are left.
async fn converse(mut stream: TcpStream, request: Arc<[u8]>, left: Arc<AtomicUsize>) -> io::Result<Talk> {
    let mut buffer = vec![0; LONGEST_ANSWER];
    let mut talk = Talk { times: Vec::new(), not_200: 0 };
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let sent = Instant::now();
        send(&mut stream, &request).await?;
        let status = receive(&mut stream, &mut buffer).await?;
        talk.times.push(sent.elapsed());
        talk.not_200 += usize::from(status != 200);
    }
    Ok(talk)
}

async fn send(stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, bytes)).await?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// The status of the next answer, once all of it has come.
async fn receive(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<u16> {
    let mut answer = ReadBuf::new(buffer);
    loop {
        let before = answer.filled().len();
        poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut answer)).await?;
        if answer.filled().len() == before {
            return Err(io::Error::other("the connection was closed, or the answer is too long"));
        }
        match read_head(answer.filled()).map_err(io::Error::other)? {
            Some((status, length)) if answer.filled().len() == length => return Ok(status),
            Some((_, length)) if answer.filled().len() > length => {
                return Err(io::Error::other("more came than one answer"));
            }
            _ => {}
        }
    }
}

/// Status of an answer and its length in bytes, head and body; `None` while the head is not whole.
fn read_head(bytes: &[u8]) -> Result<Option<(u16, usize)>, &'static str> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "the head of the answer is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .ok_or("the answer is not HTTP/1.1")?;
    let body: usize = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or("the answer does not say its content-length")?;
    Ok(Some((status, end + 4 + body)))
}

/// Of sorted times, in microseconds.
fn quantile(times: &[Duration], share: f64) -> f64 {
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6
}
