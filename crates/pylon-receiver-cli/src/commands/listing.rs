//! Lists: page after page of the admin API, printed as they come.

use super::client::{Client, not_the_api, records};
use super::fault::Fault;
use super::output::{Format, Output, json_text, note};
use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// So many at a request.
const PAGE: u64 = 200;

/// How much of a list.
#[derive(Debug, Args)]
#[command(next_help_heading = "Page")]
pub(crate) struct PageArgs {
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,

    /// All of them
    #[arg(long, conflicts_with = "limit")]
    all: bool,

    /// In this order
    #[arg(long, value_enum, default_value_t = OrderName::Newest)]
    order: OrderName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OrderName {
    /// The newest first
    Newest,
    /// The oldest first
    Oldest,
}

/// A list of the admin API.
pub(crate) struct Listing<'a> {
    /// Where it is asked.
    pub(crate) path: &'static str,
    /// The key under which its records stand.
    pub(crate) key: &'static str,
    /// What is asked for.
    pub(crate) query: Vec<(String, String)>,
    /// How much of it.
    pub(crate) page: &'a PageArgs,
}

impl Listing<'_> {
    /// Prints it: as an array, or as the function prints a page's records for people.
    pub(crate) async fn print<R: DeserializeOwned>(
        self,
        client: &Client,
        out: &mut Output,
        mut print_page: impl FnMut(Vec<R>, &mut Output) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut left = if self.page.all { u64::MAX } else { self.page.limit };
        let mut after: Option<String> = None;
        let mut printed: u64 = 0;
        loop {
            let asked = left.min(PAGE);
            let answer = client.get(self.path, &self.query_of_page(after.as_deref(), asked)).await?;
            let (mut found, next) = self.read(answer)?;
            found.truncate(usize::try_from(asked).unwrap_or(usize::MAX));
            let count = found.len() as u64;
            match out.format() {
                Format::Json => print_items(&found, printed == 0, out)?,
                Format::Text if count > 0 => print_page(records(Value::Array(found))?, out)?,
                Format::Text => {}
            }
            out.finish()?;
            (printed, left) = (printed + count, left - count);
            let more = next.is_some();
            // A list that goes on at the same place would never end.
            if next.is_none() || next == after || count == 0 || left == 0 {
                return self.end(printed, more, out);
            }
            after = next;
        }
    }

    fn query_of_page(&self, after: Option<&str>, limit: u64) -> Vec<(String, String)> {
        let order = match self.page.order {
            OrderName::Newest => "newest_first",
            OrderName::Oldest => "oldest_first",
        };
        let mut query = self.query.clone();
        query.extend(after.map(|after| ("after".into(), after.into())));
        query.push(("limit".into(), limit.to_string()));
        query.push(("order".into(), order.into()));
        query
    }

    fn read(&self, mut answer: Value) -> Result<(Vec<Value>, Option<String>), Fault> {
        let Some(Value::Array(found)) = answer.get_mut(self.key).map(Value::take) else { return Err(not_the_api()) };
        let next = match answer.get_mut("next").map(Value::take) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(_) => return Err(not_the_api()),
        };
        Ok((found, next))
    }

    fn end(&self, printed: u64, more: bool, out: &mut Output) -> Result<(), Fault> {
        match (out.format(), printed) {
            (Format::Json, 0) => out.line("[]")?,
            (Format::Json, _) => out.line("\n]")?,
            (Format::Text, 0) => out.line(match self.key {
                "events" => "no events match",
                "deliveries" => "no deliveries match",
                _ => "no refused requests match",
            })?,
            (Format::Text, _) => {}
        }
        out.finish()?;
        if more {
            note("there may be more: --all shows all, --limit as many as you say");
        }
        Ok(())
    }
}

/// The part of an array that holds these.
fn print_items(found: &[Value], is_first: bool, out: &mut Output) -> Result<(), Fault> {
    for (number, item) in found.iter().enumerate() {
        out.bytes(if is_first && number == 0 { b"[\n" } else { b",\n" })?;
        let item = json_text(item)?.replace('\n', "\n  ");
        out.bytes(format!("  {item}").as_bytes())?;
    }
    Ok(())
}
