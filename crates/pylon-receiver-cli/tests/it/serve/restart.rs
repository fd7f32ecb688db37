//! A service manager that holds the socket open: a restart refuses nobody, and the receiver reports its state.

use super::*;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Starts a receiver with these descriptors from 3 on, as systemd does.
fn with_sockets(scene: &Scene, sockets: &[&dyn AsFd], names: &str) -> Command {
    let mut redirections = String::new();
    for (socket, number) in sockets.iter().zip(3..) {
        // Children inherit it now, those of other tests too: they hold it open, as the service manager does.
        fcntl_setfd(socket.as_fd(), FdFlags::empty()).unwrap();
        // The shell knows one digit only; none of the test's sockets is that low.
        redirections += &format!(" {number}<&\"$FD{number}\"");
    }
    let script = format!("LISTEN_PID=$$ LISTEN_FDS={} LISTEN_FDNAMES={names} exec \"$@\"", sockets.len());
    let mut command = scene.serve_by(&["bash", "-c", &format!("exec{redirections}; {script}"), "bash"]);
    for (socket, number) in sockets.iter().zip(3..) {
        command.env(format!("FD{number}"), socket.as_fd().as_raw_fd().to_string());
    }
    command
}

/// Webhooks on connections that are used again and again, as a proxy does. A connection that ends without the last answer having
/// said so is a webhook that was lost. Returns the ids.
fn send_on_kept_connections(address: SocketAddr, sender: usize, is_over: &AtomicBool) -> Vec<String> {
    let mut ids = Vec::new();
    let mut connection = None::<TcpStream>;
    for number in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let body = body(sender * 100_000 + number);
        let mut stream = connection.take().unwrap_or_else(|| TcpStream::connect(address).unwrap());
        let mut head = format!("POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in process::signed(SECRET, &body) {
            head += &format!("{name}: {value}\r\n");
        }
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let answer = next_answer(&mut stream).unwrap_or_else(|| panic!("webhook {number} of {sender} is not answered"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        ids.push(answer[answer.find("\"id\":\"").unwrap() + 6..][..36].to_owned());
        if !answer.contains("connection: close") {
            connection = Some(stream);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    ids
}

fn next_answer(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\"}") {
        let mut piece = [0; 1024];
        let length = stream.read(&mut piece).ok().filter(|length| *length > 0)?;
        text.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(text).ok()
}

#[test]
fn restarts_under_load_refuse_nobody() {
    let destination = Destination::start(|_, _| {
        // Some attempts are under way at any time.
        std::thread::sleep(Duration::from_millis(20));
        Reply::OK
    });
    let scene = Scene::new(&app(&destination.url, "").replace("200ms", "10s"));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let is_over = AtomicBool::new(false);
    let mut running = Running::start(with_sockets(&scene, &[&socket], "webhooks"));
    assert_eq!(running.webhooks, address);
    let ids = std::thread::scope(|scope| {
        let is_over = &is_over;
        let kept: Vec<_> =
            (0..3).map(|sender| scope.spawn(move || send_on_kept_connections(address, sender, is_over))).collect();
        let fresh: Vec<_> = (3..6)
            .map(|sender| {
                scope.spawn(move || {
                    let send = |number: usize| {
                        let body = body(sender * 100_000 + number);
                        let headers = process::signed(SECRET, &body);
                        let answer =
                            pylon_test_support::http::ask(address, "POST", "/webhook", &headers, body.as_bytes());
                        answer.unwrap_or_else(|| panic!("webhook {number} of {sender} is refused")).id()
                    };
                    (0..).take_while(|_| !is_over.load(Ordering::Relaxed)).map(send).collect::<Vec<_>>()
                })
            })
            .collect();
        // Whatever happens here, the senders end.
        let restarting = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..3 {
                let before = scene.kept().len();
                eventually("it is at work", || (scene.kept().len() > before + 50).then_some(()));
                running.signal(Signal::TERM);
                assert_eq!(running.exit(), Some(0));
                running = Running::start(with_sockets(&scene, &[&socket], "webhooks"));
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        let ids: Vec<String> = kept.into_iter().chain(fresh).flat_map(|sender| sender.join().unwrap()).collect();
        restarting.unwrap();
        ids
    });
    let kept = scene.kept();
    assert_eq!(kept.len(), ids.len(), "each is stored once");
    for id in &ids {
        assert!(kept.contains(id), "{id} was acknowledged and is not kept");
    }
    eventually("all are delivered", || (destination.arrived().len() >= ids.len()).then_some(()));
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn sockets_are_told_apart_by_their_names() {
    let scene = Scene::new("listen = \"192.0.2.1:1\"\nadmin = \"127.0.0.1:1\"\n");
    let webhooks = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let unix = UnixListener::bind(scene.path("webhooks.sock")).unwrap();
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Running::start(with_sockets(&scene, &[&webhooks[0], &admin, &unix, &webhooks[1]], "a:admin:b:c"));
    assert_eq!(running.webhooks, webhooks[0].local_addr().unwrap());
    assert_eq!(running.admin, admin.local_addr().unwrap());
    running.logs(&["listening", "also", "webhooks.sock", &webhooks[1].local_addr().unwrap().to_string()]);
    running.webhook(&body(1)).id();
    assert_eq!(running.get("/readyz").status, 200);
    let headers = process::signed(SECRET, &body(2));
    let address = webhooks[1].local_addr().unwrap();
    pylon_test_support::http::ask(address, "POST", "/webhook", &headers, body(2).as_bytes()).unwrap().id();
    // What the file says of the addresses does not count after a reload either.
    running.reload("\"reloaded\"");
    assert_eq!(running.stop().0, Some(0));
    assert!(scene.path("webhooks.sock").exists(), "it belongs to the service manager");
}

#[test]
fn every_socket_for_operators_needs_a_token_unless_it_is_of_this_machine_only() {
    let open = TcpListener::bind("0.0.0.0:0").unwrap();
    let [webhooks, here, there] = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let orders: [&[&dyn AsFd]; 2] = [&[&webhooks, &here, &open], &[&webhooks, &open, &here]];
    for sockets in orders {
        let scene = Scene::new("");
        let fault = format!(
            "`admin`: expected a loopback address without an `admin_token`, found `{}`; add a token",
            open.local_addr().unwrap()
        );
        scene.assert_refuses_by(with_sockets(&scene, sockets, "web:admin:admin"), 5, &fault);
        scene.configure("admin_token = { file = \"{}/secret\" }\n");
        let running = Running::start(with_sockets(&scene, sockets, "web:admin:admin"));
        // The token is gone: what the start refuses, a reload refuses too.
        scene.configure("");
        running.reload("not reloaded");
        running.logs(&["expected a loopback address without an `admin_token`"]);
        assert_eq!(running.stop().0, Some(0));
    }
    let scene = Scene::new("");
    let running = Running::start(with_sockets(&scene, &[&webhooks, &here, &there], "web:admin:admin"));
    let address = there.local_addr().unwrap();
    assert_eq!(pylon_test_support::http::ask(address, "GET", "/readyz", &[], b"").unwrap().status, 200);
    assert_eq!(running.stop().0, Some(0));
    // No destination leads to any of them.
    for socket in [&there, &open] {
        let port = socket.local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}/webhook");
        let scene = Scene::new(&app(&url, "").replace(HASTE, ""));
        let (sockets, names, key): (&[&dyn AsFd], _, _) = match port == address.port() {
            true => (&[&webhooks, &here, socket], "web:admin:admin", "admin"),
            false => (&[&webhooks, socket, &here], "web:web:admin", "listen"),
        };
        let mut refusing = Running::start_in_vain(with_sockets(&scene, sockets, names));
        assert_eq!(refusing.exit(), Some(5));
        let fault = format!("`url` is the receiver's own `{key}` address; use the address of your app");
        assert!(refusing.log().contains(&fault), "{}", refusing.log());
    }
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let scene = Scene::new("");
    for (pid, fds) in [("1", "1"), ("4194304", "3"), ("", "junk"), ("x", "1")] {
        let mut command = scene.serve();
        command.env("LISTEN_PID", pid).env("LISTEN_FDS", fds);
        let running = Running::start(command);
        running.webhook(&body(1)).status.eq(&200).then_some(()).unwrap();
        assert_eq!(running.stop().0, Some(0), "{pid} {fds}");
    }
}

#[test]
fn what_does_not_listen_is_refused() {
    let scene = Scene::new("");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let file = std::fs::File::open(scene.path("secret")).unwrap();
    let datagram = UnixDatagram::unbound().unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sockets: [&dyn AsFd; 4] = [&connected, &file, &datagram, &udp];
    for (index, other) in sockets.into_iter().enumerate() {
        let number = 3 + index % 2;
        let given: &[&dyn AsFd] = if number == 3 { &[other] } else { &[&listener, other] };
        let fault = format!(
            "file descriptor {number} from the service manager: expected a TCP or Unix stream socket that listens, found \
             another; use `ListenStream=` and `Accept=no` in the socket unit"
        );
        scene.assert_refuses_by(with_sockets(&scene, given, "a:b"), 1, &fault);
    }
}

#[test]
fn the_service_manager_is_told() {
    let scene = Scene::new("");
    let manager = UnixDatagram::bind(scene.path("notify.sock")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let told = || {
        let mut message = [0; 4096];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let mut command = scene.serve();
    command.env("NOTIFY_SOCKET", scene.path("notify.sock"));
    let mut running = Running::start(command);
    assert_eq!(told(), format!("READY=1\nSTATUS=accepts webhooks at {}\n", running.webhooks));
    let is_reloading = |message: &str| {
        let time = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.strip_suffix('\n'));
        assert!(time.is_some_and(|time| time.parse::<u64>().is_ok_and(|time| time > 0)), "{message}");
    };
    running.reload("\"reloaded\"");
    is_reloading(&told());
    assert_eq!(told(), "READY=1\nSTATUS=reloaded\n");
    scene.write("receiver.toml", "lisen = 1\nadmn = 2\n");
    running.reload("not reloaded");
    is_reloading(&told());
    let refused = told();
    assert!(refused.starts_with("READY=1\nSTATUS=not reloaded: ") && refused.contains("`lisen`"), "{refused}");
    assert_eq!(refused.lines().count(), 2, "{refused}");
    running.signal(Signal::TERM);
    assert_eq!(told(), "STOPPING=1\nSTATUS=lets attempts end\n");
    assert_eq!(running.exit(), Some(0));
}

#[test]
fn a_service_manager_that_is_gone_harms_nothing() {
    let scene = Scene::new("");
    let mut command = scene.serve();
    command.env("NOTIFY_SOCKET", scene.path("none.sock"));
    let running = Running::start(command);
    running.logs(&["the service manager cannot be told"]);
    running.webhook(&body(1)).id();
    assert_eq!(running.stop().0, Some(0));
}
