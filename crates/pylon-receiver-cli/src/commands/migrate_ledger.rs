//! `migrate-ledger`: moves everything from one ledger into another.

use crate::fault::Fault;
use crate::input::ledger::LedgerParser;
use crate::print::output::{Format, Output, note};
use crate::print::text::escape;
use clap::Args;
use pylon_receiver::LedgerMove;
use pylon_receiver::config::LedgerAddress;
use pylon_receiver::ledger::{CopyOutcome, CopyProgress, CopyStep, CopySummary, GivenUp};
use serde_json::json;
use std::time::{Duration, Instant};

/// How often progress is printed.
const EVERY: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  pylon-receiver migrate-ledger --from sqlite:/var/lib/pylon/pylon.db --to sqlite:/mnt/disk/pylon.db
  pylon-receiver migrate-ledger --from sqlite:pylon.db --to postgres://pylon@db.example.com/pylon
  pylon-receiver migrate-ledger --from sqlite:other.db --to sqlite:pylon.db --merge
  pylon-receiver migrate-ledger --from sqlite:pylon.db --to sqlite:new.db --give-up

Stop the receiver of the ledger that is moved. Receivers may use a PostgreSQL ledger while another one is moved into it. The password
of a PostgreSQL URL may be in the environment variable PGPASSWORD.

If the command is interrupted, run it again: it goes on. Nothing is delivered from the new ledger before everything is there and has
been verified; from then on the old one refuses to start.";

/// Move everything from one ledger into another, and verify it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MigrateLedgerArgs {
    /// The ledger to move, sqlite:FILE; no receiver may use it
    #[arg(long, value_name = "ADDRESS", value_parser = LedgerParser)]
    from: LedgerAddress,

    /// The ledger that gets everything, sqlite:FILE or a postgres:// URL; a file or tables are made
    #[arg(long, value_name = "ADDRESS", value_parser = LedgerParser, required_unless_present = "give_up")]
    to: Option<LedgerAddress>,

    /// Add to a ledger that has events already
    #[arg(long, conflicts_with = "give_up")]
    merge: bool,

    /// Undo a move that has not ended; without --to, also one that has, because the new ledger is lost
    #[arg(long)]
    give_up: bool,
}

pub(crate) async fn run(args: &MigrateLedgerArgs, out: &mut Output) -> Result<(), Fault> {
    let mut progress = Progress::new();
    let tell = |told| progress.tell(told);
    match &args.to {
        Some(to) if !args.give_up => {
            let plain = LedgerMove::new(args.from.clone(), to.clone());
            let ledger_move = if args.merge { plain.merging() } else { plain };
            let outcome = ledger_move.run(tell).await.map_err(Fault::failed)?;
            moved(&outcome, args.merge, out)
        }
        to => {
            let given_up = LedgerMove::give_up(&args.from, to.as_ref(), tell).await.map_err(Fault::failed)?;
            let_go(args, &given_up, out)
        }
    }
}

fn moved(outcome: &CopyOutcome, is_merged: bool, out: &mut Output) -> Result<(), Fault> {
    let CopyOutcome { source, target, was_done, summary } = outcome;
    if out.format() == Format::Json {
        let answer = json!({"from": source.name, "to": target.name, "was_done_before": was_done, "moved": summary});
        return out.json(&answer);
    }
    let CopySummary { counts, sha256, events_there_before, keys_taken, refused_gone, .. } = summary;
    let deliveries = counts.deliveries;
    let to = escape(&target.name);
    out.line(&format!("from         {}", escape(&source.name)))?;
    out.line(&format!("to           {to}"))?;
    for (name, count) in [
        ("events", counts.events),
        ("parked", counts.parked),
        ("waiting", deliveries.waiting),
        ("held", deliveries.held),
        ("delivered", deliveries.delivered),
        ("dead", deliveries.dead),
        ("dropped", deliveries.dropped),
        ("redelivered", deliveries.redelivered),
        ("attempts", counts.attempts),
        ("keys", counts.deduplication_keys),
        ("refused", counts.refused),
    ] {
        out.line(&format!("{name:<12} {count}"))?;
    }
    out.line(&format!("sha256       {sha256}"))?;
    for (count, what) in [
        (events_there_before, "events were in the new ledger before, the same"),
        (keys_taken, "deduplication keys belong to other events of the new ledger"),
        (refused_gone, "refused requests have given way to newer ones"),
    ] {
        if *count > 0 {
            out.line(&format!("{count} {what}"))?;
        }
    }
    let told = if *was_done { "moved before" } else { "moved, and verified on both sides" };
    let then = match is_merged {
        true => "a receiver on it delivers what waits, to destinations that have the same names".to_owned(),
        false => format!("start the receiver with `--ledger {to}`"),
    };
    out.line(&format!("{told}; {then}"))
}

fn let_go(args: &MigrateLedgerArgs, given_up: &GivenUp, out: &mut Output) -> Result<(), Fault> {
    let GivenUp { moved_to, discarded } = given_up;
    if let (Some(to), None) = (moved_to, discarded) {
        note(&format!("warning: what {to} has delivered since the move is delivered again"));
    }
    match out.format() {
        Format::Json => out.json(&json!({"from": args.from.to_string(), "moved_to": moved_to, "discarded": discarded})),
        Format::Text => out.line(&format!("given up: {} can be used again", escape(&args.from.to_string()))),
    }
}

/// Prints how far it is: once a second, and the end of each step that took longer.
struct Progress {
    step: Option<CopyStep>,
    began: Instant,
    printed: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { step: None, began: Instant::now(), printed: Instant::now() }
    }

    fn tell(&mut self, CopyProgress { step, done, total }: CopyProgress) {
        let now = Instant::now();
        if self.step != Some(step) {
            (self.step, self.began) = (Some(step), now);
        }
        let took = now.duration_since(self.began);
        let is_end = done == total && took >= EVERY;
        if is_end || now.duration_since(self.printed) >= EVERY {
            self.printed = now;
            let rate = done as f64 / took.as_secs_f64().max(0.001);
            note(&format!("{}: {done} of {total}, {rate:.0}/s", step.name()));
        }
    }
}
