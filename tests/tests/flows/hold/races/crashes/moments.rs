//! The two moments that matter, brought about for certain: while the vote's statements run, and after its commit but before
//! anybody hears of it. For the latter the server is made to wait for a standby that there is not, as it does when one falls
//! away in a failover.

use super::*;
use crate::flows::asking::{until, until_waiting};

/// Something that ends whoever works on the vote.
enum Death {
    OfTheDatabase,
    OfTheReplica,
}

/// A commit is on disk, and nobody is told.
const COMMITTED_UNHEARD: &str = "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
    WHERE a.wait_event = 'SyncRep' AND l.relation = 'hold_vote'::regclass AND l.mode = 'RowExclusiveLock'";

impl Crashing {
    /// From here on no commit is answered.
    async fn hold_answers_back(&self) {
        let sql = self.scene.sql().await;
        configure(&sql, "SET synchronous_standby_names = 'nobody'").await;
        // The server hears of it when it does: then a commit of ours waits, too.
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '-- probe%'";
        let looking = async {
            while sql.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
                let probe = self.scene.sql().await;
                tokio::spawn(async move {
                    probe
                        .batch_execute("-- probe\nCREATE TABLE probe (); DROP TABLE probe")
                        .await
                });
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, looking).await.unwrap();
    }

    async fn answer_again(&self) {
        configure(&self.scene.sql().await, "RESET synchronous_standby_names").await;
    }
}

async fn configure(sql: &Client, what: &str) {
    sql.batch_execute(&format!("ALTER SYSTEM {what}")).await.unwrap();
    sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();
}

/// Dies while a statement of the vote waits for a lock, and dies while its commit is not answered.
async fn dies(death: Death) {
    let crashing = Crashing::set().await;
    let scene = &crashing.scene;
    let hold = crashing.held_for("call", 1).await;
    for is_committed in [false, true] {
        let mortal = match death {
            Death::OfTheReplica => Some(crashing.mortal().await),
            Death::OfTheDatabase => None,
        };
        let bob = match &mortal {
            Some(mortal) => scene.world.person_at(Role::Approver, "bob", mortal.address).await,
            None => scene.world.person(Role::Approver, "bob", 1).await,
        };
        let (bob, vote) = (bob.unwrap(), hold.clone());
        let (mut locking, watching) = (scene.sql().await, scene.sql().await);
        let lock = locking.transaction().await.unwrap();
        if is_committed {
            crashing.hold_answers_back().await;
        } else {
            lock.execute("SELECT id FROM hold FOR UPDATE", &[]).await.unwrap();
        }
        let saying = tokio::spawn(async move { say(&bob, &vote, "bob").await });
        if is_committed {
            until(&watching, COMMITTED_UNHEARD, &[]).await;
        } else {
            until_waiting(&watching, "hold.lock").await;
        }
        match mortal {
            Some(mortal) => mortal.process.kill().await.unwrap(),
            None => crashing.crash().await,
        }
        // The server lets go of what it holds for whoever is gone.
        drop(lock);
        drop(locking);
        crashing.answer_again().await;
        let status = saying.await.unwrap().unwrap_err();
        assert!(is_passing(&status), "{status:?}");
        let none = "SELECT count(*) FILTER (WHERE l.relation = 'hold_vote'::regclass OR l.relation = 'hold'::regclass) = 0
            FROM pg_locks l";
        let free = async {
            let sql = scene.sql().await;
            while !sql.query_one(none, &[]).await.unwrap().get::<_, bool>(0) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, free).await.unwrap();
        let (state, votes, _) = crashing.stands(&hold).await;
        let expected = if is_committed {
            ("approved", 1)
        } else {
            ("open", 0)
        };
        assert_eq!((&*state, votes), expected);
    }
    assert_eq!(crashing.stands_said_again(&hold, 1).await.0, "approved");
    assert_eq!(crashing.used(&hold).await, 1);
    assert_eq!(crashing.stands_said_again(&hold, 1).await.0, "consumed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_whose_database_crashes_is_none_before_its_commit_and_one_after_it_however_often_it_is_said() {
    dies(Death::OfTheDatabase).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_whose_replica_is_killed_is_none_before_its_commit_and_one_after_it_however_often_it_is_said()
{
    dies(Death::OfTheReplica).await;
}
