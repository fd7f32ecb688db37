//! What the receiver itself lacked for an attempt: no failure of the destination.

use rustix::io::Errno;
use std::fmt;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What the receiver lacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// No file descriptor is free, in this process or in the system.
    Descriptors,
    /// The system gives no memory.
    Memory,
    /// No local port is free for another connection to the address.
    Ports,
    /// No further process may start.
    Processes,
}

impl Shortage {
    /// The shortage behind an error, if there is one.
    pub fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE | Errno::NFILE => Some(Self::Descriptors),
            Errno::NOMEM | Errno::NOBUFS => Some(Self::Memory),
            _ => None,
        }
    }

    /// The shortage behind a connection that could not be opened.
    pub fn of_connect(error: &io::Error, address: SocketAddr) -> Option<Self> {
        let is_port = Errno::from_io_error(error) == Some(Errno::ADDRNOTAVAIL) && has_way_to(address);
        if is_port { Some(Self::Ports) } else { Self::of(error) }
    }

    /// The shortage behind a program that could not be started.
    pub fn of_start(error: &io::Error) -> Option<Self> {
        if Errno::from_io_error(error) == Some(Errno::AGAIN) { Some(Self::Processes) } else { Self::of(error) }
    }

    /// The shortage at this moment: for errors that do not tell, such as those of the system's resolver.
    pub fn now() -> Option<Self> {
        File::open("/dev/null").err().and_then(|error| Self::of(&error))
    }
}

/// Whether the machine has an address of its own from which this one could be reached. Where it has none, as for an IPv6 address with
/// IPv6 switched off, the error is the same as for lack of a port. Nothing is sent.
fn has_way_to(address: SocketAddr) -> bool {
    let any: SocketAddr =
        if address.is_ipv6() { (Ipv6Addr::UNSPECIFIED, 0).into() } else { (Ipv4Addr::UNSPECIFIED, 0).into() };
    UdpSocket::bind(any).and_then(|socket| socket.connect(address)).is_ok()
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => {
                "no file descriptor is free: raise the limit (`LimitNOFILE`, `ulimit -n`), or lower `limits.connections` and `concurrency`"
            }
            Self::Memory => "the system gives no memory: give it more, or lower `limits.connections` and `concurrency`",
            Self::Ports => "no local port is free for another connection to there: lower `rate` or `concurrency`",
            Self::Processes => {
                "no further process may start: raise the limit (`TasksMax`, `ulimit -u`), or lower `concurrency`"
            }
        })
    }
}
