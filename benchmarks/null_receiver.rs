//! The receiver with a ledger that keeps nothing, for `make bench`: what everything but durability costs.
//!
//! Accepts signed webhooks at `/webhook`, with the secret in PYLON_WEBHOOK_SECRET, and loses every one of them. Logs warnings, as
//! the receiver beside it does. Ends when it is killed.
//!
//! Usage: null_receiver LISTEN ADMIN      two addresses on loopback

use pylon_receiver::config::{EndpointConfig, SecretSource};
use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Moment, Receiver};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut addresses = std::env::args().skip(1);
    let mut address = || -> Result<SocketAddr, Box<dyn Error>> {
        let address: SocketAddr = addresses.next().ok_or("expected two addresses, found fewer")?.parse()?;
        if address.ip().is_loopback() { Ok(address) } else { Err(format!("{address} is not on loopback").into()) }
    };
    tracing_subscriber::fmt().json().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let secret = SecretSource::Environment("PYLON_WEBHOOK_SECRET".into());
    let receiver = Receiver::builder()
        .listen(address()?)
        .admin(address()?)
        .ledger(Arc::new(Nothing(Bell::default())))
        .endpoint(EndpointConfig::signed("/webhook", [secret]))
        .start()
        .await?;
    std::future::pending::<()>().await;
    receiver.shutdown().await?;
    Ok(())
}

/// Keeps nothing and says that all is well.
struct Nothing(Bell);

fn ready<'a, T: Send + 'a>(value: T) -> LedgerFuture<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Ledger for Nothing {
    fn record(&self, _: NewEvent) -> LedgerFuture<'_, Recorded> {
        ready(Recorded::Stored)
    }
    fn keep_refused(&self, _: NewRefused) {}
    fn exchange(&self, exchange: Exchange) -> LedgerFuture<'_, Exchanged> {
        ready(Exchanged { settled: vec![Settled::Fenced; exchange.settlements.len()], claimed: Claimed::default() })
    }
    fn renew(&self, leases: Vec<Lease>, _: Duration) -> LedgerFuture<'_, Vec<bool>> {
        ready(vec![false; leases.len()])
    }
    fn release(&self, _: Owner) -> LedgerFuture<'_, u64> {
        ready(0)
    }
    fn wakes(&self) -> Wakes {
        self.0.wakes()
    }
    fn begin_order(&self, _: NewOrder) -> LedgerFuture<'_, BegunOrder> {
        Box::pin(std::future::ready(Err(LedgerError::ReadOnly)))
    }
    fn carry_out(&self, _: u64, _: OrderPart) -> LedgerFuture<'_, Carried> {
        ready(Carried { done: 0, is_over: true })
    }
    fn end_order(&self, _: u64, _: OrderEnd) -> LedgerFuture<'_, Option<OrderRecord>> {
        ready(None)
    }
    fn cancel_order(&self, _: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        ready(None)
    }
    fn orders(&self, _: Page<u64>) -> LedgerFuture<'_, Vec<OrderRecord>> {
        ready(Vec::new())
    }
    fn order(&self, _: u64) -> LedgerFuture<'_, Option<OrderRecord>> {
        ready(None)
    }
    fn present(&self) -> LedgerFuture<'_, Moment> {
        ready(Moment::from_unix_milliseconds(0))
    }
    fn prune(&self, _: Prune) -> LedgerFuture<'_, Pruned> {
        ready(Pruned::Here { events: 0, more: false })
    }
    fn events(&self, _: EventFilter, _: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>> {
        ready(Vec::new())
    }
    fn event(&self, _: EventId) -> LedgerFuture<'_, Option<EventDetail>> {
        ready(None)
    }
    fn deliveries(&self, _: DeliveryFilter, _: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>> {
        ready(Vec::new())
    }
    fn refused(&self, _: RefusedFilter, _: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>> {
        ready(Vec::new())
    }
    fn dead_groups(&self) -> LedgerFuture<'_, Vec<DeadGroup>> {
        ready(Vec::new())
    }
    fn stats(&self) -> LedgerFuture<'_, Stats> {
        ready(Stats::default())
    }
    fn check(&self) -> LedgerFuture<'_, ()> {
        ready(())
    }
    fn close(&self) -> LedgerFuture<'_, ()> {
        ready(())
    }
}
