//! How often a server that keeps ending is started.

use super::*;

#[test]
fn a_server_that_keeps_ending_is_left_alone_for_longer_each_time_up_to_a_bound() {
    let mut pause = Pause(AGAIN_MIN);
    let alone: Vec<u64> = (0..9)
        .map(|_| pause.after(Duration::from_secs(5)).as_secs())
        .collect();
    assert_eq!(alone, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    assert_eq!(pause.after(LIVED_MIN), AGAIN_MIN, "it has lived");
    assert_eq!(pause.after(Duration::ZERO), AGAIN_MIN * 2);
}
