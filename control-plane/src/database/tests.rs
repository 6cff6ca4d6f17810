//! What the one door promises, on a real Postgres.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use checkrein_proto::fleet::v1::ShowRequest;
use checkrein_shared::action::Sha256;
use checkrein_shared::identity::SpiffeId;
use futures_util::poll;
use tokio::sync::OnceCell;
use tonic::Code;
use tonic_types::StatusExt;

use super::retry::TRIES_MAX;
use super::{Claim, Database, DatabaseError, RECORD_CONNECTIONS_MAX, Transaction};
use crate::api::database_trouble;
use crate::postgres::{Options, PrivatePostgres};

/// How long anything may take to come true.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// One server for the whole process; it ends with it.
static POSTGRES: OnceCell<PrivatePostgres> = OnceCell::const_new();

/// An empty database.
pub(crate) async fn empty() -> Database {
    let started = POSTGRES.get_or_try_init(|| PrivatePostgres::start(Options::throwaway()));
    Database::new(&started.await.unwrap().fresh_database().await.unwrap(), None).unwrap()
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

/// What Postgres says with this code, in the middle of a transaction.
async fn raised(tx: &Transaction, code: &str) -> DatabaseError {
    let raise = format!("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$");
    tx.failed(tx.batch_execute(&raise).await.unwrap_err())
}

#[tokio::test]
async fn a_transaction_that_lost_to_another_is_tried_again_and_only_so_often() {
    let database = prepared().await;
    for (losses, code) in [(1, "40P01"), (TRIES_MAX - 1, "40001")] {
        let tries = &AtomicUsize::new(0);
        let done = database.transact("test.loses", |tx| async move {
            if tries.fetch_add(1, Ordering::Relaxed) < losses {
                return Err(raised(&tx, code).await);
            }
            Ok((tx, "done"))
        });
        assert_eq!(done.await.unwrap(), "done");
    }
    for (code, expected) in [("40P01", TRIES_MAX), ("23505", 1)] {
        let tries = &AtomicUsize::new(0);
        let failed = database.transact("test.fails", |tx| async move {
            tries.fetch_add(1, Ordering::Relaxed);
            Err::<(Transaction, ()), _>(raised(&tx, code).await)
        });
        failed.await.unwrap_err();
        assert_eq!(tries.load(Ordering::Relaxed), expected, "{code}");
    }
}

#[tokio::test]
async fn trouble_that_passes_reaches_callers_as_unavailable_with_a_time_to_wait() {
    let database = prepared().await;
    for (code, expected) in [
        ("40P01", Code::Unavailable),
        ("40001", Code::Unavailable),
        ("55P03", Code::Unavailable),
        ("57014", Code::Unavailable),
        ("57P01", Code::Unavailable),
        ("25006", Code::Unavailable),
        ("23505", Code::Internal),
    ] {
        let tx = database.begin("test.trouble").await.unwrap();
        let status = database_trouble(&raised(&tx, code).await);
        assert_eq!(status.code(), expected, "{code}");
        let waits = status.get_details_retry_info().is_some();
        assert_eq!(waits, expected == Code::Unavailable, "{code}");
    }
}

#[tokio::test]
async fn a_key_stands_for_one_request_and_is_refused_another() {
    let database = prepared().await;
    let caller: SpiffeId = "spiffe://acme.example/operator/olga".parse().unwrap();
    let (asked, other) = (Sha256::of(b"asked"), Sha256::of(b"other"));
    let answer = ShowRequest {
        name: "edge".to_owned(),
    };
    let tx = database.begin("test.answer").await.unwrap();
    tx.remember_answer_to(&caller, "key", &asked, &answer)
        .await
        .unwrap();
    let again: Option<ShowRequest> = tx.answer_given_to(&caller, "key", &asked).await.unwrap();
    assert_eq!(again, Some(answer));
    let refused = tx.answer_given_to::<ShowRequest>(&caller, "key", &other).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, DatabaseError::KeyReused(_)), "{refused:?}");
    assert_eq!(database_trouble(&refused).code(), Code::InvalidArgument);
}

#[tokio::test]
async fn journals_that_come_home_take_no_connection_of_a_verb() {
    let database = prepared().await;
    let record = database.of_the_record();
    let mut uploads = Vec::new();
    for _ in 0..RECORD_CONNECTIONS_MAX {
        uploads.push(record.begin("test.upload").await.unwrap());
    }
    assert_eq!(record.pool.status().available, 0);
    let verbs = database.pool.status();
    assert_eq!(verbs.available, verbs.size, "no verb's connection is in use");
    database.begin("test.verb").await.unwrap();
}
