//! Sends what is planned: one thread, one epoll, many connections.

use crate::answer::Answer;
use crate::plan::{Acknowledged, Plan, Seen};
use crate::request::Requests;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// No answer for so long, and the server is taken to be stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// A request that starts later than this after it was due counts as a late start.
const LATE: Duration = Duration::from_millis(1);
/// No answer is longer, head and body, bytes.
const LONGEST_ANSWER: usize = 16 * 1024;

/// Sends everything, and waits for the answers.
pub(crate) fn drive(plan: &Plan, requests: &Requests) -> Result<Seen, Box<dyn Error>> {
    // Else the kernel may wake this thread 50 microseconds late, which would be told as the server's.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections = Vec::with_capacity(plan.connections);
    for at in 0..plan.connections {
        connections.push(Connection::open(plan.address(at), &epoll, at)?);
    }
    let mut idle: VecDeque<usize> = (0..plan.connections).collect();
    let mut events = Vec::with_capacity(plan.connections);
    let mut piece = vec![0; LONGEST_ANSWER];
    let mut seen = Seen::default();
    let begin = Begin { instant: Instant::now(), monotonic: monotonic() };
    loop {
        let next_due = loop {
            let elapsed = begin.instant.elapsed();
            let Some(due) = plan.due(seen.sent, elapsed) else { break None };
            if due > elapsed {
                break Some(due - elapsed);
            }
            let Some(at) = idle.pop_front() else { break None };
            let flight = Flight { number: seen.sent as u64, due, sent: elapsed };
            let request = &mut connections[at].request;
            requests.write(flight.number, request);
            if connections[at].send(flight).is_err() {
                // The server has closed a connection on which nothing was under way; it saw nothing of the request.
                connections[at].reopen(plan.address(at), &epoll, at)?;
                seen.reconnected += 1;
                connections[at].send(flight)?;
            }
            seen.sent += 1;
            seen.late_starts += usize::from(elapsed - due > LATE);
        };
        if next_due.is_none() && idle.len() == connections.len() {
            break;
        }
        // With nothing under way and nothing due for long, silence is no fault.
        wait(&epoll, &mut events, next_due.unwrap_or(PATIENCE))?;
        if events.is_empty() && next_due.is_none() {
            return Err(format!("no answer for {PATIENCE:?}").into());
        }
        for event in events.drain(..) {
            let at = event.data.u64() as usize;
            let connection = &mut connections[at];
            let was_busy = connection.flight.is_some();
            let goes_on = connection.receive(&mut piece, &begin, plan.keeps_ids, &mut seen)?;
            if !goes_on {
                connection.reopen(plan.address(at), &epoll, at)?;
                seen.reconnected += 1;
            }
            if was_busy && connection.flight.is_none() {
                idle.push_back(at);
            }
        }
    }
    seen.elapsed = begin.instant.elapsed();
    seen.not_sent = plan.not_sent(seen.sent);
    Ok(seen)
}

/// The beginning, by both clocks.
struct Begin {
    instant: Instant,
    /// Nanoseconds.
    monotonic: u64,
}

/// A request under way; both times are from the beginning.
#[derive(Debug, Clone, Copy)]
struct Flight {
    number: u64,
    due: Duration,
    sent: Duration,
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    received: Vec<u8>,
    flight: Option<Flight>,
}

impl Connection {
    fn open(to: SocketAddr, epoll: &OwnedFd, at: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(epoll, &stream, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
        Ok(Self { stream, request: Vec::new(), received: Vec::new(), flight: None })
    }

    /// Closing the old stream takes it out of the epoll.
    fn reopen(&mut self, to: SocketAddr, epoll: &OwnedFd, at: usize) -> io::Result<()> {
        self.stream = Self::open(to, epoll, at)?.stream;
        self.received.clear();
        self.flight = None;
        Ok(())
    }

    /// A socket with nothing under way takes a whole request, which is far smaller than its buffer.
    fn send(&mut self, flight: Flight) -> io::Result<()> {
        self.stream.write_all(&self.request)?;
        self.flight = Some(flight);
        Ok(())
    }

    /// Takes what has come; says whether the connection can be used further.
    fn receive(
        &mut self,
        piece: &mut [u8],
        begin: &Begin,
        keeps_ids: bool,
        seen: &mut Seen,
    ) -> Result<bool, Box<dyn Error>> {
        let length = match self.stream.read(piece) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(true),
            Err(_) => 0,
        };
        if length == 0 {
            seen.broken += usize::from(self.flight.is_some());
            return Ok(false);
        }
        self.received.extend_from_slice(&piece[..length]);
        if self.received.len() > LONGEST_ANSWER {
            return Err(format!("an answer is longer than {LONGEST_ANSWER} bytes").into());
        }
        let Some(answer) = Answer::read(&self.received)? else { return Ok(true) };
        let flight = self.flight.take().ok_or("an answer came to no request")?;
        let now = begin.instant.elapsed();
        seen.from_due.push((now - flight.due).as_nanos() as u64);
        seen.from_sending.push((now - flight.sent).as_nanos() as u64);
        *seen.statuses.entry(answer.status).or_default() += 1;
        if keeps_ids && answer.status == 200 {
            seen.acknowledged.push(Acknowledged {
                number: flight.number,
                event: answer.event().map(Into::into),
                sent: begin.monotonic + flight.sent.as_nanos() as u64,
                answered: begin.monotonic + now.as_nanos() as u64,
            });
        }
        let goes_on = !answer.closes;
        self.received.clear();
        Ok(goes_on)
    }
}

fn wait(epoll: &OwnedFd, events: &mut Vec<epoll::Event>, longest: Duration) -> io::Result<()> {
    let timeout = Timespec::try_from(longest).map_err(io::Error::other)?;
    match epoll::wait(epoll, spare_capacity(events), Some(&timeout)) {
        Err(rustix::io::Errno::INTR) => Ok(()),
        waited => Ok(waited.map(|_| ())?),
    }
}

/// Nanoseconds of the clock that every process on the machine shares.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
