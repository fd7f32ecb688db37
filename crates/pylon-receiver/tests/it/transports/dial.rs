//! A host of several addresses, with a paused clock and no network.

use pylon_receiver::internals::dial;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// What an address does, by its port.
const CONNECTS: u16 = 1;
const REFUSES: u16 = 2;
const SWALLOWS: u16 = 3;
const CONNECTS_AFTER_A_SECOND: u16 = 4;
const REFUSES_AFTER_A_SECOND: u16 = 5;

/// The address that wins or the error, after how many milliseconds, and which addresses were tried, in order.
async fn dialed(addresses: &[&str]) -> (Result<String, ErrorKind>, u128, Vec<String>) {
    let addresses = addresses.iter().map(|address| address.parse::<SocketAddr>().unwrap());
    let tried = Mutex::new(Vec::new());
    let connect = async |address: SocketAddr| -> io::Result<String> {
        tried.lock().unwrap().push(address.to_string());
        let second = tokio::time::sleep(Duration::from_secs(1));
        match address.port() {
            CONNECTS => {}
            REFUSES => return Err(ErrorKind::ConnectionRefused.into()),
            CONNECTS_AFTER_A_SECOND => second.await,
            REFUSES_AFTER_A_SECOND => {
                second.await;
                return Err(ErrorKind::HostUnreachable.into());
            }
            SWALLOWS => std::future::pending().await,
            other => panic!("no port of this test: {other}"),
        }
        Ok(address.to_string())
    };
    let began = Instant::now();
    let outcome = tokio::time::timeout(Duration::from_secs(60), dial(addresses, connect)).await;
    let outcome = outcome.unwrap_or(Err(ErrorKind::TimedOut.into())).map_err(|error| error.kind());
    (outcome, began.elapsed().as_millis(), tried.into_inner().unwrap())
}

/// The addresses, the winner or the error, after how many milliseconds, and how many addresses were tried.
type Case = (&'static [&'static str], Result<&'static str, ErrorKind>, u128, usize);

#[tokio::test(start_paused = true)]
async fn the_first_address_to_connect_wins() {
    let cases: [Case; 10] = [
        (&["10.0.0.1:1", "10.0.0.2:1"], Ok("10.0.0.1:1"), 0, 1),
        (&["10.0.0.1:2", "10.0.0.2:1"], Ok("10.0.0.2:1"), 0, 2),
        (&["10.0.0.1:3", "10.0.0.2:1"], Ok("10.0.0.2:1"), 300, 2),
        (&["10.0.0.1:3", "10.0.0.2:3", "10.0.0.3:1"], Ok("10.0.0.3:1"), 600, 3),
        (&["10.0.0.1:3", "10.0.0.2:2", "10.0.0.3:1"], Ok("10.0.0.3:1"), 300, 3),
        // A slow address still wins where the later ones do not connect.
        (&["10.0.0.1:4", "10.0.0.2:3", "10.0.0.3:2"], Ok("10.0.0.1:4"), 1_000, 3),
        (&["10.0.0.1:2", "10.0.0.2:5"], Err(ErrorKind::HostUnreachable), 1_000, 2),
        (&["10.0.0.1:5", "10.0.0.2:2"], Err(ErrorKind::HostUnreachable), 1_000, 2),
        (&["10.0.0.1:3"], Err(ErrorKind::TimedOut), 60_000, 1),
        (&[], Err(ErrorKind::NotFound), 0, 0),
    ];
    for (addresses, expected, after, tried) in cases {
        let outcome = dialed(addresses).await;
        assert_eq!(outcome.0.as_deref().map_err(|&kind| kind), expected, "{addresses:?}");
        assert_eq!((outcome.1, outcome.2.len()), (after, tried), "{addresses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_families_take_turns() {
    let cases: [(&[&str], &[&str]); 3] = [
        (
            &["[::1]:2", "[::2]:2", "[::3]:2", "10.0.0.1:2", "10.0.0.2:2"],
            &["[::1]:2", "10.0.0.1:2", "[::2]:2", "10.0.0.2:2", "[::3]:2"],
        ),
        (&["10.0.0.1:2", "[::1]:2", "[::2]:2"], &["10.0.0.1:2", "[::1]:2", "[::2]:2"]),
        (&["10.0.0.1:2", "10.0.0.2:2"], &["10.0.0.1:2", "10.0.0.2:2"]),
    ];
    for (addresses, tried) in cases {
        assert_eq!(
            dialed(addresses).await,
            (Err(ErrorKind::ConnectionRefused), 0, tried.iter().map(|&address| address.to_owned()).collect())
        );
    }
}
