//! Bodies: in pieces, too large, too slow, cut off.

use super::*;
use tokio::io::AsyncWriteExt;

fn short_body_timeout() -> Config {
    let mut config = config();
    config.limits.body_timeout = SHORT;
    config
}

/// A head that declares so many bytes.
fn head(length: usize) -> Vec<u8> {
    let head = request("POST", "/webhook", &signed(b"{}"), b"");
    String::from_utf8(head).unwrap().replace("Content-Length: 0", &format!("Content-Length: {length}")).into()
}

#[test]
fn a_body_in_many_pieces_is_put_together() {
    run(async {
        let front = Front::new(&config()).await;
        let body = format!(r#"{{"type": "issue_new", "text": "{}"}}"#, "0123456789".repeat(40_000));
        let mut peer = front.connect().await;
        let webhook = request("POST", "/webhook", &signed(body.as_bytes()), body.as_bytes());
        for piece in webhook.chunks(9973) {
            peer.send(piece).await;
        }
        peer.answer().await.id();
        assert_eq!(front.event().body.as_bytes(), body.as_bytes());
    });
}

#[test]
fn chunks_and_their_trailers_are_taken_apart() {
    run(async {
        let front = Front::new(&config()).await;
        let mut webhook = b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n".to_vec();
        for (name, value) in signed(br#"{"type": "a"}"#) {
            webhook.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        webhook.extend(b"\r\n5;x=y\r\n{\"typ\r\n8\r\ne\": \"a\"}\r\n0\r\nX-Sum: 1\r\n\r\n");
        front.ask(&webhook).await.id();
        assert_eq!(front.event().body.as_bytes(), br#"{"type": "a"}"#);
    });
}

#[test]
fn a_body_that_is_declared_too_large_is_refused_before_it_is_sent() {
    run(async {
        let front = Front::new(&config()).await;
        for length in [1024 * 1024 + 1, usize::MAX >> 1] {
            let mut peer = front.connect().await;
            peer.send(&head(length)).await;
            assert_eq!(peer.answer().await.status, 413, "{length}");
            assert_eq!(peer.rest().await, b"", "the connection is closed");
        }
        assert!(front.refused().iter().all(|refused| refused.code == "too_large" && refused.body_length == 0));
    });
}

#[test]
fn its_sender_reads_the_answer_once_it_has_sent_everything() {
    run(async {
        let front = Front::new(&config()).await;
        let mut peer = front.connect().await;
        peer.send(&head(4 * 1024 * 1024)).await;
        for _ in 0..64 {
            // It meets no error meanwhile, as it would if the connection were closed at once.
            peer.send(&[b' '; 64 * 1024]).await;
        }
        assert_eq!(peer.answer().await.status, 413);
    });
}

#[test]
fn a_body_that_turns_out_too_large_is_refused_with_what_was_read() {
    run(async {
        let mut config = config();
        config.endpoints[0].body_limit = 10;
        let front = Front::new(&config).await;
        let chunked =
            b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n78901\r\n";
        let mut peer = front.connect().await;
        peer.send(chunked).await;
        assert_eq!(peer.answer().await.status, 413, "though its end has not come");
        let refusal = front.refusal();
        assert_eq!((refusal.body.as_ref(), refusal.body_length), (&b"1234567890"[..], 10));
    });
}

#[test]
fn a_body_that_is_too_slow_is_refused() {
    run(async {
        let front = Front::new(&short_body_timeout()).await;
        let mut peer = front.connect().await;
        peer.send(&head(100)).await;
        peer.send(b"some of it").await;
        let answer = peer.answer().await;
        assert_eq!((answer.status, answer.json()), (408, json!({"error": "timeout"})));
        assert_eq!(peer.rest().await, b"", "the connection is closed");
        let refusal = front.refusal();
        let reason = "slow body: expected the end of the body within the time-out, found it incomplete";
        assert_eq!((refusal.code, &*refusal.reason), ("body_timeout", reason));
        assert_eq!((refusal.body.as_ref(), refusal.body_length), (&b"some of it"[..], 10));
    });
}

#[test]
fn a_body_that_trickles_is_refused_all_the_same() {
    run(async {
        let front = Front::new(&short_body_timeout()).await;
        let mut peer = front.connect().await;
        peer.send(&head(1_000_000)).await;
        let trickling = async {
            while front.refused().is_empty() {
                peer.send_what_is_taken(b" ").await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("the request is refused", trickling).await;
        assert_eq!(peer.answer().await.status, 408);
    });
}

#[test]
fn a_body_that_is_cut_off_is_refused() {
    run(async {
        let front = Front::new(&config()).await;
        let mut peer = front.connect().await;
        peer.send(&head(100)).await;
        peer.send(b"some of it").await;
        peer.stream.shutdown().await.unwrap();
        until("the request is refused", || !front.refused().is_empty()).await;
        let refusal = front.refusal();
        let reason = "incomplete body: expected 100 bytes, as the headers declare, found 10";
        assert_eq!((refusal.status, refusal.code, &*refusal.reason), (400, "incomplete_body", reason));
        assert_eq!(front.events().len(), 0);
    });
}

#[test]
fn a_chunked_body_that_is_cut_off_is_refused() {
    run(async {
        let front = Front::new(&config()).await;
        let mut peer = front.connect().await;
        peer.send(b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n").await;
        peer.stream.shutdown().await.unwrap();
        until("the request is refused", || !front.refused().is_empty()).await;
        let reason = "incomplete body: the connection closed before the end of the body";
        assert_eq!((front.refusal().code, &*front.refusal().reason), ("incomplete_body", reason));
    });
}

#[test]
fn a_sender_that_asks_first_is_told_to_go_on() {
    run(async {
        let front = Front::new(&config()).await;
        let mut peer = front.connect().await;
        let webhook = request("POST", "/webhook", &[signed(b"{}"), header("Expect", "100-continue")].concat(), b"{}");
        let (head, body) = webhook.split_at(webhook.len() - 2);
        peer.send(head).await;
        assert_eq!(peer.answer().await.status, 100);
        peer.send(body).await;
        peer.answer().await.id();
    });
}

/// A chunked request with so many bytes of a body, and the end of it.
fn chunked(length: usize) -> (Vec<u8>, &'static [u8]) {
    let body = vec![b' '; length];
    let mut head = String::from_utf8(request("POST", "/webhook", &signed(&body), b"")).unwrap();
    head = head.replace("Content-Length: 0", "Transfer-Encoding: chunked");
    ([format!("{head}{length:x}\r\n").as_bytes(), &body, b"\r\n"].concat(), b"0\r\n\r\n")
}

#[test]
fn all_bodies_together_have_a_bound_from_their_first_byte_to_their_commit() {
    run(async {
        let mut config = config();
        config.endpoints[0].body_limit = 100_000;
        config.limits.body_memory = 250_000;
        let front = Front::new(&config).await;
        front.ledger.hang();
        let mut peers = Vec::new();
        for number in [1, 2] {
            let (body, end) = chunked(90_000);
            let mut peer = front.connect_from(number).await;
            peer.send(&body).await;
            peers.push((peer, end));
        }
        // What is declared and not sent counts for nothing.
        let mut idle = front.connect().await;
        idle.send(&head(100_000)).await;
        let (refused, front) = {
            let (body, _) = chunked(90_000);
            // The others may not have been read yet.
            let asking = async {
                loop {
                    let mut peer = front.connect_from(3).await;
                    peer.send_what_is_taken(&body).await;
                    let answer = tokio::time::timeout(SHORT, peer.next()).await;
                    if let Ok(Some(answer)) = answer {
                        break answer;
                    }
                }
            };
            (within("one too many is refused", asking).await, front)
        };
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
        assert_eq!(refused.json(), json!({"error": "unavailable"}));
        let told = &front.refused()[0];
        let reason = "too much at a time: expected room for the body within `limits.body_memory`, found it in use, or half of it by one address; raise the limit";
        assert_eq!((told.code, &*told.reason), ("memory_full", reason));
        // Small ones have room.
        front.ledger.go.add_permits(1);
        front.webhook("{}").await.id();
        // The whole bodies wait for their commit, and keep their memory meanwhile.
        for (peer, end) in &mut peers {
            peer.send(end).await;
        }
        until("the commits begin", || front.ledger.begun() == 3).await;
        let mut third = front.connect_from(3).await;
        third.send(&[chunked(90_000).0, b"0\r\n\r\n".to_vec()].concat()).await;
        assert_eq!(third.answer().await.status, 503);
        front.ledger.go.add_permits(3);
        for (peer, _) in &mut peers {
            peer.answer().await;
        }
        // The fake ledger keeps the events, and so their memory.
        front.ledger.events.lock().unwrap().clear();
        let (body, end) = chunked(90_000);
        until("their memory is free", || front.events().is_empty()).await;
        front.ask(&[&body, end].concat()).await.id();
    });
}

#[test]
fn one_address_has_half_of_the_memory_and_room_for_one_body() {
    // The memory, and how many bodies of 90,000 bytes one address may have arriving; another address has room for one more.
    for (memory, most) in [(401_000, 2), (250_000, 1), (205_000, 1), (1_100_000, 5)] {
        run(async {
            let mut config = config();
            config.endpoints[0].body_limit = 100_000;
            config.limits.body_memory = memory;
            let front = Front::new(&config).await;
            let (body, end) = chunked(90_000);
            let (mut taken, mut refused) = (Vec::new(), 0);
            // Each sends its rest only when all have come, or been refused.
            for _ in 0..most + 3 {
                let mut peer = front.connect().await;
                peer.send_what_is_taken(&body).await;
                match tokio::time::timeout(SHORT, peer.next()).await {
                    Ok(Some(answer)) if answer.status == 503 => refused += 1,
                    Ok(answer) => panic!("{answer:?}"),
                    Err(_) => taken.push(peer),
                }
            }
            assert_eq!((taken.len(), refused), (most, 3), "{memory}");
            let mut other = front.connect_from(2).await;
            other.send(&[&body, end].concat()).await;
            other.answer().await.id();
            for peer in &mut taken {
                peer.send(end).await;
                peer.answer().await.id();
            }
            front.ledger.events.lock().unwrap().clear();
            until("their memory is free", || front.events().is_empty()).await;
            front.ask(&[&body, end].concat()).await.id();
        });
    }
}
