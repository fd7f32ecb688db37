//! Brings the tables to this version, all or nothing, one program at a time.

use super::connection::Connection;
use super::error::Fault;
use super::schema::{MIGRATIONS, VERSION};
use deadpool_postgres::Transaction;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient};
use uuid::Uuid;

/// Taken by every version of this program that changes tables.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('pylon-receiver ' || $1, 0))";
/// How long to wait for another program that changes tables, then for each table.
const PATIENCE: &str = "5s";

/// What is there before anything is done.
const RIGHTS: &str = "
    SELECT current_database()::text, current_user::text, n.oid IS NOT NULL,
        has_database_privilege(current_database(), 'CREATE'),
        coalesce(has_schema_privilege(n.oid, 'USAGE'), false),
        coalesce(has_schema_privilege(n.oid, 'CREATE'), false)
    FROM (VALUES ($1::text)) AS named (name) LEFT JOIN pg_namespace n ON n.nspname = named.name";

/// Makes the schema and its tables, or brings them to this version, if that is allowed; says the ledger's id.
pub(super) async fn run(connection: &mut Connection, schema: &str, makes_tables: bool) -> Result<Uuid, Fault> {
    let found = find(&****connection, schema).await?;
    match found {
        Some(found) if found.version == VERSION => Ok(found.id),
        Some(found) if found.version > VERSION => Err(newer(schema, found.version)),
        Some(found) if !makes_tables => Err(Fault::Wrong(
            format!(
                "expected version {VERSION} in the schema {schema}, found {}; start a receiver of this version, which brings it up to date",
                found.version
            )
            .into(),
        )),
        None if !makes_tables => Err(Fault::Wrong(
            format!("expected the tables of a ledger in the schema {schema} of this database, found none").into(),
        )),
        Some(_) | None => {
            let transaction = connection.transaction().await?;
            let id = migrate(&transaction, schema).await?;
            transaction.commit().await?;
            Ok(id)
        }
    }
}

async fn migrate(transaction: &Transaction<'_>, schema: &str) -> Result<Uuid, Fault> {
    transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{PATIENCE}'")).await?;
    transaction.execute(LOCK, &[&schema]).await.map_err(|error| match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => Fault::Away(
            format!("expected to change the tables in the schema {schema}, found another program at it; try again")
                .into(),
        ),
        _ => error.into(),
    })?;
    make_schema(transaction, schema).await?;
    // Another program may have done it meanwhile.
    let found = find(&**transaction, schema).await?.map_or(0, |found| found.version);
    if found > VERSION {
        return Err(newer(schema, found));
    }
    for (step, sql) in MIGRATIONS.iter().enumerate().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.batch_execute(sql).await.map_err(|error| in_the_way(error, schema))?;
        let version = step as i32 + 1;
        match step {
            0 => transaction.execute("INSERT INTO ledger (version) VALUES ($1)", &[&version]).await?,
            _ => transaction.execute("UPDATE ledger SET version = $1", &[&version]).await?,
        };
    }
    let found = find(&**transaction, schema).await?;
    found.map(|found| found.id).ok_or_else(|| Fault::Other("expected the ledger that was just made, found none".into()))
}

/// Finds out whether [`run`] would succeed, as far as can be told without changing anything.
pub(super) async fn examine(client: &Client, schema: &str) -> Result<(), Fault> {
    match find(client, schema).await? {
        Some(found) if found.version == VERSION => Ok(()),
        Some(found) if found.version > VERSION => Err(newer(schema, found.version)),
        Some(_) | None => may_make(client, schema).await.map(drop),
    }
}

async fn make_schema(transaction: &Transaction<'_>, schema: &str) -> Result<(), Fault> {
    match may_make(&**transaction, schema).await? {
        true => Ok(()),
        false => Ok(transaction.batch_execute(&format!("CREATE SCHEMA \"{schema}\"")).await?),
    }
}

/// Whether the schema is there; says what to do where the role may not make it, or its tables.
async fn may_make(client: &impl GenericClient, schema: &str) -> Result<bool, Fault> {
    let row = client.query_one(RIGHTS, &[&schema]).await?;
    let (database, role): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let (is_there, may_make): (bool, bool) = (row.try_get(2)?, row.try_get(3)?);
    let (may_use, may_fill): (bool, bool) = (row.try_get(4)?, row.try_get(5)?);
    let refused = |found: &str, order: String| {
        let expected = format!("expected to make tables in the schema {schema} of the database {database}");
        Err(Fault::Other(format!("{expected}, found {found}; have an administrator run: {order}").into()))
    };
    match (is_there, may_make, may_use && may_fill) {
        (false, false, _) => refused(
            &format!("neither the schema nor the right to make it, as {role}"),
            format!("CREATE SCHEMA \"{schema}\" AUTHORIZATION \"{role}\""),
        ),
        (false, true, _) => Ok(false),
        (true, _, false) => refused(
            &format!("no right to, as {role}"),
            format!("GRANT USAGE, CREATE ON SCHEMA \"{schema}\" TO \"{role}\""),
        ),
        (true, _, true) => Ok(true),
    }
}

/// A ledger that is there.
struct Found {
    version: i32,
    id: Uuid,
}

/// The ledger in the schema; none: it has no table of this name.
async fn find(client: &impl GenericClient, schema: &str) -> Result<Option<Found>, Fault> {
    let is_there: bool = client.query_one("SELECT to_regclass('ledger') IS NOT NULL", &[]).await?.try_get(0)?;
    if !is_there {
        return Ok(None);
    }
    let stranger = |what: &str| {
        Fault::Wrong(
            format!("expected a ledger in the schema {schema}, found {what}; name another schema with `schema=`")
                .into(),
        )
    };
    let row = client.query_opt("SELECT version, id FROM ledger", &[]).await.map_err(|error| match error.code() {
        Some(&SqlState::UNDEFINED_COLUMN) => stranger("a table `ledger` with other columns"),
        _ => error.into(),
    })?;
    let row = row.ok_or_else(|| stranger("a table `ledger` without a row"))?;
    match (row.try_get(0), row.try_get(1)) {
        (Ok(version), Ok(id)) => Ok(Some(Found { version, id })),
        _ => Err(stranger("a table `ledger` with columns of other types")),
    }
}

fn newer(schema: &str, found: i32) -> Fault {
    Fault::Wrong(
        format!("expected version {VERSION} in the schema {schema}, found {found}; use the newer pylon-receiver that made it").into(),
    )
}

/// Tables of somebody else are left alone.
fn in_the_way(error: tokio_postgres::Error, schema: &str) -> Fault {
    match (error.code(), error.as_db_error()) {
        (
            Some(&(SqlState::DUPLICATE_TABLE | SqlState::DUPLICATE_FUNCTION | SqlState::DUPLICATE_OBJECT)),
            Some(said),
        ) => {
            let expected = format!("expected a ledger or nothing in the schema {schema}");
            Fault::Wrong(
                format!("{expected}, found other things: {}; name another schema with `schema=`", said.message())
                    .into(),
            )
        }
        _ => error.into(),
    }
}
