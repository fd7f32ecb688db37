//! Destinations behind a forward proxy.

use super::secure::Authority;
use super::*;
use pylon_receiver::config::{HttpTransport, SecretFault, SecretSource};
use pylon_receiver::internals::TransportFault;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

const WHOLE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// `user` and `pass word`, encoded as a URL and as a header have them.
const CREDENTIALS: &str = "user:pass%20word";
const AUTHORIZATION: &str = "proxy-authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n";

/// A proxy that opens the way to any server, and notes what it was asked.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let noted = asked.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let head = read_head(&mut client).await;
                noted.lock().await.push(head.clone());
                let target = head.split(' ').nth(1).unwrap();
                if head.starts_with("CONNECT ") {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
                } else {
                    client.write_all(WHOLE.as_bytes()).await.unwrap();
                }
            }
        });
        Self { address, asked, task }
    }

    async fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().await)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap() == 0 {
            break;
        }
    }
    String::from_utf8(head).unwrap()
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let head = read_head(&mut stream).await;
    stream.write_all(WHOLE.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    head
}

fn through(http: HttpTransport, proxy: SocketAddr, credentials: &str) -> TransportConfig {
    let at = if credentials.is_empty() { "" } else { "@" };
    let url = format!("http://{credentials}{at}{proxy}");
    TransportConfig::Http(http.proxy(Some(SecretSource::given(url))))
}

#[tokio::test]
async fn https_goes_through_a_tunnel_that_sees_no_more_than_the_address() {
    let (proxy, authority) = (Proxy::start().await, Authority::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for (credentials, authorization) in
        [("", ""), (CREDENTIALS, AUTHORIZATION), ("user", "proxy-authorization: Basic dXNlcjo=\r\n")]
    {
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            serve(authority.server().accept(stream).await.unwrap()).await
        };
        let to = through(authority.http(&format!("https://{address}/hook?token=sesame")), proxy.address, credentials);
        let attempt = attempt();
        let (report, head) = tokio::join!(deliver(to, PATIENCE, &attempt), serving);
        assert_eq!(report, Report::delivered(Some(200), "answered 200"));
        assert!(head.starts_with("POST /hook?token=sesame HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nhost: {address}\r\n")) && !head.contains("proxy-"), "{head}");
        assert_eq!(
            proxy.asked().await,
            [format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n{authorization}\r\n")]
        );
    }
}

