//! What a killed enforcer had answered is kept, once. `cargo bench --bench crash` does the same far more often.

use checkrein_tests::Crash;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_enforcer_loses_and_doubles_nothing_it_answered() {
    let crash = Crash::unforeseen(5);
    println!("{crash:?}");
    let aftermath = crash.run().await.unwrap();
    aftermath.check().unwrap();
}
