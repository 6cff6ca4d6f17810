//! Brings the schema up: numbered files, all that are missing in one transaction, one replica at a time.
//!
//! Our own forty lines and not a library, because what matters is not running files but refusing: two replicas start at
//! once, an older program meets a newer database.
//!
//! **Invariant**: migrations are append-only. A database newer than this program is not touched.

use deadpool_postgres::ClientWrapper;

use super::DatabaseError;

/// Every migration, in order; the version is the place in the list.
const MIGRATIONS: [&str; 32] = [
    include_str!("../../migrations/0001_revision.sql"),
    include_str!("../../migrations/0002_policy.sql"),
    include_str!("../../migrations/0003_fleet.sql"),
    include_str!("../../migrations/0004_task.sql"),
    include_str!("../../migrations/0005_decision.sql"),
    include_str!("../../migrations/0006_hold.sql"),
    include_str!("../../migrations/0007_invitation.sql"),
    include_str!("../../migrations/0008_removal.sql"),
    include_str!("../../migrations/0009_task_limits.sql"),
    include_str!("../../migrations/0010_agent.sql"),
    include_str!("../../migrations/0011_invitation_withdrawn.sql"),
    include_str!("../../migrations/0012_agent_team.sql"),
    include_str!("../../migrations/0013_revocation_kind.sql"),
    include_str!("../../migrations/0014_task_epoch.sql"),
    include_str!("../../migrations/0015_task_data.sql"),
    include_str!("../../migrations/0016_delegation.sql"),
    include_str!("../../migrations/0017_ledger.sql"),
    include_str!("../../migrations/0018_task_value.sql"),
    include_str!("../../migrations/0019_spend.sql"),
    include_str!("../../migrations/0020_pack_budget.sql"),
    include_str!("../../migrations/0021_slice.sql"),
    include_str!("../../migrations/0022_use_returned.sql"),
    include_str!("../../migrations/0023_standing.sql"),
    include_str!("../../migrations/0024_approver_group.sql"),
    include_str!("../../migrations/0025_session.sql"),
    include_str!("../../migrations/0026_count.sql"),
    include_str!("../../migrations/0027_notification.sql"),
    include_str!("../../migrations/0028_hold_before.sql"),
    include_str!("../../migrations/0029_hold_remark.sql"),
    include_str!("../../migrations/0030_notice_group.sql"),
    include_str!("../../migrations/0031_page.sql"),
    include_str!("../../migrations/0032_rule_statistics.sql"),
];

/// Names the lock that keeps two replicas from migrating at once; any number would do.
const MIGRATION_LOCK: i64 = 0x0063_6865_636b_7265;

const LEDGER: &str = "-- schema.ledger
    CREATE TABLE IF NOT EXISTS schema_version (
        version integer PRIMARY KEY,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    COMMENT ON TABLE schema_version IS 'Which migrations have run.';
    COMMENT ON COLUMN schema_version.version IS 'The number of the file.';
    COMMENT ON COLUMN schema_version.applied_at IS 'When.'";

pub(super) async fn run(client: &mut ClientWrapper) -> Result<(), DatabaseError> {
    // A transaction's lock, so that a replica that dies here leaves nothing locked.
    let transaction = client.transaction().await?;
    transaction
        .execute(
            "-- schema.lock\nSELECT pg_advisory_xact_lock($1)",
            &[&MIGRATION_LOCK],
        )
        .await?;
    transaction.batch_execute(LEDGER).await?;
    let row = transaction
        .query_one(
            "-- schema.version\nSELECT coalesce(max(version), 0) FROM schema_version",
            &[],
        )
        .await?;
    let found: i32 = row.get(0);
    let known = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    if found > known {
        return Err(DatabaseError::NewerSchema { found, known });
    }
    for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        transaction.batch_execute(migration).await?;
        transaction
            .execute(
                "-- schema.applied\nINSERT INTO schema_version (version) VALUES ($1)",
                &[&version],
            )
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}
