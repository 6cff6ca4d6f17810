//! Waits are bounded and spread; without a connection there is an error, soon.

use super::*;

#[test]
fn waits_double_up_to_a_bound_and_start_over_after_a_stable_while() {
    let mut backoff = Backoff::default();
    for failure in 0..40_u32 {
        let bound = Duration::from_millis(250)
            .saturating_mul(1 << failure.min(16))
            .min(Duration::from_secs(30));
        assert!(backoff.next() < bound, "failure {failure}");
    }
    backoff.ended_after(Duration::from_secs(59));
    backoff.ended_after(Duration::from_mins(1));
    assert!(backoff.next() < Duration::from_millis(250));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_connection_fails_after_a_moment() {
    let connection = Connection::default();
    assert!(matches!(connection.get().await, Err(AskError::NotConnected)));
}
