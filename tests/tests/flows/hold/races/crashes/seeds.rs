//! Moments that a seed draws: people vote and enforcers release at once, through several replicas, while one of them or the
//! database dies.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::*;
use crate::flows::hold::groups::Dice;

const SEEDS: u64 = 8;
/// Everybody begins within this time, and death comes within it.
const SPAN: Duration = Duration::from_millis(60);

/// What came of one seed.
#[derive(Debug, Default)]
struct Told {
    /// Votes that had to be said more than once.
    insisted: usize,
    /// Releases that somebody was told of.
    released: usize,
}

/// Everybody says yes and asks for the release while death comes at a moment that nobody foresees.
async fn run(crashing: &Arc<Crashing>, seed: u64, of_the_database: bool) -> Told {
    let mut dice = Dice(seed.wrapping_mul(7_919).wrapping_add(31));
    let wanted = 1 + usize::try_from(dice.roll(2)).unwrap();
    let kind = if of_the_database { "database" } else { "replica" };
    let context = format!("seed {seed}, {wanted} wanted, death of the {kind}");
    let hold = crashing.held_for(&context, u32::try_from(wanted).unwrap()).await;
    let world = &crashing.scene.world;
    let mortal = if of_the_database {
        None
    } else {
        Some(crashing.mortal().await)
    };
    let moment = |dice: &mut Dice| Duration::from_micros(dice.roll(u64::try_from(SPAN.as_micros()).unwrap()));

    let (mut saying, mut releasing) = (JoinSet::new(), JoinSet::new());
    for name in &VOTERS[..wanted] {
        let mut replicas = Vec::new();
        if let Some(mortal) = &mortal {
            replicas.push(
                world
                    .person_at(Role::Approver, name, mortal.address)
                    .await
                    .unwrap(),
            );
        }
        let first = usize::try_from(dice.roll(2)).unwrap();
        for replica in [first, 1 - first] {
            replicas.push(world.person(Role::Approver, name, replica).await.unwrap());
        }
        let (hold, at) = (hold.clone(), moment(&mut dice));
        saying.spawn(async move {
            tokio::time::sleep(at).await;
            insist(&replicas, &hold, name).await
        });
    }
    for replica in [0, 1] {
        let edge = world.person(Role::Enforcer, "edge", replica).await.unwrap();
        let (crashing, hold) = (Arc::clone(crashing), hold.clone());
        releasing.spawn(async move { release(&crashing.scene, &edge, &hold).await });
    }
    let victim = crashing.scene.sql().await;
    tokio::time::sleep(moment(&mut dice)).await;
    match mortal {
        Some(mortal) => mortal.process.kill().await.unwrap(),
        None => crashing.crash_with(&victim).await,
    }
    // Whole or not at all, from the first moment on at which anybody can look.
    let (state, votes, _) = crashing.stands(&hold).await;
    let is_answered = usize::try_from(votes).unwrap() >= wanted;
    assert_eq!(state != "open", is_answered, "{context}: {state} with {votes}");

    let insisted = saying
        .join_all()
        .await
        .into_iter()
        .filter(|tries| *tries > 1)
        .count();
    let released = releasing
        .join_all()
        .await
        .into_iter()
        .filter(|is_let| *is_let)
        .count();
    assert!(released <= 1, "{context}: released {released} times");
    let (state, votes, _) = crashing.stands_said_again(&hold, wanted).await;
    assert_eq!(
        (&*state, usize::try_from(votes).unwrap()),
        ("consumed", wanted),
        "{context}"
    );
    let early = "SELECT count(*) FROM hold JOIN hold_vote ON hold_id = id WHERE voted_at > consumed_at";
    let sql = crashing.scene.sql().await;
    assert_eq!(
        sql.query_one(early, &[]).await.unwrap().get::<_, i64>(0),
        0,
        "{context}"
    );
    Told { insisted, released }
}

async fn all(of_the_database: bool) {
    let crashing = Arc::new(Crashing::set().await);
    let mut all = Told::default();
    for seed in 0..SEEDS {
        let told = run(&crashing, seed, of_the_database).await;
        all.insisted += told.insisted;
        all.released += told.released;
    }
    // Death came in somebody's way, and not always: else nothing was shown.
    assert!(all.insisted > 0 && all.released > 0, "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_crashes_a_vote_stands_whole_or_not_at_all_and_what_it_approves_is_used_once() {
    all(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_replica_is_killed_a_vote_stands_whole_or_not_at_all_and_what_it_approves_is_used_once() {
    all(false).await;
}
