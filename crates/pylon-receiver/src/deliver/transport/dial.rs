//! Which of a host's addresses takes the connection.
//!
//! An address that swallows packets fails only after minutes. The next address starts soon after ("Happy Eyeballs", RFC 8305).

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::sleep;

/// How long an address has before the next one starts as well.
const HEAD_START: Duration = Duration::from_millis(300);

/// The connection to the address that connects first. The families take turns, the family of the first address goes first. An
/// address starts 300 ms after the one before, or at once if an attempt fails.
///
/// # Errors
/// The last error, once every address has failed.
pub async fn dial<T, F: Future<Output = io::Result<T>>>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut waiting = by_turns(addresses);
    let mut connecting = FuturesUnordered::new();
    let mut last = io::ErrorKind::NotFound.into();
    loop {
        let next = waiting.next();
        let is_last = next.is_none();
        connecting.extend(next.map(&connect));
        let head_start = async { if is_last { pending().await } else { sleep(HEAD_START).await } };
        tokio::select! {
            biased;
            ended = connecting.next() => match ended {
                Some(Ok(connection)) => return Ok(connection),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = head_start => {}
        }
    }
}

/// The addresses, one of each family in turn.
fn by_turns(addresses: impl IntoIterator<Item = SocketAddr>) -> impl Iterator<Item = SocketAddr> {
    let mut addresses = addresses.into_iter().peekable();
    let first_is_ipv6 = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, other): (Vec<_>, Vec<_>) = addresses.partition(|address| address.is_ipv6() == first_is_ipv6);
    let (mut turn, mut after) = (first.into_iter(), other.into_iter());
    std::iter::from_fn(move || {
        let next = turn.next().or_else(|| after.next());
        std::mem::swap(&mut turn, &mut after);
        next
    })
}
