//! Thousands of schedules of parallel calls on several enforcers, with losses, cuts, crashes and changes of mind: in none of them does
//! anything go after what forbids it without its enforcer knowing.
//!
//! ```text
//! seed -> schedule -> world: real gates, one stand-in of the control plane -> oracle: every promise, after every step
//! ```
//!
//! The gates, their journals, their views and their clocks are real; the control plane is a stand-in that keeps one ledger in memory
//! (see [`primary`]), and the flows of the whole installation run the same on real parts. A schedule that breaks a promise is printed
//! as the shortest list of steps that still does, to be kept here.

mod call;
mod found;
mod oracle;
mod primary;
mod schedule;
mod site;
mod standing;
mod wire;
mod world;

use oracle::Tally;
use primary::Flaw;
use schedule::{Literal, Op, drawn};
use site::Site;
use world::World;

/// Schedules in the test that every change runs; `CHECKREIN_SEEDS` says how many others to run instead.
const SEEDS: u64 = 2_000;
/// In so few of them, what is broken has to be found.
const SEEDS_BROKEN: u64 = 1_000;
/// So many schedules write into one journal: the memory that it is in may be small.
const SITE_SCHEDULES: usize = 100;

/// What all these seeds saw, or the first schedule that breaks a promise, made as short as can be.
async fn simulate(flaw: Flaw, schedules: impl Iterator<Item = Vec<Op>>) -> Result<Tally, String> {
    let (mut seen, mut site) = (Tally::default(), Site::open());
    for (at, ops) in schedules.enumerate() {
        if at % SITE_SCHEDULES == SITE_SCHEDULES - 1 {
            site = Site::open();
        }
        if let Ok(tally) = outcome(&site, flaw, &ops).await {
            seen += tally;
            continue;
        }
        let ops = shortened(&site, flaw, ops).await;
        let why = outcome(&site, flaw, &ops).await.err().unwrap_or_default();
        return Err(format!("schedule {at}: {why}\n{}", Literal(&ops)));
    }
    Ok(seen)
}

async fn outcome(site: &Site, flaw: Flaw, ops: &[Op]) -> Result<Tally, String> {
    World::new(site, flaw).run(ops).await
}

/// Leaves out whatever does not matter to the breach.
async fn shortened(site: &Site, flaw: Flaw, mut ops: Vec<Op>) -> Vec<Op> {
    for at in (0..ops.len()).rev() {
        let mut without = ops.clone();
        without.remove(at);
        if outcome(site, flaw, &without).await.is_err() {
            ops = without;
        }
    }
    ops
}

#[tokio::test]
async fn in_no_schedule_of_parallel_calls_anything_goes_after_what_forbids_it_or_is_denied_for_nothing() {
    let seeds = std::env::var("CHECKREIN_SEEDS")
        .map_or(0..SEEDS, |seeds| SEEDS..SEEDS + seeds.parse::<u64>().unwrap());
    let seen = simulate(Flaw::None, seeds.map(drawn)).await;
    let seen = seen.unwrap_or_else(|breach| panic!("{breach}"));
    let kinds = [
        seen.released,
        seen.sinks,
        seen.forbidden,
        seen.approved,
        seen.unanswered,
        seen.lifted,
        seen.used_up,
    ];
    assert!(
        kinds.iter().all(|count| *count > 20),
        "too little was seen: {seen:?}"
    );
}

#[tokio::test]
async fn while_nobody_fails_every_call_gets_its_answer_from_the_rules() {
    let calm = |seed| {
        let ops = drawn(seed).into_iter();
        ops.filter(|op| op.is_calm()).collect()
    };
    let seen = simulate(Flaw::None, (0..SEEDS / 10).map(calm)).await;
    let seen = seen.unwrap_or_else(|breach| panic!("{breach}"));
    assert_eq!(seen.unanswered, 0);
    assert!(seen.sinks > 0 && seen.forbidden > 0, "{seen:?}");
}

#[tokio::test]
async fn the_same_seed_is_the_same_run() {
    let site = Site::open();
    for seed in 0..SEEDS / 20 {
        let first = outcome(&site, Flaw::None, &drawn(seed)).await;
        assert_eq!(first, outcome(&Site::open(), Flaw::None, &drawn(seed)).await);
    }
}

#[tokio::test]
async fn a_control_plane_that_breaks_a_promise_is_found_and_the_schedule_that_shows_it_is_short() {
    for flaw in [
        Flaw::LosesLabels,
        Flaw::LosesValues,
        Flaw::ConfirmsByOldLedger,
        Flaw::ConsumesUnseen,
        Flaw::ChargesByOldBudget,
    ] {
        let found = simulate(flaw, (0..SEEDS_BROKEN).map(drawn)).await;

        let breach = found.expect_err(&format!("{flaw:?} was not found"));
        assert!(breach.lines().count() <= 12, "{flaw:?} {breach}");
    }
}
