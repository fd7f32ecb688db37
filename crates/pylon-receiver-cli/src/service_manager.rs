//! The service manager, such as systemd: sockets that it keeps open while the receiver restarts, and messages to it.
//!
//! Sockets come as [`sd_listen_fds(3)`] says, messages go as [`sd_notify(3)`] says. Without a service manager nothing happens.
//!
//! [`sd_listen_fds(3)`]: https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
//! [`sd_notify(3)`]: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html

use crate::fault::Fault;
use listenfd::ListenFd;
use pylon_receiver::InheritedSocket;
use rustix::net::sockopt::socket_acceptconn;
use sd_notify::NotifyState;

/// The variable with the names of the sockets, separated by colons.
const NAMES: &str = "LISTEN_FDNAMES";
/// The name of sockets for operators; all others are for webhooks.
const ADMIN: &str = "admin";
/// The descriptor of the first socket.
const FIRST: usize = 3;

/// Sockets that listen already.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub(crate) webhooks: Vec<InheritedSocket>,
    pub(crate) admin: Vec<InheritedSocket>,
}

/// Takes the sockets that are meant for this process.
///
/// # Errors
/// A descriptor is no socket that listens.
pub(crate) fn inherited() -> Result<Inherited, Fault> {
    let names = std::env::var(NAMES).unwrap_or_default();
    let mut names = names.split(':');
    let mut given = ListenFd::from_env();
    let mut inherited = Inherited::default();
    for index in 0..given.len() {
        let name = names.next().unwrap_or_default();
        let socket = taken(&mut given, index).ok_or_else(|| {
            let number = FIRST + index;
            Fault::failed(format!(
                "file descriptor {number} from the service manager: expected a TCP or Unix stream socket that listens, found \
                 another; use `ListenStream=` and `Accept=no` in the socket unit"
            ))
        })?;
        if name == ADMIN { &mut inherited.admin } else { &mut inherited.webhooks }.push(socket);
    }
    Ok(inherited)
}

fn taken(given: &mut ListenFd, index: usize) -> Option<InheritedSocket> {
    if let Ok(Some(listener)) = given.take_tcp_listener(index) {
        return socket_acceptconn(&listener).unwrap_or(false).then_some(InheritedSocket::Tcp(listener));
    }
    let listener = given.take_unix_listener(index).ok().flatten()?;
    socket_acceptconn(&listener).unwrap_or(false).then_some(InheritedSocket::Unix(listener))
}

/// Tells it that the receiver works, with a sentence for people.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// Tells it that the receiver reads its configuration.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager is not told of the reload: there is no clock"),
    }
}

/// Tells it that the receiver ends, with a sentence for people.
pub(crate) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

/// A text without line ends, each of which would begin another message.
fn one_line(text: &str) -> String {
    text.split(['\r', '\n']).collect::<Vec<_>>().join(" ")
}
