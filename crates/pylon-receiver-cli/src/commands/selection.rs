//! What an order is about: ids, what a filter matches, or everything that there is, and never everything by mistake.

use super::client::{Client, records};
use super::fault::Fault;
use super::output::{Format, Output};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// Options of every order.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    /// Everything there is
    #[arg(long)]
    all: bool,

    /// Only say how many match
    #[arg(long)]
    dry_run: bool,
}

impl OrderArgs {
    /// The order in the admin API's words: about the ids, the filter or everything.
    pub(crate) fn order<I: Display, F: Serialize + Default + PartialEq>(
        &self,
        ids: &[I],
        filter: &F,
    ) -> Result<Map<String, Value>, Fault> {
        let has_filter = *filter != F::default();
        let mut order = match (ids, has_filter, self.all) {
            (_, false, false) if !ids.is_empty() => json!({"ids": ids.iter().map(I::to_string).collect::<Vec<_>>()}),
            ([], true, false) => json!({"filter": filter}),
            ([], false, true) => json!({"filter": {}, "all": true}),
            ([], false, false) => {
                return Err(Fault::usage(
                    "expected ids, a filter or --all, found none of them; --help lists the filters",
                ));
            }
            _ => return Err(Fault::usage("expected ids, a filter or --all, found more than one of them; give one")),
        };
        order["dry_run"] = self.dry_run.into();
        match order {
            Value::Object(order) => Ok(order),
            _ => unreachable!("each arm makes an object"),
        }
    }

    /// Gives the order and says what came of it.
    pub(crate) async fn give(
        &self,
        client: &Client,
        path: &str,
        order: Map<String, Value>,
        out: &mut Output,
    ) -> Result<(), Fault> {
        let answer = client.post(path, &order.into()).await?;
        if out.format() == Format::Json {
            return out.json(&answer);
        }
        let Done { matched, redelivered, dropped } = records(answer)?;
        out.line(&match (self.dry_run, redelivered, dropped) {
            (true, _, _) => format!("{matched} match; nothing was done, for this was a dry run"),
            (false, Some(redelivered), _) => format!("{matched} matched, {redelivered} to be delivered again"),
            (false, None, Some(dropped)) => format!("{matched} matched, {dropped} dropped"),
            (false, None, None) => format!("{matched} matched"),
        })
    }
}

/// What came of an order.
#[derive(Deserialize)]
struct Done {
    matched: u64,
    redelivered: Option<u64>,
    dropped: Option<u64>,
}
