//! An order on its way: begun in the ledger, carried out part by part in a task of its own, and ended.

use super::answer::Refusal;
use super::fields::Fields;
use super::parts::AdminParts;
use crate::access::Caller;
use crate::ledger::{
    BegunOrder, Ledger, LedgerError, NewOrder, OrderEnd, OrderPart, OrderRecord, OrderSource, OrderVerb,
};
use crate::random::{Randomness, SystemRandomness};
use crate::wire::{OrderResult, OrderTerms};
use http::StatusCode;
use http::header::{HeaderMap, USER_AGENT};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::oneshot;

/// The longest note, in characters.
const LONGEST_NOTE: usize = 500;
/// The longest key, in bytes.
const LONGEST_KEY: usize = 64;

/// Who gives an order, and where.
#[derive(Debug, Clone)]
pub(crate) struct OrderedBy {
    who: Box<str>,
    source: OrderSource,
}

impl OrderedBy {
    /// Somebody at the page.
    pub(crate) fn page(caller: &Caller) -> Self {
        Self { who: caller.name().unwrap_or("local").into(), source: OrderSource::Page }
    }

    /// A program that asks the API: our own commands say who they are.
    pub(super) fn program(caller: &Caller, headers: &HeaderMap) -> Self {
        let agent = headers.get(USER_AGENT).map(|agent| agent.as_bytes());
        let is_command = agent.is_some_and(|agent| agent.starts_with(b"pylon-receiver/"));
        let source = if is_command { OrderSource::Command } else { OrderSource::Api };
        Self { source, ..Self::page(caller) }
    }
}

/// How an order is known, and what it is about.
pub(super) struct Given {
    pub(super) by: OrderedBy,
    pub(super) terms: OrderTerms,
    pub(super) verb: OrderVerb,
    pub(super) what: Value,
    /// None: it is still to be counted.
    pub(super) counted: Option<u64>,
}

impl Given {
    fn into_order(self, fields: &Fields) -> Result<NewOrder, Refusal> {
        let Self { by, terms: OrderTerms { key, note, .. }, verb, what, counted } = self;
        let is_key = |key: &str| {
            let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(is_fit)
        };
        if key.as_deref().is_some_and(|key| !is_key(key)) {
            let fault = format!("expected 1 to {LONGEST_KEY} letters, digits, `-` or `_`, found another text");
            return Err(fields.malformed("key", fault));
        }
        let note = note.map(|note| note.trim().to_owned()).filter(|note| !note.is_empty());
        if note.as_deref().is_some_and(|note| note.chars().count() > LONGEST_NOTE) {
            let fault = format!("expected {LONGEST_NOTE} characters at most, found more");
            return Err(fields.malformed("note", fault));
        }
        let key = key.unwrap_or_else(random_key).into();
        Ok(NewOrder { key, who: by.who, source: by.source, verb, what, note: note.map(Into::into), counted })
    }
}

/// A key that no other order has.
pub(crate) fn random_key() -> String {
    let mut bytes = [0; 16];
    SystemRandomness.fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// An order at work.
pub(super) struct Hand {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) number: u64,
    /// How many deliveries were made, moved or dropped.
    done: Arc<AtomicU64>,
    last_part: Instant,
}

/// The order is not under way any more: somebody has cancelled it, for instance.
pub(super) struct Over;

impl Hand {
    /// Does a part; says how many deliveries that were.
    pub(super) async fn carry_out(&mut self, part: OrderPart) -> Result<Result<u64, Over>, LedgerError> {
        let carried = self.ledger.carry_out(self.number, part).await?;
        self.done.fetch_add(carried.done, Ordering::Relaxed);
        self.last_part = Instant::now();
        Ok(if carried.is_over { Err(Over) } else { Ok(carried.done) })
    }

    /// Says that it is still at work, where nothing was done for a while.
    pub(super) async fn keep_alive(&mut self) -> Result<Result<u64, Over>, LedgerError> {
        if self.last_part.elapsed() < OrderRecord::LEASE / 6 {
            return Ok(Ok(0));
        }
        self.carry_out(OrderPart::Counting(None)).await
    }
}

