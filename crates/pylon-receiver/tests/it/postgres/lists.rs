//! Lists that go through many rows a part at a time.

use super::stage::{Stage, deliver_all, keep_all, numbered};
use crate::ledger::contract::{Draft, all, delivery};
use futures_util::future::poll_immediate;
use pylon_receiver::EventId;
use pylon_receiver::ledger::*;
use std::time::Duration;

const MANY: u32 = 9000;

/// Many events, of which every 2,900th is another one in all that a filter can ask for.
async fn filled(stage: &Stage) -> (std::sync::Arc<dyn Ledger>, Vec<EventId>) {
    let ledger = stage.ledger().await;
    let draft = |number: u32| match number % 2900 {
        7 => numbered(number)
            .named("issue_message_new")
            .through("second")
            .with_body(r#"{"issue_number": "77"}"#)
            .to("rare"),
        _ => numbered(number).to("app"),
    };
    let ids = keep_all(&ledger, (0..MANY).map(draft)).await;
    let rare = ids.into_iter().skip(7).step_by(2900).collect();
    assert_eq!(deliver_all(&*ledger, &Verdict::Delivered).await, MANY as usize - 4);
    (ledger, rare)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rare_is_found_in_either_order_and_page_for_page() {
    let Some(stage) = Stage::open().await else { return };
    let (ledger, rare) = filled(&stage).await;
    let none = EventFilter::default;
    let filters = [
        EventFilter { kind: Some("Issue.Message.New".into()), ..none() },
        EventFilter { endpoint: Some("second".into()), ..none() },
        EventFilter { contains: Some(r#""issue_number":"77""#.into()), ..none() },
        EventFilter { issue: Some("#77".into()), ..none() },
        EventFilter { state: Some(EventState::Pending), ..none() },
    ];
    for filter in filters {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            for limit in [1, 3, u32::MAX] {
                let (mut listed, mut after): (Vec<EventId>, _) = (Vec::new(), None);
                loop {
                    let page = ledger.events(filter.clone(), Page { after, limit, order }).await.unwrap();
                    assert!(page.len() <= limit as usize);
                    let Some(last) = page.last() else { break };
                    after = Some(last.id);
                    listed.extend(page.iter().map(|record| record.id));
                }
                if order == Order::NewestFirst {
                    listed.reverse();
                }
                assert_eq!(listed, rare, "{filter:?}, {order:?}, {limit} a page");
            }
        }
    }
    let id = EventFilter { id: Some(rare[2].to_string()[24..].parse().unwrap()), ..none() };
    assert_eq!(ledger.events(id, all()).await.unwrap()[0].id, rare[2]);
    let to_rare = DeliveryFilter { destination: Some("rare".into()), ..DeliveryFilter::default() };
    let about = DeliveryFilter { issue: Some("77".into()), ..DeliveryFilter::default() };
    let waiting = DeliveryFilter { state: Some(DeliveryState::Waiting), ..DeliveryFilter::default() };
    let expected: Vec<_> = rare.iter().map(|&id| delivery(id, 1)).collect();
    for filter in [to_rare, about, waiting] {
        for limit in [1, 3, u32::MAX] {
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let page = Page { after, limit, order: Order::NewestFirst };
                let page = ledger.deliveries(filter.clone(), page).await.unwrap();
                let Some(last) = page.last() else { break };
                after = Some(last.id);
                listed.extend(page.iter().map(|record| record.id));
            }
            listed.reverse();
            assert_eq!(listed, expected, "{filter:?}, {limit} a page");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_ends_in_time_and_when_the_ledger_is_closed() {
    let Some(stage) = Stage::open().await else { return };
    let (_, rare) = filled(&stage).await;
    let impatient =
        stage.ledger_with(PostgresOptions { search_within: Duration::ZERO, ..PostgresOptions::default() }).await;
    let contains = |text: &str| EventFilter { contains: Some(text.into()), ..EventFilter::default() };
    let newest = Page { after: None, limit: 1, order: Order::NewestFirst };
    assert_eq!(impatient.events(contains("nowhere"), newest).await, Err(LedgerError::Slow));
    let about = DeliveryFilter { issue: Some("78".into()), ..DeliveryFilter::default() };
    assert_eq!(impatient.deliveries(about, Page { after: None, ..all() }).await, Err(LedgerError::Slow));
    assert_eq!(impatient.event(rare[0]).await.unwrap().unwrap().record.id, rare[0], "this is no search");

    let ledger = stage.ledger().await;
    // The search waits for bodies, which somebody has locked, until after the ledger was asked to close.
    let mut other = stage.another_session().await;
    let holder = other.transaction().await.unwrap();
    holder.batch_execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let search = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.events(contains("nowhere"), newest).await }
    });
    stage.until_waiting_for(holder.client(), 1).await;
    let mut closing = ledger.close();
    assert!(poll_immediate(&mut closing).await.is_none(), "it waits for the search");
    holder.commit().await.unwrap();
    assert_eq!(search.await.unwrap(), Err(LedgerError::Closed));
    assert_eq!(closing.await, Ok(()));
}
