//! Senders that are slow, or dead.

use super::*;
use rustix::process::{Resource, Rlimit, prlimit};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

#[test]
fn senders_that_say_nothing_hold_nobody_up_for_longer_than_they_may() {
    let scene = Scene::new("[limits]\nconnections = 4\nheader_timeout = \"300ms\"\nbody_timeout = \"300ms\"\n");
    let running = scene.start();
    let mut held: Vec<_> = (0..4).map(|_| TcpStream::connect(running.webhooks).unwrap()).collect();
    // One says nothing, one half a head, one no body, one all but the end of a body.
    for (stream, said) in held.iter_mut().zip([
        "",
        "POST /web",
        "POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
        "POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ]) {
        stream.write_all(said.as_bytes()).unwrap();
    }
    // It waits in the queue of the operating system until there is a place.
    running.webhook(&body(1)).id();
    for mut stream in held {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert_eq!(running.unmet(), [""; 0]);
    assert_eq!(scene.kept().len(), 1);
}

/// A connection from the address of loopback with this number.
async fn connect_from(number: u8, address: SocketAddr) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, number), 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

/// A receiver that may have this many files open.
fn with_descriptors(scene: &Scene, soft: u32, hard: u32) -> Running {
    let by = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$@\"");
    Running::start(scene.serve_by(&["sh", "-c", &by, "sh"]))
}

#[test]
fn the_soft_limit_on_files_is_raised_to_what_is_needed_and_allowed() {
    // The connections, the limits before, and the least and the greatest soft limit after.
    for (connections, soft, hard, range) in [
        (300, 64, 20_000, 400..=600),
        (300, 64, 430, 430..=430),
        (300, 15_000, 20_000, 15_000..=15_000),
        (2000, 1024, 20_000, 2100..=2300),
    ] {
        let scene = Scene::new(&format!("[limits]\nconnections = {connections}\n"));
        let running = with_descriptors(&scene, soft, hard);
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.pid())).unwrap();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let after: Vec<u32> = files.split_whitespace().skip(3).take(2).map(|limit| limit.parse().unwrap()).collect();
        assert!(range.contains(&after[0]) && after[1] == hard, "{connections} {soft} {hard}: {after:?}");
        assert!(!running.log().contains("is lowered"), "{}", running.log());
    }
}

#[test]
fn many_attempts_leave_senders_their_connections() {
    let destination = Destination::well();
    let further = "concurrency = 1000\n[limits]\nconnections = 1024\n";
    let scene = Scene::new(&app(&destination.url, "").replace(HASTE, further));
    let running = with_descriptors(&scene, 200, 200);
    running.logs(&["WARN", "`limits.connections` is lowered from 1024 to ", "the process may have 200 files open"]);
    let lowered = running.log().split("is lowered from 1024 to ").nth(1).unwrap().split(':').next().unwrap().to_owned();
    assert!((40..100).contains(&lowered.parse().unwrap()), "{lowered}");
    let id = running.webhook(&body(1)).id();
    assert_eq!(running.ended(&id), ["delivered"]);
}

#[test]
fn more_connections_than_files_leave_room_for_the_rest() {
    let destination = Destination::well();
    let further = "concurrency = 20\n[limits]\nconnections = 1024\nheader_timeout = \"1m\"\n";
    let scene = Scene::new(&app(&destination.url, "").replace(HASTE, further));
    let running = with_descriptors(&scene, 200, 200);
    running.logs(&["WARN", "`limits.connections` is lowered from 1024 to ", "the process may have 200 files open"]);
    // More than it can have, from more than one address. Further ones wait in the queue of the operating system.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let held: Vec<_> =
        (0..240).map(|number| runtime.block_on(connect_from(2 + number % 8, running.webhooks))).collect();
    assert_eq!(running.get("/livez").status, 200);
    assert_eq!(running.unmet(), [""; 0]);
    running.logs(&["all_in_use", "`limits.connections`"]);
    assert!(!running.log().contains("cannot be accepted"), "{}", running.log());
    drop(held);
    let ids: Vec<_> = (0..20).map(|number| running.webhook(&body(number)).id()).collect();
    for id in &ids {
        assert_eq!(running.ended(id), ["delivered"]);
    }
}

