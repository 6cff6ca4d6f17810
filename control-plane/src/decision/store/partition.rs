//! Partitions in Postgres. Their names sort as their days do.

use time::{Date, OffsetDateTime};

use crate::database::{DatabaseError, Transaction};

/// A partition that is to go waits no longer than this for those who use its table, and everyone who comes after waits as long.
const DROP_LOCK_MS_MAX: u32 = 500;

/// Keeps other replicas from partitions until the transaction ends: making one twice at once fails on the catalog. Returns the
/// day, UTC.
pub(in crate::decision) async fn lock(tx: &Transaction) -> Result<Date, DatabaseError> {
    let lock = "-- decision.lock_partitions
        SELECT pg_advisory_xact_lock(hashtextextended('decision.keep_partitions', 0)), now()";
    let row = tx
        .query_one(lock, &[])
        .await
        .map_err(|source| tx.failed(source))?;
    let now: OffsetDateTime = row.get(1);
    Ok(now.to_offset(time::UtcOffset::UTC).date())
}

/// The same, and gives every wait of this transaction up soon.
pub(in crate::decision) async fn lock_shortly(tx: &Transaction) -> Result<(), DatabaseError> {
    let bound = format!("-- decision.bound_lock\nSET LOCAL lock_timeout = {DROP_LOCK_MS_MAX}");
    tx.batch_execute(&bound)
        .await
        .map_err(|source| tx.failed(source))?;
    lock(tx).await?;
    Ok(())
}

pub(in crate::decision) async fn create(
    tx: &Transaction,
    table: &str,
    day: Date,
) -> Result<(), DatabaseError> {
    let next = day + time::Duration::days(1);
    let name = name(table, day);
    let create = format!(
        "-- decision.create_partition
        CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} FOR VALUES FROM ('{day}') TO ('{next}')"
    );
    tx.batch_execute(&create)
        .await
        .map_err(|source| tx.failed(source))?;
    // A partition has no such settings of the whole table's; asked first, because setting one keeps others from the table.
    let inherit = format!(
        "-- decision.partition_statistics
        DO $$ DECLARE of record; BEGIN
            FOR of IN SELECT whole.attname, whole.attstattarget FROM pg_attribute AS whole JOIN pg_attribute AS part USING (attname)
                WHERE whole.attrelid = '{table}'::regclass AND part.attrelid = '{name}'::regclass
                  AND whole.attstattarget > 0 AND part.attstattarget IS DISTINCT FROM whole.attstattarget
            LOOP
                EXECUTE format('ALTER TABLE {name} ALTER COLUMN %I SET STATISTICS %s', of.attname, of.attstattarget);
            END LOOP;
        END $$"
    );
    tx.batch_execute(&inherit)
        .await
        .map_err(|source| tx.failed(source))
}

/// The partitions of the days before.
pub(in crate::decision) async fn before(
    tx: &Transaction,
    table: &str,
    oldest: Date,
) -> Result<Vec<String>, DatabaseError> {
    let list = "-- decision.list_partitions
        SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = $1::text::regclass AND relname::text < $2 ORDER BY relname";
    let rows = tx
        .query(list, &[&table, &name(table, oldest)])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Drops a partition, unless another replica has.
pub(in crate::decision) async fn drop(
    tx: &Transaction,
    table: &str,
    name: &str,
) -> Result<(), DatabaseError> {
    let find = "-- decision.find_partition
        SELECT to_regclass($1::text) IS NOT NULL";
    let row = tx
        .query_one(find, &[&name])
        .await
        .map_err(|source| tx.failed(source))?;
    if !row.get::<_, bool>(0) {
        return Ok(());
    }
    // Apart first: dropping a table that is nobody's part needs no lock but its own.
    let drop = format!(
        "-- decision.drop_partition
        ALTER TABLE {table} DETACH PARTITION {name}; DROP TABLE {name}"
    );
    tx.batch_execute(&drop).await.map_err(|source| tx.failed(source))
}

fn name(table: &str, day: Date) -> String {
    format!(
        "{table}_{:04}{:02}{:02}",
        day.year(),
        u8::from(day.month()),
        day.day()
    )
}
