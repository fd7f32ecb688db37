//! Senders that close their sending side and wait for the answer.

use super::*;
use tokio::io::AsyncWriteExt;

fn webhook() -> Vec<u8> {
    request("POST", "/webhook", &signed(b"{}"), b"{}")
}

fn chunked() -> Vec<u8> {
    let webhook = String::from_utf8(webhook()).unwrap();
    webhook.replace("Content-Length: 2", "Transfer-Encoding: chunked").replace("{}", "2\r\n{}\r\n0\r\n\r\n").into()
}

/// What a sender sends before it closes its side, and the statuses that it gets.
fn complete() -> [(Vec<u8>, &'static [u16]); 4] {
    let other = request("POST", "/other", &[], b"");
    [
        (webhook(), &[200]),
        (chunked(), &[200]),
        ([webhook(), webhook(), other].concat(), &[200, 200, 404]),
        (request("GET", "/webhook", &[], b""), &[405]),
    ]
}

#[test]
fn a_complete_request_is_answered() {
    for (sent, statuses) in complete() {
        run(async {
            let front = Front::new(&config()).await;
            front.ledger.hang();
            let mut peer = front.connect().await;
            peer.send(&sent).await;
            peer.stream.shutdown().await.unwrap();
            if statuses[0] == 200 {
                // Its side is closed long before the answer.
                until("the commit begins", || front.ledger.begun() == 1).await;
            }
            front.ledger.go.add_permits(10);
            for status in statuses {
                assert_eq!(peer.answer().await.status, *status);
            }
            assert_eq!(peer.rest().await, b"");
        });
    }
}

/// What a sender sends before it closes its side, and what it gets.
const CUT: [(&[u8], &[u8]); 4] = [
    (b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{}", b"HTTP/1.1 400"),
    (b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", b"HTTP/1.1 400"),
    (b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", b"HTTP/1.1 400"),
    // There is no request to answer.
    (b"POST /webhook HTTP/1.1\r\nHost: a\r\n", b""),
];

#[test]
fn a_request_that_is_cut_off_is_refused_and_not_kept() {
    for (sent, expected) in CUT {
        run(async {
            let front = Front::new(&config()).await;
            let mut peer = front.connect().await;
            peer.send(sent).await;
            peer.stream.shutdown().await.unwrap();
            let rest = peer.rest().await;
            assert!(rest.starts_with(expected) && rest.is_empty() == expected.is_empty(), "{rest:?}");
            assert_eq!(front.events().len(), 0);
            let is_cut = || front.counted(&refused_connection("head_cut", u32::from(expected.is_empty())));
            until("a head that was cut off is counted", is_cut).await;
        });
    }
}