#[test]
fn connections_that_cannot_be_accepted_are_told_once() {
    let scene = Scene::new("[limits]\nconnections = 1024\nheader_timeout = \"1m\"\n");
    let running = scene.start();
    // After the start, when the receiver has counted on more.
    let open = std::fs::read_dir(format!("/proc/{}/fd", running.pid())).unwrap().count();
    let limit = Rlimit { current: Some(open as u64 + 4), maximum: Some(open as u64 + 4) };
    prlimit(Some(running.pid()), Resource::Nofile, limit).unwrap();
    let held: Vec<_> = (0..20).map(|_| TcpStream::connect(running.webhooks).unwrap()).collect();
    running.logs(&["connections cannot be accepted", "Too many open files", "raise the process's limit"]);
    // Several tries later.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let told = || running.log().matches("cannot be accepted").count();
    assert_eq!(told(), 1, "{}", running.log());
    drop(held);
    running.webhook(&body(1)).id();
    running.logs(&["connections are accepted again"]);
    let counted = running.get("/metrics").text();
    let line =
        counted.lines().find(|line| line.contains("cause=\"not_accepted\"") && line.contains("\"listen\"")).unwrap();
    assert!(line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() > 1.0, "{line}");
}

/// Sends 1 MiB in chunks but for the last chunk, and gives the answer, if there is one already.
fn almost_all(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.write_all(b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let chunk = [b"3fff\r\n".as_slice(), &[b' '; 0x3fff], b"\r\n"].concat();
    for _ in 0..64 {
        stream.write_all(&chunk)?;
    }
    Ok(())
}

#[test]
fn the_memory_for_bodies_is_bounded() {
    const SENDERS: usize = 200;
    let scene = Scene::new("[limits]\nconnections = 1024\nbody_memory = \"64MiB\"\nbody_timeout = \"1m\"\n");
    let running = scene.start();
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    };
    let before = memory();
    // One address has half of the memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sender = |number| {
        let stream = runtime.block_on(connect_from(number, running.webhooks)).into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    };
    let streams: Vec<_> = (0..SENDERS).map(|number| sender(1 + number as u8 % 2)).collect();
    std::thread::scope(|scope| {
        for part in streams.chunks(SENDERS / 8) {
            // Some are refused before they have sent everything.
            scope.spawn(|| part.iter().for_each(|stream| _ = almost_all(stream)));
        }
    });
    eventually("those beyond the memory are refused", || {
        let counted = running.get("/metrics").text();
        let refused = counted
            .lines()
            .find(|line| line.contains("reason=\"memory_full\""))?
            .rsplit(' ')
            .next()?
            .parse::<usize>()
            .ok()?;
        (SENDERS - 64..=SENDERS).contains(&refused).then_some(())
    });
    let used = memory() - before;
    assert!((32..96).contains(&used), "{used} MiB");
    running.logs(&["memory_full", "`limits.body_memory`"]);
    let refused = running.webhook(&body(1));
    drop(streams);
    if refused.status != 200 {
        assert_unavailable(&refused);
    }
    eventually("there is room again", || (running.webhook(&body(2)).status == 200).then_some(()));
}

#[test]
fn operators_are_answered_while_senders_take_every_connection() {
    let scene = Scene::new("[limits]\nconnections = 2\n");
    let running = scene.start();
    let _held: Vec<_> = (0..8).map(|_| TcpStream::connect(running.webhooks).unwrap()).collect();
    assert_eq!(running.get("/livez").status, 200);
    assert_eq!(running.unmet(), [""; 0]);
}

#[test]
fn the_admin_address_refuses_what_is_not_http_too() {
    let scene = Scene::new("");
    let running = scene.start();
    for (sent, cause) in [
        ("GET /livez HTTP/1.1\r\n\r\n", "host"),
        ("GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", "host"),
        ("\x16\x03\x01", "tls"),
    ] {
        let mut stream = TcpStream::connect(running.admin).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = pylon_test_support::http::Answer::read(&mut stream).unwrap();
        assert_eq!(answer.status, 400, "{sent}");
        running.logs(&["a connection was refused", "\"admin\"", &format!("\"{cause}\"")]);
    }
}
