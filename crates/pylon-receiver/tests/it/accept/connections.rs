//! Connections: how many, how long, how often used.

use super::*;

fn limited(change: impl FnOnce(&mut pylon_receiver::config::Limits)) -> Config {
    let mut config = config();
    change(&mut config.limits);
    config
}

fn short_header_timeout() -> Config {
    limited(|limits| limits.header_timeout = SHORT)
}

fn webhook() -> Vec<u8> {
    request("POST", "/webhook", &signed(b"{}"), b"{}")
}

#[test]
fn a_connection_that_says_nothing_is_ended() {
    run(async {
        let front = Front::new(&short_header_timeout()).await;
        assert_eq!(front.connect().await.rest().await, b"");
    });
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for() {
    run(async {
        let front = Front::new(&short_header_timeout()).await;
        let mut peer = front.connect().await;
        peer.send(b"POST /webhook HTTP/1.1\r\n").await;
        // It trickles on, and yet it is ended.
        let trickling = async {
            while peer.stream.try_write(b"a: b\r\n").is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("the connection is ended", trickling).await;
        assert_eq!((front.events().len(), front.refused().len()), (0, 0));
    });
}

#[test]
fn an_idle_connection_is_ended_after_its_own_time() {
    run(async {
        let front = Front::new(&limited(|limits| limits.idle_timeout = SHORT)).await;
        let mut peer = front.connect().await;
        for _ in 0..2 {
            peer.send(&webhook()).await;
            peer.answer().await.id();
        }
        assert_eq!(peer.rest().await, b"");
        assert!(front.counted(&refused_connection("head_timeout", 0)), "an idle connection is no fault");
    });
}

#[test]
fn an_idle_connection_outlives_the_time_for_a_head() {
    run(async {
        let front = Front::new(&short_header_timeout()).await;
        let mut peer = front.connect().await;
        for _ in 0..3 {
            peer.send(&webhook()).await;
            peer.answer().await.id();
            // The wait in vain is what is tried here.
            assert!(tokio::time::timeout(SHORT * 3, peer.next()).await.is_err(), "the connection stays open");
        }
    });
}

#[test]
fn a_further_head_has_its_time_from_its_first_byte() {
    run(async {
        let front = Front::new(&short_header_timeout()).await;
        let mut peer = front.connect().await;
        peer.send(&webhook()).await;
        peer.answer().await.id();
        // Line ends between requests begin none.
        peer.send(b"\r\n\r\n").await;
        assert!(tokio::time::timeout(SHORT * 2, peer.next()).await.is_err(), "the connection stays open");
        peer.send(b"POST /webhook HTTP/1.1\r\nHost: a\r\n").await;
        let answer = peer.answer().await;
        assert_eq!((answer.status, answer.json()), (408, json!({"error": "timeout"})));
        assert_eq!(peer.rest().await, b"");
        until("it is counted", || front.counted(&refused_connection("head_timeout", 1))).await;
    });
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    run(async {
        let front = Front::new(&config()).await;
        let large = request("POST", "/webhook", &header("X-Large", &"x".repeat(40_000)), b"");
        let mut peer = front.connect().await;
        peer.send_what_is_taken(&large).await;
        let rest = peer.rest().await;
        assert!(rest.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&rest));
        assert_eq!(front.events().len(), 0);
    });
}

#[test]
fn the_last_answer_of_a_connection_says_so() {
    run(async {
        let front = Front::new(&limited(|limits| limits.keep_alive_requests = 3)).await;
        let mut peer = front.connect().await;
        for expected in [None, None, Some("close")] {
            peer.send(&webhook()).await;
            let answer = peer.answer().await;
            assert_eq!((answer.status, answer.header("connection")), (200, expected));
        }
        assert_eq!(peer.rest().await, b"");
    });
}

#[test]
fn requests_that_are_sent_without_waiting_are_answered_in_their_order() {
    run(async {
        let front = Front::new(&limited(|limits| limits.keep_alive_requests = 4)).await;
        let mut peer = front.connect().await;
        let others = [request("GET", "/webhook", &[], b""), request("POST", "/other", &[], b"")].concat();
        peer.send(&[webhook(), others, webhook(), webhook()].concat()).await;
        for status in [200, 405, 404, 200] {
            assert_eq!(peer.answer().await.status, status);
        }
        assert_eq!(peer.rest().await, b"", "the fifth is one too many");
        assert_eq!(front.events().len(), 2);
    });
}

#[test]
fn an_old_sender_is_answered_and_its_connection_closed() {
    run(async {
        let front = Front::new(&config()).await;
        let old = String::from_utf8(webhook()).unwrap().replace("HTTP/1.1", "HTTP/1.0");
        let mut peer = front.connect().await;
        peer.send(old.as_bytes()).await;
        peer.answer().await.id();
        assert_eq!(peer.rest().await, b"");
    });
}

#[test]
fn one_connection_too_many_waits_and_is_then_served() {
    run(async {
        let front = Front::new(&limited(|limits| limits.connections = 2)).await;
        let (mut first, mut second) = (front.connect().await, front.connect().await);
        // Neither is idle: one has said nothing yet, the other is in the midst of a head.
        second.send(b"POST /web").await;
        let mut third = front.connect().await;
        third.send(&webhook()).await;
        assert!(tokio::time::timeout(SHORT, third.next()).await.is_err(), "there was no place for it");
        assert_eq!(front.events().len(), 0);
        first.send(&webhook()).await;
        let answer = first.answer().await;
        assert_eq!(answer.header("connection"), Some("close"), "its place is waited for");
        third.answer().await.id();
    });
}

#[test]
fn an_idle_connection_gives_way_to_one_that_would_have_no_place() {
    // However few connections there may be, and whether all or one address's are the few.
    for (connections, connections_of_address) in [(1, 1), (2, 2), (3, 3), (8, 1), (8, 2), (8, 3), (8, 8)] {
        run(async {
            let limits =
                ListenerLimits { connections, connections_of_address, ..ListenerLimits::from(&config().limits) };
            let (address, metrics, running) = fine(limits).await;
            let hello = request("GET", "/", &[], b"");
            // More and more connections, as a proxy keeps them.
            let mut kept = Vec::new();
            for _ in 0..3 * connections {
                let mut peer = Peer::connect(address).await;
                peer.send(&hello).await;
                assert_eq!(peer.answer().await.body, "fine");
                kept.push(peer);
            }
            assert!(counted(&metrics, &refused_connection("share_in_use", 0)));
            assert!(counted(&metrics, &refused_connection("all_in_use", 0)));
            // The newest is left alone, unless it has been told to end.
            drop(kept);
            running.abort();
        });
    }
}

#[test]
fn the_connection_that_gives_way_is_the_longest_idle() {
    run(async {
        let limits =
            ListenerLimits { connections: 8, connections_of_address: 4, ..ListenerLimits::from(&config().limits) };
        let (address, _, running) = fine(limits).await;
        let hello = request("GET", "/", &[], b"");
        let mut kept = Vec::new();
        for _ in 0..3 {
            let mut peer = Peer::connect(address).await;
            peer.send(&hello).await;
            assert_eq!(peer.answer().await.header("connection"), None);
            kept.push(peer);
        }
        // Not the first any more.
        kept[0].send(&hello).await;
        kept[0].answer().await;
        // Two that say nothing yet, and are not idle: one takes the last place, one the place of another.
        let _new = [Peer::connect(address).await, Peer::connect(address).await];
        assert_eq!(kept[1].rest().await, b"", "the longest idle one");
        // The first of the others ends with its answer, and then there is room.
        for (peer, expected) in [(0, Some("close")), (2, None)] {
            kept[peer].send(&hello).await;
            let answer = kept[peer].answer().await;
            assert_eq!((&*answer.body, answer.header("connection")), ("fine", expected));
            if expected.is_some() {
                assert_eq!(kept[peer].rest().await, b"");
            }
        }
        running.abort();
    });
}

#[test]
fn one_connection_too_many_is_counted_and_told() {
    let ((), lines) = run(async {
        let front = Front::new(&limited(|limits| limits.connections = 1)).await;
        let first = front.connect().await;
        let mut further = [front.connect().await, front.connect().await];
        until("the second waits", || front.counted(&refused_connection("all_in_use", 1))).await;
        drop(first);
        further[0].send(&webhook()).await;
        further[0].answer().await.id();
    });
    let reason =
        "too many connections: expected at most `limits.connections`, found one more, which waits; raise the limit";
    assert!(lines[0].contains("a connection was refused listener=\"listen\" cause=\"all_in_use\""), "{lines:?}");
    assert!(lines[0].contains(reason), "{lines:?}");
}

#[test]
fn idle_connections_give_way_where_there_are_many() {
    run(async {
        let front = Front::new(&limited(|limits| limits.connections = 4)).await;
        let mut peers = Vec::new();
        for expected in [None, None, None, Some("close")] {
            let mut peer = front.connect().await;
            peer.send(&webhook()).await;
            assert_eq!(peer.answer().await.header("connection"), expected);
            peers.push(peer);
        }
    });
}

/// A listener that answers everything: where it is, and what it counts.
async fn fine(limits: ListenerLimits) -> (SocketAddr, Arc<Metrics>, JoinHandle<Stopped>) {
    let metrics = Arc::<Metrics>::default();
    let listener = Listener::bind("listen", &HERE.into(), limits, metrics.clone()).await.unwrap();
    let address = listener.addresses().unwrap()[0].ip().unwrap();
    let answer = async |_| http::Response::new(http_body_util::Full::<bytes::Bytes>::from("fine"));
    let running = tokio::spawn(listener.run(move |request, _| answer(request), std::future::pending()));
    (address, metrics, running)
}

fn counted(metrics: &Metrics, line: &str) -> bool {
    metrics.encode().unwrap().lines().any(|counted| counted == line)
}

#[test]
fn one_address_has_no_more_than_its_share_of_the_connections() {
    run(async {
        let limits =
            ListenerLimits { connections: 8, connections_of_address: 2, ..ListenerLimits::from(&config().limits) };
        let (address, metrics, running) = fine(limits).await;
        let hello = request("GET", "/", &[], b"");
        let (mut first, mut second) = (Peer::connect(address).await, Peer::connect(address).await);
        for peer in [&mut first, &mut second] {
            peer.send(b"GET /").await;
        }
        for _ in 0..10 {
            assert_eq!(Peer::connect(address).await.rest().await, b"", "closed at once");
        }
        until("all are counted", || counted(&metrics, &refused_connection("share_in_use", 10))).await;
        let mut other = Peer::connect_from(2, address).await;
        other.send(&hello).await;
        assert_eq!(other.answer().await.body, "fine");
        drop(first);
        // The listener may be about to notice that it has ended.
        let asking = async {
            loop {
                let mut third = Peer::connect(address).await;
                third.send_what_is_taken(&hello).await;
                if third.next().await.is_some_and(|answer| answer.body == "fine") {
                    break;
                }
            }
        };
        within("the address gets its place back", asking).await;
        second.send(&hello[5..]).await;
        assert_eq!(second.answer().await.body, "fine", "it was left alone");
        running.abort();
    });
}

#[test]
fn a_sender_that_reads_no_answers_loses_its_place() {
    run(async {
        let mut config = short_header_timeout();
        config.limits.connections = 1;
        config.limits.keep_alive_requests = u32::MAX;
        let front = Front::new(&config).await;
        // A small buffer is soon full.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let greedy = Peer::over(socket.connect(front.address).await.unwrap());
        let many = request("GET", "/webhook", &[], b"").repeat(1000);
        let sending = async {
            loop {
                greedy.stream.writable().await.unwrap();
                match greedy.stream.try_write(&many) {
                    Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break,
                    _ => {}
                }
            }
        };
        within("the connection is ended", sending).await;
        front.webhook("{}").await.id();
    });
}

#[test]
fn a_panic_ends_one_connection_and_no_other() {
    let ((), lines) = run(async {
        let limits = ListenerLimits::from(&config().limits);
        let listener = Listener::bind("listen", &HERE.into(), limits, Arc::default()).await.unwrap();
        let address = listener.addresses().unwrap()[0].ip().unwrap();
        let answer = async |request: http::Request<hyper::body::Incoming>| {
            assert_ne!(request.uri().path(), "/panic", "on purpose");
            http::Response::new(http_body_util::Full::<bytes::Bytes>::from("fine"))
        };
        let running = tokio::spawn(listener.run(move |request, _| answer(request), std::future::pending()));
        let mut fine = Peer::connect(address).await;
        let mut panics = Peer::connect(address).await;
        panics.send(&request("GET", "/panic", &[], b"")).await;
        assert_eq!(panics.rest().await, b"");
        fine.send(&request("GET", "/", &[], b"")).await;
        assert_eq!(fine.answer().await.body, "fine");
        running.abort();
    });
    assert_eq!(lines, ["ERROR message=a connection ended by a panic while a request was answered"]);
}

#[test]
fn an_address_in_use_is_told() {
    run(async {
        let front = Front::new(&config()).await;
        let taken =
            Listener::bind("listen", &front.address.into(), ListenerLimits::from(&config().limits), Arc::default())
                .await;
        assert_eq!(taken.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    });
}
