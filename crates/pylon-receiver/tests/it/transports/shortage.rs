//! What the receiver itself lacks, and what is a failure of the destination all the same.

use pylon_receiver::internals::Shortage::{self, *};
use rustix::io::Errno;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

#[test]
fn errors_of_the_system_are_told_apart() {
    let here: SocketAddr = ([127, 0, 0, 1], 9).into();
    // The error, and what it means anywhere, for a connection and for the start of a program.
    let cases = [
        (Errno::MFILE, Some(Descriptors), Some(Descriptors), Some(Descriptors)),
        (Errno::NFILE, Some(Descriptors), Some(Descriptors), Some(Descriptors)),
        (Errno::NOMEM, Some(Memory), Some(Memory), Some(Memory)),
        (Errno::NOBUFS, Some(Memory), Some(Memory), Some(Memory)),
        (Errno::ADDRNOTAVAIL, None, Some(Ports), None),
        (Errno::AGAIN, None, None, Some(Processes)),
        (Errno::CONNREFUSED, None, None, None),
        (Errno::NETUNREACH, None, None, None),
        (Errno::HOSTUNREACH, None, None, None),
        (Errno::TIMEDOUT, None, None, None),
        (Errno::ACCESS, None, None, None),
        (Errno::PERM, None, None, None),
        (Errno::NOENT, None, None, None),
        (Errno::TOOBIG, None, None, None),
        // The disk of a file is the destination's.
        (Errno::NOSPC, None, None, None),
        (Errno::DQUOT, None, None, None),
        (Errno::FBIG, None, None, None),
    ];
    for (error, anywhere, connecting, starting) in cases {
        let error = io::Error::from(error);
        assert_eq!(Shortage::of(&error), anywhere, "{error}");
        assert_eq!(Shortage::of_connect(&error, here), connecting, "{error}");
        assert_eq!(Shortage::of_start(&error), starting, "{error}");
    }
    let error = io::Error::other("as in a tunnel");
    assert_eq!(
        (Shortage::of(&error), Shortage::of_connect(&error, here), Shortage::of_start(&error)),
        (None, None, None)
    );
    assert_eq!(Shortage::now(), None);
}

/// As with IPv6 switched off: the machine has no address from which it could go there.
#[test]
fn an_address_that_nothing_leads_to_is_no_lack_of_ports() {
    let nowhere = SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 9, 0, u32::MAX);
    assert_eq!(Shortage::of_connect(&Errno::ADDRNOTAVAIL.into(), nowhere.into()), None);
}
