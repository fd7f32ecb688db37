//! The app that `make bench` has the receiver deliver to: answers every POST with 200, and prints what came when.
//!
//! Prints its address, then for each delivery the id in the body and the moment at which the body had come whole, in
//! nanoseconds of the machine's monotonic clock. Ends when its standard input does.
//!
//! Usage: sink [ADDRESS]      on loopback; a free port unless given

use rustix::time::{ClockId, clock_gettime};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// No body is longer, bytes.
const LONGEST_BODY: usize = 1 << 20;

fn main() -> io::Result<()> {
    let address = match std::env::args().nth(1) {
        Some(text) => text.parse().map_err(io::Error::other)?,
        None => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    };
    if !address.ip().is_loopback() {
        return Err(io::Error::other(format!("expected a loopback address, found {address}")));
    }
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A connection that breaks concerns nobody else; the receiver comes again.
            std::thread::spawn(move || converse(&stream));
        }
    });
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}

fn converse(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(length) = read_head(&mut reader)? {
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let now = clock_gettime(ClockId::Monotonic);
        let nanoseconds = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        println!("{} {nanoseconds}", id(&body).unwrap_or("-"));
    }
    Ok(())
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

/// The value of `issue_id`.
fn id(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    text.split_once("\"issue_id\": \"")?.1.split('"').next()
}
