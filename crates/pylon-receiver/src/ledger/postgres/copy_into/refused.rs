//! Refused requests of a copy.

use super::super::changes::Changes;
use super::super::copied::{REFUSED, refused};
use super::super::error::Fault;
use super::super::session::Use;
use super::super::transaction::Job;
use super::begun::{Begun, Hold, WITHIN, not_as_expected};
use crate::ledger::copy::{CopyId, Put, RefusedCopy};
use deadpool_postgres::Transaction;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio_postgres::types::ToSql;

/// Puts refused requests.
pub(super) struct PutRefused {
    pub(super) copy: CopyId,
    pub(super) refused: Vec<RefusedCopy>,
}

impl Job for PutRefused {
    type Answer = Vec<Put>;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<Vec<Put>, Fault> {
        let Self { copy, refused } = self;
        Begun::to_put(transaction, *copy).await?;
        let new = put(transaction, refused).await?;
        let numbers: Vec<i64> = refused.iter().map(number).collect();
        let found = find(transaction, &numbers).await?;
        let answer = |refused: &RefusedCopy| match new.contains(&number(refused)) {
            true => Put::New,
            false if found.get(&number(refused)) == Some(refused) => Put::There,
            false => Put::Differs,
        };
        Ok(refused.iter().map(answer).collect())
    }
}

/// Answers the numbers of those that are new.
const PUT: &str = "
    INSERT INTO copied_refused (number, at, endpoint, code, reason, status, method, path, remote, headers, body, body_length)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], $6::integer[], $7::bytea[], $8::bytea[],
        $9::bytea[], $10::bytea[], $11::bytea[], $12::bigint[])
    ON CONFLICT (number) DO NOTHING RETURNING number";

async fn put(transaction: &Transaction<'_>, refused: &[RefusedCopy]) -> Result<HashSet<i64>, Fault> {
    let numbers: Vec<i64> = refused.iter().map(number).collect();
    let at: Vec<i64> = refused.iter().map(|refused| refused.at.unix_milliseconds()).collect();
    let endpoints: Vec<Option<&str>> = refused.iter().map(|refused| refused.endpoint.as_deref()).collect();
    let codes: Vec<&str> = refused.iter().map(|refused| &*refused.code).collect();
    let reasons: Vec<&[u8]> = refused.iter().map(|refused| refused.reason.as_bytes()).collect();
    let statuses: Vec<i32> = refused.iter().map(|refused| refused.status.into()).collect();
    let methods: Vec<&[u8]> = refused.iter().map(|refused| refused.method.as_bytes()).collect();
    let paths: Vec<&[u8]> = refused.iter().map(|refused| refused.path.as_bytes()).collect();
    let remotes: Vec<&[u8]> = refused.iter().map(|refused| refused.remote.as_bytes()).collect();
    let headers: Vec<&[u8]> = refused.iter().map(|refused| refused.headers.as_bytes()).collect();
    let bodies: Vec<&[u8]> = refused.iter().map(|refused| refused.body.as_ref()).collect();
    let lengths: Vec<i64> =
        refused.iter().map(|refused| i64::try_from(refused.body_length).unwrap_or(i64::MAX)).collect();
    let columns: &[&(dyn ToSql + Sync)] = &[
        &numbers, &at, &endpoints, &codes, &reasons, &statuses, &methods, &paths, &remotes, &headers, &bodies, &lengths,
    ];
    let put = transaction.prepare_cached(PUT).await?;
    transaction.query(&put, columns).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Finds refused requests.
pub(super) struct FindRefused {
    pub(super) copy: CopyId,
    pub(super) numbers: Vec<u64>,
}

impl Job for FindRefused {
    type Answer = Vec<Option<RefusedCopy>>;
    const WITHIN: Duration = WITHIN;
    const ON: Use = Use::Chores;

    async fn run(&self, transaction: &Transaction<'_>, _: &mut Changes) -> Result<Vec<Option<RefusedCopy>>, Fault> {
        let Self { copy, numbers } = self;
        let begun = Begun::find(transaction, *copy, Hold::Shared).await?;
        begun.ok_or_else(|| not_as_expected("there", "none"))?;
        let numbers: Vec<i64> = numbers.iter().map(|number| number.cast_signed()).collect();
        let mut found = find(transaction, &numbers).await?;
        Ok(numbers.iter().map(|number| found.remove(number)).collect())
    }
}

async fn find(transaction: &Transaction<'_>, numbers: &[i64]) -> Result<HashMap<i64, RefusedCopy>, Fault> {
    let find =
        transaction.prepare_cached(&format!("SELECT {REFUSED} FROM copied_refused WHERE number = ANY($1)")).await?;
    let rows = transaction.query(&find, &[&numbers]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, refused(row)?))).collect()
}

fn number(refused: &RefusedCopy) -> i64 {
    refused.number.cast_signed()
}

/// Gives all of them to the ring, as its newest. None gives way to them here.
pub(super) async fn release(transaction: &Transaction<'_>) -> Result<(), Fault> {
    // The numbers are drawn in the order of the rows.
    let release = "
        WITH gone AS (DELETE FROM copied_refused RETURNING *)
        INSERT INTO refused (at, endpoint, code, reason, status, method, path, remote, headers, body, body_length)
        SELECT at, endpoint, code, reason, status, method, path, remote, headers, body, body_length FROM gone ORDER BY number";
    let release = transaction.prepare_cached(release).await?;
    transaction.execute(&release, &[]).await?;
    Ok(())
}
