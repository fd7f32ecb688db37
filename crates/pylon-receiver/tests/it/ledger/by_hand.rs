//! One part of an order as an order of its own.

use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An order that is known by this key.
pub(crate) fn new_order(key: &str) -> NewOrder {
    NewOrder {
        key: key.into(),
        who: "anna".into(),
        source: OrderSource::Api,
        verb: OrderVerb::Redeliver,
        what: serde_json::json!({ "all": true }),
        note: None,
        counted: None,
    }
}

/// An order that no other one is like.
pub(crate) fn another_order() -> NewOrder {
    static LAST: AtomicU64 = AtomicU64::new(0);
    new_order(&format!("order-{}", LAST.fetch_add(1, Ordering::Relaxed)))
}

/// Orders of one part each: begun, carried out, ended.
pub(crate) trait ByHand: Ledger {
    fn give(&self, part: OrderPart) -> impl Future<Output = Result<u64, LedgerError>> + Send {
        async move {
            let number = self.begin_order(another_order()).await?.record.number;
            let carried = self.carry_out(number, part).await?;
            assert!(!carried.is_over, "it is under way");
            self.end_order(number, OrderEnd::Done).await?;
            Ok(carried.done)
        }
    }

    fn redeliver(
        &self,
        events: Vec<EventId>,
        destination: Option<Arc<str>>,
    ) -> impl Future<Output = Result<u64, LedgerError>> + Send {
        self.give(OrderPart::Redeliver { events, destination })
    }

    fn route(&self, events: Vec<(EventId, Vec<NewDelivery>)>) -> impl Future<Output = Result<u64, LedgerError>> + Send {
        self.give(OrderPart::Route(events))
    }

    fn redeliver_dead(&self, deliveries: Vec<DeliveryId>) -> impl Future<Output = Result<u64, LedgerError>> + Send {
        self.give(OrderPart::RedeliverDead(deliveries))
    }

    fn drop_dead(&self, deliveries: Vec<DeliveryId>) -> impl Future<Output = Result<u64, LedgerError>> + Send {
        self.give(OrderPart::DropDead(deliveries))
    }

    fn move_deliveries(&self, from: Arc<str>, to: Arc<str>) -> impl Future<Output = Result<u64, LedgerError>> + Send {
        self.give(OrderPart::Move { from, to })
    }

    fn drop_deliveries(&self, destination: Arc<str>) -> impl Future<Output = Result<u64, LedgerError>> + Send {
        self.give(OrderPart::Drop { destination })
    }
}

impl<L: Ledger + ?Sized> ByHand for L {}
