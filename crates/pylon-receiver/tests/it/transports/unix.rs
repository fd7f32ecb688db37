//! Apps at a Unix socket.

use super::secure::Authority;
use super::*;
use pylon_receiver::config::HttpTransport;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixListener;

fn to(url: &str, socket: &Path) -> HttpTransport {
    HttpTransport::new(url.parse().unwrap()).socket(Some(socket.to_owned()))
}

/// Answers once; the head of the request.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let mut request = Vec::new();
    while !request.ends_with(BODY.as_bytes()) {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn the_url_says_host_and_path_and_the_socket_says_where() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let authority = Authority::new();
    for url in ["http://app.example/hook?token=sesame", "https://app.example/hook?token=sesame"] {
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            if url.starts_with("https") {
                serve(authority.server_for(&["app.example"], None).accept(stream).await.unwrap()).await
            } else {
                serve(stream).await
            }
        };
        let http = to(url, &path).ca(url.starts_with("https").then(|| authority.file()));
        let attempt = attempt();
        let (report, request) = tokio::join!(deliver(TransportConfig::Http(http), PATIENCE, &attempt), serving);
        assert_eq!(report, Report::delivered(Some(200), "answered 200"), "{url}");
        assert!(request.starts_with("POST /hook?token=sesame HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nhost: app.example\r\n"), "{request}");
    }
}

#[tokio::test]
async fn where_there_is_no_socket_the_report_says_so() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    drop(UnixListener::bind(path("dead.sock")).unwrap());
    std::fs::write(path("file"), "").unwrap();
    let cases = [
        (path("none.sock"), "the socket does not exist"),
        (path("no-folder/app.sock"), "the socket does not exist"),
        (path("dead.sock"), "connection refused"),
        (path("file"), "connection refused"),
    ];
    for (path, detail) in cases {
        let code = if detail == "connection refused" { Code::REFUSED } else { Code::SOCKET };
        let report = deliver(TransportConfig::Http(to("http://app/", &path)), PATIENCE, &attempt()).await;
        assert_eq!(report, Report::failed(code, None, detail), "{}", path.display());
    }
}