#[tokio::test]
async fn http_goes_to_the_proxy_with_the_whole_url() {
    let proxy = Proxy::start().await;
    for (url, target, host) in [
        ("http://app.example/hook?token=sesame", "http://app.example/hook?token=sesame", "app.example"),
        ("http://app.example:3000", "http://app.example:3000/", "app.example:3000"),
        ("http://[::1]:3000/", "http://[::1]:3000/", "[::1]:3000"),
    ] {
        let to = through(HttpTransport::new(url.parse().unwrap()), proxy.address, CREDENTIALS);
        assert_eq!(deliver(to, PATIENCE, &attempt()).await, Report::delivered(Some(200), "answered 200"));
        let [head] = proxy.asked().await.try_into().unwrap();
        assert!(head.starts_with(&format!("POST {target} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains(&format!("\r\nhost: {host}\r\n")) && head.contains(AUTHORIZATION), "{head}");
    }
}

/// What the proxy says to CONNECT, and what the report says of it.
const REFUSALS: [(&str, &str); 8] = [
    (
        "HTTP/1.1 407 Who\r\nproxy-authenticate: Basic realm=\"proxy\"\r\ncontent-length: 0\r\n\r\n",
        "the proxy answered 407: expected a user and a password that it knows in `proxy`, found none or others",
    ),
    ("HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\nsesame", "the proxy answered 403 to CONNECT"),
    ("HTTP/1.0 502 Bad Gateway\r\n\r\nsesame", "the proxy answered 502 to CONNECT"),
    ("HTTP/1.1 302 Found\r\nlocation: http://sesame/\r\n\r\n", "the proxy answered 302 to CONNECT"),
    ("HTTP/1.1 405 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", "the proxy answered 405 to CONNECT"),
    ("SSH-2.0-sesame\r\n", "no answer of the proxy: the answer is not HTTP"),
    ("", "no answer of the proxy: the connection was closed without an answer"),
    (
        "HTTP/1.1 200 OK\r\n\r\nsesame, open\r\n",
        "expected a server behind the proxy that waits for the client, found one that speaks first",
    ),
];

#[tokio::test]
async fn a_proxy_that_opens_no_way_is_told_as_no_answer() {
    let authority = Authority::new();
    for (answer, detail) in REFUSALS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            if !answer.is_empty() {
                let _ = stream.read(&mut [0; 1024]).await;
            }
        };
        let to = through(authority.http("https://127.0.0.1:1/"), listener.local_addr().unwrap(), "");
        let attempt = attempt();
        let (report, ()) = tokio::join!(deliver(to, PATIENCE, &attempt), refusing);
        assert_eq!(report, Report::failed(Code::PROXY, None, detail), "{answer}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_apart_from_the_app() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let authority = Authority::new();
    for http in [HttpTransport::new("http://127.0.0.1:1/".parse().unwrap()), authority.http("https://127.0.0.1:1/")] {
        let report = deliver(through(http.clone(), nobody, "user:sesame"), PATIENCE, &attempt()).await;
        assert_eq!(report, Report::failed(Code::PROXY, None, "no connection to the proxy: connection refused"));
        let unresolvable = SecretSource::given(format!("http://user:sesame@{}.invalid", "a".repeat(64)));
        let to = TransportConfig::Http(http.proxy(Some(unresolvable)));
        let report = deliver(to, PATIENCE, &attempt()).await;
        assert_eq!(report, Report::failed(Code::PROXY, None, "the proxy's name does not resolve"));
    }
    // A proxy that reads HTTP answers in the app's place; this status is always its own.
    let server = super::server::Server::start([super::server::answer("HTTP/1.1 407 Who\ncontent-length: 0\n\n")]).await;
    let to = through(HttpTransport::new("http://127.0.0.1:1/".parse().unwrap()), server.address, "user:sesame");
    assert_eq!(deliver(to, PATIENCE, &attempt()).await, Report::failed(Code::PROXY, None, REFUSALS[0].1));
}

#[tokio::test]
async fn a_proxy_that_hangs_ends_with_the_time() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = through(authority.http("https://127.0.0.1:1/"), listener.local_addr().unwrap(), "");
    let report = deliver(to, BRIEF, &attempt()).await;
    assert_eq!(report, Report::failed(Code::TIMEOUT, None, "no answer within 200ms"));
    let (mut stream, _) = within("it was connected to", listener.accept()).await.unwrap();
    let mut rest = Vec::new();
    let _ = within("the connection ends", stream.read_to_end(&mut rest)).await;
}

#[test]
fn what_is_no_proxy_makes_no_transport_and_is_not_shown() {
    for text in [
        "sesame",
        "127.0.0.1:3128",
        "https://user:sesame@127.0.0.1:3128",
        "socks5://user:sesame@127.0.0.1",
        "http://user:sesame@",
        "http://user:sesame@127.0.0.1/path",
        "http://user:sesame@127.0.0.1?query",
        "http://user:ses ame@127.0.0.1",
        "http://user:sesame@127.0.0.1:99999",
    ] {
        let http = HttpTransport::new("http://app/".parse().unwrap()).proxy(Some(SecretSource::given(text)));
        let fault = transport(&destination(TransportConfig::Http(http), PATIENCE), None).err().unwrap();
        assert!(matches!(fault, TransportFault::Secret(SecretFault::Malformed(_))), "{text}: {fault:?}");
        assert!(!fault.to_string().contains("sesame"), "{fault}");
    }
}
