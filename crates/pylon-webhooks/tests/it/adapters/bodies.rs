use super::*;

#[test]
fn one_that_breaks_off_is_unreadable_and_runs_no_handler() {
    let body = BODY.as_bytes();
    let (half, rest) = body.split_at(20);
    let piece = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
    // Even where all of it had come: the server says that the request was not whole.
    for pieces in [
        vec![None],
        vec![piece(half), None],
        vec![piece(half), piece(rest), None],
        vec![piece(half), None, piece(rest)],
    ] {
        for adapter in ADAPTERS {
            let seen = Seen::default();
            let (answer, lines) = run(adapter.ask(&seen, "POST", &signed(body), &pieces));
            assert_eq!(answer, Answer::of(Outcome::Unreadable), "{adapter:?}");
            assert_eq!(seen.taken(), [""; 0], "{adapter:?}");
            assert_eq!(
                lines,
                ["WARN message=a request was refused: incomplete body: the connection closed before the end of the \
                  body \
                  outcome=\"unreadable\""],
                "{adapter:?}"
            );
        }
    }
}

#[test]
fn one_that_ends_before_its_declared_length_is_unreadable() {
    let mut headers = signed(BODY.as_bytes());
    headers.push(("Content-Length".into(), b"1000".into()));
    for adapter in ADAPTERS {
        let seen = Seen::default();
        let (answer, _) = run(adapter.ask(&seen, "POST", &headers, &[Some(Bytes::from_static(BODY.as_bytes()))]));
        assert_eq!((answer, seen.taken()), (Answer::of(Outcome::Unreadable), vec![]), "{adapter:?}");
    }
}

#[test]
fn one_of_which_nothing_comes_is_unreadable_and_no_fault_of_the_apps() {
    let mut headers = signed(BODY.as_bytes());
    headers.push(("Content-Length".into(), b"58".into()));
    for adapter in ADAPTERS {
        let seen = Seen::default();
        let (answer, lines) = run(adapter.ask(&seen, "POST", &headers, &[]));
        assert_eq!((answer, seen.taken()), (Answer::of(Outcome::Unreadable), vec![]), "{adapter:?}");
        assert_eq!(
            lines,
            ["WARN message=a request was refused: incomplete body: expected 58 bytes, as the headers declare, found \
              none; the sender disconnected, or something else read the body first outcome=\"unreadable\""],
            "{adapter:?}"
        );
    }
}

#[test]
fn one_with_a_transfer_encoding_is_judged_by_what_is_read_and_not_by_what_is_declared() {
    let chunked = || ("Transfer-Encoding".to_owned(), b"chunked".to_vec());
    for declared in ["0", "59", "1048577"] {
        let length = || ("Content-Length".to_owned(), declared.as_bytes().to_vec());
        for both in [[chunked(), length()], [length(), chunked()]] {
            for adapter in ADAPTERS {
                let seen = Seen::default();
                let mut headers = signed(BODY.as_bytes());
                headers.extend(both.clone());
                let pieces = [Some(Bytes::from_static(BODY.as_bytes()))];
                let (answer, _) = run(adapter.ask(&seen, "POST", &headers, &pieces));
                assert_eq!((answer.status, seen.taken()), (200, vec!["issue_new".into()]), "{adapter:?} {both:?}");

                let pieces = [Some(Bytes::from(vec![b' '; LIMIT])), Some(Bytes::from_static(b" "))];
                let (answer, _) = run(adapter.ask(&seen, "POST", &headers, &pieces));
                assert_eq!(answer, Answer::of(Outcome::TooLarge), "{adapter:?} {both:?}");
            }
        }
    }
}

#[test]
fn one_byte_beyond_the_limit_is_too_large_however_it_comes() {
    let body = vec![b' '; LIMIT + 1];
    let whole = vec![Some(Bytes::from(body.clone()))];
    let byte_last = vec![Some(Bytes::from(vec![b' '; LIMIT])), Some(Bytes::from_static(b" "))];
    let then_broken = vec![Some(Bytes::from(body.clone())), None];
    for pieces in [whole, byte_last, then_broken] {
        for adapter in ADAPTERS.into_iter().filter(|adapter| *adapter != Adapter::Endpoint) {
            let (answer, _) = run(adapter.ask(&Seen::default(), "POST", &signed(&body), &pieces));
            assert_eq!(answer, Answer::of(Outcome::TooLarge), "{adapter:?}");
        }
    }
}

