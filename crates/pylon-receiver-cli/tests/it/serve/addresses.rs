//! Where it listens: names, Unix sockets.

use super::*;
use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

fn request(body: &str) -> Vec<u8> {
    let mut head = "POST /webhook HTTP/1.1\r\nHost: a\r\nConnection: close\r\n".to_owned();
    for (name, value) in process::signed(SECRET, body) {
        head += &format!("{name}: {value}\r\n");
    }
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into()
}

fn over(path: &Path, body: &str) -> Answer {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(&request(body)).unwrap();
    Answer::read(&mut stream).unwrap()
}

#[test]
fn a_name_is_bound_at_each_of_its_addresses() {
    let scene = Scene::new("listen = \"localhost:0\"\nadmin = \"LOCALHOST:0\"\n");
    let running = scene.start();
    running.webhook(&body(1)).id();
    assert_eq!(running.get("/readyz").status, 200);
    // Machines without IPv6 have only one.
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        let address = SocketAddr::from((Ipv6Addr::LOCALHOST, running.webhooks.port()));
        running.logs(&["listening", &address.to_string()]);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&request(&body(2))).unwrap();
        Answer::read(&mut stream).unwrap().id();
    }
}

#[test]
fn options_and_commands_take_names() {
    let scene = Scene::new("");
    let mut command = scene.serve();
    command.args(["--listen", "localhost:0", "--admin", "localhost:0"]);
    let running = Running::start(command);
    running.webhook(&body(1)).id();
    drop(running);
    scene.configure(
        "listen = \"localhost:0\"\nadmin = \"no-such-host.invalid:1\"\nadmin_token = { file = \"{}/secret\" }\n",
    );
    let mut refusing = Running::start_in_vain(scene.serve());
    assert_eq!(refusing.exit(), Some(1));
    assert!(refusing.log().contains("`admin`: expected to listen at no-such-host.invalid:1, found that it cannot be"));
}

#[test]
fn a_unix_socket_takes_webhooks() {
    let scene = Scene::new("listen = \"unix:{}/webhooks.sock\"\n[limits]\nconnections = 64\n");
    let path = scene.path("webhooks.sock");
    let running = scene.start();
    running.logs(&["listening", &format!("unix:{}", path.display())]);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o666);
    // One address has half of the connections, but these have none.
    let held: Vec<_> = (0..50).map(|_| UnixStream::connect(&path).unwrap()).collect();
    over(&path, &body(1)).id();
    drop(held);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /webhook HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut stream).unwrap().status, 405);
    running.logs(&["a request was refused", "\"127.0.0.1:0\""]);
    assert_eq!(running.stop().0, Some(0));
    assert!(!path.exists(), "it is removed at the end");
}

#[test]
fn a_socket_that_nobody_listens_at_is_replaced_and_no_other_file() {
    let scene = Scene::new("listen = \"unix:{}/webhooks.sock\"\n");
    let path = scene.path("webhooks.sock");
    let mut killed = scene.start();
    killed.signal(rustix::process::Signal::KILL);
    killed.exit();
    assert!(path.exists(), "left behind");
    let running = scene.start();
    over(&path, &body(1)).id();
    let fault = "`listen`: expected to listen at unix:{}/webhooks.sock, found that it cannot be (address in use); choose another \
                 address";
    // Another receiver, with a ledger of its own.
    let other = Scene::new(&format!("listen = \"unix:{}\"\n", path.display()));
    other.assert_refuses(1, &fault.replace("{}", scene.folder.path().to_str().unwrap()));
    over(&path, &body(2)).id();
    running.stop();
    scene.write("webhooks.sock", "somebody's file");
    scene.assert_refuses(1, fault);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody's file");
    std::fs::remove_file(&path).unwrap();
    let _theirs = UnixListener::bind(&path).unwrap();
    scene.assert_refuses(1, fault);
    assert!(path.exists());
}
