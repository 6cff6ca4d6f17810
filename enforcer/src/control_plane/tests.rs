//! Waits are bounded and spread; without a connection there is an error, soon.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use checkrein_shared::ManualClock;
use checkrein_shared::ledger::Amounts;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::Uri;

use super::*;

/// A replica that is gone when it is asked, and how often it was.
fn gone() -> (Channel, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let connector = tower::service_fn(move |_: Uri| {
        counting.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err::<TokioIo<UnixStream>, _>(io::Error::from(
            io::ErrorKind::ConnectionReset,
        )))
    });
    let endpoint = Endpoint::from_static("http://gone");
    (endpoint.connect_with_connector_lazy(connector), asked)
}

fn confirm() -> Confirm {
    let clock = ManualClock::at(1);
    Confirm {
        presented: "grant".into(),
        proof: None,
        release: DecisionId::new(&clock),
        task: TaskId::new(&clock),
        generation: Generation(1),
        revocation_sequence: 0,
        tool: String::new(),
        reversibility: None,
        asked: Vec::new(),
        cost: Amounts::none(),
        instance: InstanceId::new(&clock),
        incarnation: 1,
        slice: None,
    }
}

fn consume() -> Consume {
    let clock = ManualClock::at(1);
    Consume {
        presented: "grant".into(),
        proof: None,
        hold: HoldId::new(&clock),
        action_sha256: Sha256::default(),
        generation: Generation(1),
        requirements: Vec::new(),
        instance: InstanceId::new(&clock),
        incarnation: 1,
        ledger_revision: None,
        reversibility: None,
        cost: Amounts::none(),
        attempt: DecisionId::new(&clock),
    }
}

/// Asks on a connection that breaks, and lets two more come after it; gives how often each of the later ones was asked.
async fn asked_later<T: Send + 'static>(
    ask: impl AsyncFnOnce(Replicas) -> Result<T, AskError>,
) -> (usize, usize) {
    let connection = Connection::default();
    let ((first, _), (second, asked_second), (third, asked_third)) = (gone(), gone(), gone());
    connection.set(Some(first));
    let mut asking = Box::pin(ask(Replicas(connection.clone())));
    assert!(futures_util::poll!(&mut asking).is_pending());
    connection.set(None);
    connection.set(Some(second));
    assert!(matches!(asking.await, Err(AskError::Failed(_))));
    connection.set(Some(third));
    tokio::task::yield_now().await;
    (
        asked_second.load(Ordering::Relaxed),
        asked_third.load(Ordering::Relaxed),
    )
}

#[tokio::test]
async fn what_may_be_asked_twice_is_asked_once_more_on_the_next_connection() {
    let confirming = async |replicas: Replicas| replicas.confirm(confirm()).await;
    assert_eq!(asked_later(confirming).await, (1, 0));
}

#[tokio::test]
async fn an_approval_is_never_presented_twice() {
    let consuming = async |replicas: Replicas| replicas.consume(consume()).await;
    assert_eq!(asked_later(consuming).await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_goes_away_and_is_not_replaced_is_a_failure_soon() {
    let connection = Connection::default();
    connection.set(Some(gone().0));
    let answer = Replicas(connection).confirm(confirm()).await;
    assert!(matches!(answer, Err(AskError::Failed(_))));
}

#[test]
fn an_answer_that_refuses_is_not_an_absent_control_plane() {
    for refused in [
        Status::failed_precondition("held by another enforcer"),
        Status::not_found("there is no task"),
        Status::invalid_argument("call_id"),
        Status::permission_denied("another enforcer's"),
    ] {
        let said = refused.message().to_owned();
        let error = AskError::from(refused);
        assert_eq!(error.cause(), Cause::ControlPlaneRefused);
        assert!(error.to_string().contains(&said), "{error}");
    }
    for failed in [Status::unavailable(""), Status::internal("")] {
        assert_eq!(AskError::from(failed).cause(), Cause::ControlPlaneUnreachable);
    }
}

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