#[test]
fn one_that_never_ends_is_given_up_at_the_limit() {
    let pieces = || std::iter::repeat_n(Bytes::from(vec![b' '; 1000]), LIMIT / 1000 + 1);
    let ((tower, actix), _) = run(async {
        let body = Pieces::<io::Error>::new(pieces().map(Ok)).endless();
        let tower = ask_tower(WebhookService::new(verifying()), http_request("POST", "/", &[], body)).await;
        let resource = webhook_resource(verifying(), "/webhook");
        let body = Pieces::new(pieces().map(Ok)).endless();
        let actix = ask_actix(Box::new(|config| _ = config.service(resource)), "POST", "/webhook", &[], body).await;
        (tower, actix)
    });
    assert_eq!((tower, actix), (Answer::of(Outcome::TooLarge), Answer::of(Outcome::TooLarge)));
}

#[test]
fn one_that_knows_itself_too_large_is_not_read_where_no_header_says_so() {
    for (lower, outcome) in
        [(LIMIT as u64, Outcome::Unauthorized), (LIMIT as u64 + 1, Outcome::TooLarge), (u64::MAX, Outcome::TooLarge)]
    {
        // Read, it would be waited for without end.
        let mut body = Pieces::<io::Error>::new([]);
        body.is_endless = outcome == Outcome::TooLarge;
        body.hint.set_lower(lower);
        let (answer, _) = run(ask_tower(WebhookService::new(verifying()), http_request("POST", "/", &[], body)));
        assert_eq!(answer, Answer::of(outcome), "{lower}");
    }
}

#[test]
fn one_that_the_headers_refuse_is_not_read() {
    for (method, length) in
        [("GET", "5"), ("DELETE", "5"), ("POST", "1048577"), ("PUT", "1048577"), ("PATCH", "1048577")]
    {
        let headers = [("Content-Length".to_owned(), length.as_bytes().to_vec())];
        let ((tower, actix), _) = run(async {
            let body = Pieces::<io::Error>::new([]).endless();
            let tower = ask_tower(WebhookService::new(verifying()), http_request(method, "/", &headers, body)).await;
            let resource = webhook_resource(verifying(), "/webhook");
            let configure: Configure = Box::new(|config| _ = config.service(resource));
            (tower, ask_actix(configure, method, "/webhook", &headers, Pieces::new([]).endless()).await)
        });
        assert_eq!(tower, actix);
        assert_eq!(tower.status, if length == "5" { 405 } else { 413 });
    }
}

#[test]
fn trailers_behind_one_change_nothing() {
    struct Trailed(Option<Bytes>, bool);
    impl Body for Trailed {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            if let Some(body) = self.0.take() {
                return Poll::Ready(Some(Ok(Frame::data(body))));
            }
            let was_sent = std::mem::replace(&mut self.1, true);
            Poll::Ready((!was_sent).then(|| Ok(Frame::trailers(http::HeaderMap::new()))))
        }
    }
    let body = Trailed(Some(Bytes::from_static(BODY.as_bytes())), false);
    let request = http_request("POST", "/", &signed(BODY.as_bytes()), body);
    let (answer, _) = run(ask_tower(WebhookService::new(verifying()), request));
    assert_eq!(answer, Answer::of(Outcome::Handled));
}

#[test]
fn an_answer_to_head_has_none() {
    for body in [Pieces::<io::Error>::new([]), Pieces::cut(BODY.as_bytes(), 2)] {
        let request = http_request("HEAD", "/", &[], body);
        let (answer, _) = run(ask_tower(WebhookService::new(verifying()), request));
        assert_eq!(answer, Answer { json: Value::Null, ..Answer::of(Outcome::MethodNotAllowed) });
    }
}
