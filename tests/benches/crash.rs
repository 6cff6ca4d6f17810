//! SIGKILL to an enforcer under load at 200 random instants: answers and outcomes lost and doubled.

use anyhow::Result;
use checkrein_shared::SystemClock;
use checkrein_tests::{Conditions, Crash};

const KILLS: u32 = 200;

fn main() -> Result<()> {
    let conditions = Conditions::now(&SystemClock);
    let runtime = tokio::runtime::Runtime::new()?;
    let aftermath = runtime.block_on(Crash::unforeseen(KILLS).run())?;
    println!("\nAn enforcer process killed with SIGKILL at random instants under load\n");
    let rows = [
        ("kills", aftermath.crash.kills as usize),
        ("answered", aftermath.answered),
        ("  of class A", aftermath.class_a),
        ("    denials", aftermath.denied),
        ("    holds", aftermath.held),
        ("    full-tier permits", aftermath.permitted_full),
        ("class A lost (must be 0)", aftermath.lost_class_a),
        ("any lost", aftermath.lost),
        ("outcomes taken", aftermath.outcomes),
        ("  lost (must be 0)", aftermath.lost_outcomes),
        ("duplicated (must be 0)", aftermath.duplicated),
        ("broken journals (must be 0)", aftermath.broken_journals),
        ("stored", aftermath.stored),
        ("incarnations", aftermath.incarnations),
    ];
    for (name, value) in rows {
        println!("{name:<30} {value:>8}");
    }
    let start = &aftermath.start_to_answer;
    println!(
        "{:<30} {:>8.0} p50, {:.0} p99\n\nseed {}",
        "start to first answer (ms)",
        start.p50_us / 1_000.0,
        start.p99_us / 1_000.0,
        aftermath.crash.seed
    );
    conditions.store("crash", &aftermath)
}
