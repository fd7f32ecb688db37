//! The end: in order, and in time.

use super::*;

fn webhook() -> Vec<u8> {
    request("POST", "/webhook", &signed(b"{}"), b"{}")
}

#[test]
fn it_ends_at_once_where_nothing_is_under_way() {
    run(async {
        let mut front = Front::new(&config()).await;
        let mut silent = front.connect().await;
        let mut idle = front.connect().await;
        idle.send(&webhook()).await;
        idle.answer().await.id();
        front.stop();
        assert_eq!((idle.rest().await, silent.rest().await), (vec![], vec![]));
        assert_eq!(within("the listener ends", front.running).await.unwrap(), Stopped { aborted: 0 });
        assert!(tokio::net::TcpStream::connect(front.address).await.is_err());
    });
}

#[test]
fn what_is_under_way_is_answered_and_nothing_after_it() {
    run(async {
        let mut front = Front::new(&config()).await;
        front.ledger.hang();
        let mut peer = front.connect().await;
        peer.send(&webhook()).await;
        until("the commit begins", || front.ledger.begun() == 1).await;
        front.stop();
        until_refused(front.address).await;
        assert!(!front.running.is_finished());
        front.ledger.go.add_permits(2);
        let answer = peer.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert_eq!(peer.rest().await, b"");
        assert_eq!(within("the listener ends", front.running).await.unwrap(), Stopped { aborted: 0 });
    });
}

#[test]
fn a_body_under_way_is_read_to_its_end() {
    run(async {
        let mut front = Front::new(&config()).await;
        let mut peer = front.connect().await;
        let webhook = webhook();
        let (beginning, end) = webhook.split_at(webhook.len() - 1);
        peer.send(beginning).await;
        // Answered, it shows that the other one's head has been read.
        front.webhook("{}").await.id();
        front.stop();
        until_refused(front.address).await;
        peer.send(end).await;
        peer.answer().await.id();
        assert_eq!(within("the listener ends", front.running).await.unwrap(), Stopped { aborted: 0 });
    });
}

#[test]
fn what_does_not_end_in_time_is_broken_off_and_yet_committed() {
    run(async {
        let mut config = config();
        config.limits.shutdown_timeout = SHORT;
        let mut front = Front::new(&config).await;
        front.ledger.hang();
        let mut peer = front.connect().await;
        peer.send(&webhook()).await;
        until("the commit begins", || front.ledger.begun() == 1).await;
        front.stop();
        assert_eq!(within("the listener ends", &mut front.running).await.unwrap(), Stopped { aborted: 1 });
        assert_eq!(peer.rest().await, b"");
        front.ledger.go.add_permits(1);
        until("the event is kept", || front.events().len() == 1).await;
    });
}

#[test]
fn a_head_under_way_does_not_hold_it_up_beyond_its_time() {
    run(async {
        let mut config = config();
        config.limits.shutdown_timeout = SHORT;
        let mut front = Front::new(&config).await;
        let mut peer = front.connect().await;
        peer.send(b"POST /webhook HTTP/1.1\r\n").await;
        front.webhook("{}").await.id();
        front.stop();
        within("the listener ends", &mut front.running).await.unwrap();
        assert_eq!(peer.rest().await, b"");
    });
}

#[test]
fn a_request_that_meets_the_end_of_an_idle_connection_is_answered() {
    run(async {
        let mut front = Front::new(&config()).await;
        let mut fresh = front.connect().await;
        let mut idle = front.connect().await;
        idle.send(&webhook()).await;
        idle.answer().await.id();
        front.stop();
        // Until the listener has heard of it.
        while front.webhook("{}").await.header("connection") != Some("close") {}
        for peer in [&mut idle, &mut fresh] {
            peer.send(&webhook()).await;
            let answer = peer.answer().await;
            assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
            assert_eq!(peer.rest().await, b"");
        }
        assert_eq!(within("the listener ends", front.running).await.unwrap(), Stopped { aborted: 0 });
    });
}

#[test]
fn connections_that_wait_when_the_port_closes_are_served() {
    run(async {
        let mut config = config();
        config.limits.connections = 1;
        let mut front = Front::new(&config).await;
        front.ledger.hang();
        let mut peers = Vec::new();
        for _ in 0..4 {
            // The first is served, the second accepted, the others wait in the operating system's queue.
            let mut peer = front.connect().await;
            peer.send(&webhook()).await;
            peers.push(peer);
            until("the first commit begins", || front.ledger.begun() == 1).await;
        }
        front.stop();
        until_refused(front.address).await;
        front.ledger.go.add_permits(4);
        for mut peer in peers {
            peer.answer().await.id();
        }
        assert_eq!(within("the listener ends", front.running).await.unwrap(), Stopped { aborted: 0 });
    });
}

/// Waits until nothing is accepted any more.
async fn until_refused(address: SocketAddr) {
    let asking = async {
        // One that is let in meanwhile gives its place back.
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within("connections are refused", asking).await;
}