/// Begins the order, unless its key says that it has begun before; carries it out; answers with what came of it, or at once.
pub(super) async fn give<F>(
    parts: &AdminParts,
    given: Given,
    fields: &Fields,
    work: impl FnOnce(Hand) -> F + Send + 'static,
) -> Result<OrderResult, Refusal>
where
    F: Future<Output = Result<Result<(), Over>, LedgerError>> + Send + 'static,
{
    let (verb, at_once, what) = (given.verb, given.terms.at_once, given.what.clone());
    let order = given.into_order(fields)?;
    let BegunOrder { record, is_new } = parts.ledger.begin_order(order).await?;
    if !is_new {
        if record.verb == verb && record.what == what {
            return Ok(result(&record));
        }
        let message =
            format!("key used: expected one that no order has, found that of order {}; leave it out", record.number);
        return Err(Refusal::new(StatusCode::CONFLICT, "key_used", message));
    }
    let ending = spawn(parts, record.number, verb, work);
    if at_once {
        return Ok(result(&record));
    }
    let ended = ending.await.map_err(|_| {
        let message = "the order broke off; the log says why";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })?;
    match ended {
        Ok(record) => Ok(result(&record)),
        Err((error, done)) => Err(Refusal::from(error).adding(&format!("; {done} were {} before that", past(verb)))),
    }
}

/// What became of an order, or why it failed, and what it had done by then.
type Ended = Result<OrderRecord, (LedgerError, u64)>;

/// In a task of its own: a caller that hangs up must not leave the order half done and unlogged.
fn spawn<F>(parts: &AdminParts, number: u64, verb: OrderVerb, work: impl FnOnce(Hand) -> F) -> oneshot::Receiver<Ended>
where
    F: Future<Output = Result<Result<(), Over>, LedgerError>> + Send + 'static,
{
    let (ledger, done) = (parts.ledger.clone(), Arc::new(AtomicU64::new(0)));
    let hand = Hand { ledger: ledger.clone(), number, done: done.clone(), last_part: Instant::now() };
    let (work, stopping) = (work(hand), parts.orders.stopping());
    parts.orders.spawn(async move {
        let worked = tokio::select! {
            biased;
            () = stopping => None,
            worked = work => Some(worked),
        };
        let (end, error) = match worked {
            None => (OrderEnd::BrokenOff, None),
            Some(Ok(Ok(()) | Err(Over))) => (OrderEnd::Done, None),
            Some(Err(error)) => (OrderEnd::Failed(error.to_string().into()), Some(error)),
        };
        // One that was cancelled stays cancelled.
        let ended = ledger.end_order(number, end).await;
        if let Ok(Some(OrderRecord { who, source, state, counted, done, .. })) = &ended {
            tracing::info!(order = number, who, %source, %state, matched = counted, done, "an operator's order: {}", past(verb));
        }
        let done = done.load(Ordering::Relaxed);
        let unknown = || LedgerError::Failed(format!("expected the order {number}, found none").into());
        match (error, ended) {
            (Some(error), _) | (None, Err(error)) => {
                tracing::error!(order = number, done, %error, "an operator's order failed");
                Err((error, done))
            }
            (None, Ok(ended)) => ended.ok_or_else(|| (unknown(), done)),
        }
    })
}

/// The answer to an order.
fn result(record: &OrderRecord) -> OrderResult {
    let mut result = nothing_done(record.verb, record.counted.unwrap_or(record.taken));
    *count_of(&mut result, record.verb) = Some(record.done);
    result.unrouted = (record.unrouted > 0).then_some(record.unrouted);
    (result.order, result.state) = (Some(record.number), Some(record.state));
    result
}

/// The answer to an order that only counts.
pub(super) fn nothing_done(verb: OrderVerb, matched: u64) -> OrderResult {
    let mut result = OrderResult { matched, ..OrderResult::default() };
    *count_of(&mut result, verb) = Some(0);
    result
}

fn count_of(result: &mut OrderResult, verb: OrderVerb) -> &mut Option<u64> {
    match verb {
        OrderVerb::Redeliver => &mut result.redelivered,
        OrderVerb::Move => &mut result.moved,
        OrderVerb::Drop => &mut result.dropped,
    }
}

/// The verb's past participle.
pub(super) const fn past(verb: OrderVerb) -> &'static str {
    match verb {
        OrderVerb::Redeliver => "redelivered",
        OrderVerb::Move => "moved",
        OrderVerb::Drop => "dropped",
    }
}
