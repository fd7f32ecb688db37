//! Time belongs to the ledger: a clock that is set back holds up nothing.

use super::*;

pub(crate) async fn no_retry_waits_longer_than_its_delay<S: Subject>(mut desk: Desk<S>) {
    for step in [1, 29, 3600, 400_000_000] {
        let id = delivery(desk.keep(event(500_000_000).numbered(9).to("app")).await, 1);
        desk.end(500_000_000, retry(30)).await;
        desk.set_back(500_000_000 - step);
        assert_eq!(ids(&desk.claim(claim(500_000_000 - step)).await), [], "{step} s back: not before its delay");
        assert_eq!(ids(&desk.claim(claim(500_000_000 - step + 30)).await), [id], "{step} s back");
        desk = Desk::open().await;
    }
}

pub(crate) async fn a_step_back_between_two_starts_holds_up_nothing<S: Subject>(mut desk: Desk<S>) {
    let id = delivery(desk.keep(event(5000).to("app")).await, 1);
    desk.end(5000, retry(30)).await;
    desk.set_back(0);
    desk.crash().await;
    assert_eq!(desk.due(29).await, [id][..0], "its first look: the time goes on from here");
    assert_eq!(desk.due(30).await, [], "29 s later");
    assert_eq!(desk.due(59).await, [id]);
}

pub(crate) async fn what_is_recorded_after_a_step_back_is_due_at_once<S: Subject>(desk: Desk<S>) {
    let before = delivery(desk.keep(event(5000).to("app")).await, 1);
    desk.set_back(0);
    let after = delivery(desk.keep(event(0).to("app")).await, 1);
    assert_eq!(desk.due(0).await, [before, after]);
}

pub(crate) async fn no_lease_lasts_longer_than_its_length<S: Subject>(desk: Desk<S>) {
    let id = delivery(desk.keep(event(5000).to("app")).await, 1);
    assert_eq!(desk.due(5000).await, [id]);
    desk.set_back(0);
    assert_eq!(desk.due(0).await, [], "it holds");
    assert_eq!(desk.due(59).await, []);
    assert_eq!(desk.due(60).await, [id]);
}

pub(crate) async fn no_deduplication_key_lasts_longer_than_its_time<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(5000).keyed("a", Some(10))).await;
    desk.set_back(0);
    assert_eq!(desk.record(event(0).keyed("a", Some(10))).await, Recorded::Duplicate(id));
    assert_eq!(desk.record(event(9).keyed("a", Some(10))).await, Recorded::Duplicate(id));
    desk.keep(event(10).keyed("a", Some(10))).await;
}

pub(crate) async fn the_due_time_that_is_shown_goes_by_the_clock_as_it_is<S: Subject>(desk: Desk<S>) {
    let id = delivery(desk.keep(event(5000).to("app")).await, 1);
    desk.end(5000, retry(30)).await;
    desk.set_back(100);
    desk.ledger().check().await.unwrap();
    assert_eq!(desk.delivery(id).await.due_at, Some(at(130)));
    let stats = desk.stats(131).await;
    assert_eq!(stats.destinations[0].oldest_due_at, Some(at(130)));
}
