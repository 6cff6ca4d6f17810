//! What the one door promises, on a real Postgres.

use std::pin::pin;
use std::time::Duration;

use checkrein_shared::action::Sha256;
use futures_util::poll;
use tokio::sync::OnceCell;

use super::{Claim, Database, DatabaseError, Transaction};
use crate::postgres::{Options, PrivatePostgres};

/// How long anything may take to come true.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// One server for the whole process; it ends with it.
static POSTGRES: OnceCell<PrivatePostgres> = OnceCell::const_new();

/// An empty database.
pub(crate) async fn empty() -> Database {
    let started = POSTGRES.get_or_try_init(|| PrivatePostgres::start(Options::throwaway()));
    Database::new(&started.await.unwrap().fresh_database().await.unwrap()).unwrap()
}

/// A database that is ours.
pub(crate) async fn prepared() -> Database {
    let database = empty().await;
    database.prepare(&claim(1, 1)).await.unwrap();
    database
}

fn claim(root: u8, key_set_version: u64) -> Claim {
    Claim {
        trust_domain: "acme.example".to_owned(),
        root_public_key: [root; 32],
        key_set_version,
        key_set_sha256: Sha256::of(&[root, u8::try_from(key_set_version).unwrap()]),
    }
}

#[tokio::test]
async fn a_replica_with_keys_of_its_own_is_told_which_directory_to_copy() {
    let database = empty().await;
    assert_eq!(database.prepare(&claim(1, 1)).await.unwrap(), 1);
    assert_eq!(
        database.prepare(&claim(1, 1)).await.unwrap(),
        1,
        "a second replica with the same keys"
    );
    let refused = database.prepare(&claim(2, 1)).await.unwrap_err();
    assert!(
        matches!(refused, DatabaseError::ForeignKeys { .. }),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("copy the whole `keys` directory"));
}

#[tokio::test]
async fn a_rotated_key_set_is_taken_and_the_one_before_it_refused_from_then_on() {
    let database = empty().await;
    database.prepare(&claim(1, 1)).await.unwrap();
    let forged = Claim {
        key_set_sha256: Sha256::of(b"another"),
        ..claim(1, 1)
    };
    let refused = database.prepare(&forged).await.unwrap_err();
    assert!(
        matches!(refused, DatabaseError::OtherKeySet { .. }),
        "{refused:?}"
    );
    database.prepare(&claim(1, 2)).await.unwrap();
    let refused = database.prepare(&claim(1, 1)).await.unwrap_err();
    assert!(
        matches!(
            refused,
            DatabaseError::OtherKeySet {
                found: 2,
                expected: 1
            }
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_begin_that_nobody_waits_for_leaves_no_transaction_open() {
    let database = prepared().await;
    let connection = database.pool.get().await.unwrap();
    {
        let begin = pin!(Transaction::begin(connection, "test.abandoned"));
        assert!(poll!(begin).is_pending(), "BEGIN is on its way");
    }
    let watcher = database.pool.get().await.unwrap();
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'";
    let settled = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND query = 'ROLLBACK' AND state = 'idle'";
    let rolled_back = async {
        while watcher.query_one(settled, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_MAX, rolled_back)
        .await
        .expect("the rollback follows");
    assert_eq!(watcher.query_one(open, &[]).await.unwrap().get::<_, i64>(0), 0);
}
