//! What it takes a ledger on PostgreSQL to lease deliveries, 64 at a time, and to settle them. Several ledgers take turns.
//!
//! Each turn leases through the ledger's own code what is due at the destination `app`, and then settles it as delivered: a turn uses up
//! what it leases. Prints a line of JSON for each ledger, in the order of the addresses: medians and the longest, in milliseconds.
//!
//! Usage: claims TURNS URL...

use pylon_receiver::ledger::{
    Claim, Exchange, Ledger, NewAttempt, Owner, PostgresLedger, PostgresOptions, Settlement, Verdict,
};
use pylon_receiver::{PostgresAddress, SystemRandomness};
use serde_json::json;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Deliveries in one claim.
const CLAIMED: usize = 64;
/// Turns that nobody counts.
const WARM_UP: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let turns: usize = arguments.next().ok_or("usage: claims TURNS URL...")?.parse()?;
    let mut contestants = Vec::new();
    for url in arguments {
        let address: PostgresAddress = url.parse()?;
        let ledger = PostgresLedger::connect(&address, PostgresOptions::default()).await?;
        contestants.push(Contestant { ledger, claims: Vec::new(), settlements: Vec::new() });
    }
    let owner = Owner::random(&SystemRandomness);
    for turn in 0..WARM_UP + turns {
        for contestant in &mut contestants {
            contestant.turn(owner, turn >= WARM_UP).await?;
        }
    }
    for contestant in &mut contestants {
        println!("{}", contestant.report());
        contestant.ledger.close().await?;
    }
    Ok(())
}

/// A ledger, and what its turns took.
struct Contestant {
    ledger: PostgresLedger,
    claims: Vec<Duration>,
    settlements: Vec<Duration>,
}

impl Contestant {
    async fn turn(&mut self, owner: Owner, counts: bool) -> Result<(), Box<dyn Error>> {
        let destination: Arc<str> = "app".into();
        let claim = Claim {
            owner,
            lease: Duration::from_secs(60),
            free: CLAIMED,
            ahead: 0,
            ahead_bytes: 1 << 20,
            repeats_first: 0,
            most_repeats: CLAIMED,
            latest_first: false,
            most_attempts: 10,
        };
        let begin = Instant::now();
        let exchange = Exchange { destination: destination.clone(), settlements: Vec::new(), claim: Some(claim) };
        let leased = self.ledger.exchange(exchange).await?.claimed.deliveries;
        let claim_took = begin.elapsed();
        if leased.len() != CLAIMED {
            return Err(format!("expected to lease {CLAIMED} deliveries, found {} due", leased.len()).into());
        }
        let attempt = || NewAttempt {
            took: Duration::from_millis(1),
            status: Some(200),
            detail: "found 200".into(),
            code: "ok".into(),
            answer: None,
        };
        let settle = |lease| Settlement { lease, verdict: Verdict::Delivered, attempt: Some(attempt()) };
        let settlements = leased.into_iter().map(|leased| settle(leased.lease)).collect();
        let begin = Instant::now();
        self.ledger.exchange(Exchange { destination, settlements, claim: None }).await?;
        if counts {
            self.claims.push(claim_took);
            self.settlements.push(begin.elapsed());
        }
        Ok(())
    }

    fn report(&mut self) -> serde_json::Value {
        self.claims.sort_unstable();
        self.settlements.sort_unstable();
        let milliseconds = |times: &[Duration], place: usize| times.get(place).map(|time| time.as_secs_f64() * 1000.0);
        let (middle, last) = (self.claims.len() / 2, self.claims.len().saturating_sub(1));
        json!({
            "claim_milliseconds": milliseconds(&self.claims, middle),
            "most_claim_milliseconds": milliseconds(&self.claims, last),
            "settle_milliseconds": milliseconds(&self.settlements, middle),
        })
    }
}
