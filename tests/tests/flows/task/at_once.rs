//! More calls at once than a budget has room for, on a machine that may be slow: what the control plane did not answer in time was denied,
//! and is in the budget again once the record of that is home.
//!
//! **Invariant**: at no moment are more made than fit, and in the end as many are.

use std::time::Duration;

use checkrein_enforcer::{Answer, Enforcer, Permit, Request, Status};
use checkrein_shared::decision::Cause;
use checkrein_tests::WAIT_MAX;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Asked for so many times at once.
const TIMES: usize = 100;
/// Within this time one after the other gets its answer, however slow the machine is.
const IN_THE_END: Duration = WAIT_MAX.saturating_mul(4);
/// Why a call is denied of which the control plane said nothing in time: when it was to charge it, and when a rule asked for the ledger.
const UNHEARD: [Cause; 2] = [Cause::ControlPlaneUnreachable, Cause::LedgerUnknown];

/// What became of a call.
enum Told {
    Made(Box<Permit>),
    /// There is no room for it.
    Refused,
    /// The control plane did not answer in time. It was not made, and may be asked for again.
    Unheard,
}

impl From<Answer> for Told {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Permit(permit) => Self::Made(Box::new(permit)),
            Answer::Deny(denied) if denied.decided.cause == Cause::Budget => Self::Refused,
            Answer::Deny(denied) if UNHEARD.contains(&denied.decided.cause) => Self::Unheard,
            other => panic!("{other:?}"),
        }
    }
}

/// Asks for a call a hundred times at once, spread over the fleet, and once more for each that was not heard of when all is `settled`: exactly
/// so many are made, and given here.
pub(super) async fn made(
    enforcers: &[Enforcer],
    request: &Request,
    fit: usize,
    settled: impl AsyncFn(),
) -> Vec<Permit> {
    let calls = enforcers.iter().cycle().take(TIMES);
    let calls = calls.map(|enforcer| ask(enforcer, request));
    let (mut permits, mut unheard) = (Vec::new(), 0);
    for told in calls.collect::<JoinSet<_>>().join_all().await {
        match told {
            Told::Made(permit) => permits.push(*permit),
            Told::Refused => {}
            Told::Unheard => unheard += 1,
        }
    }
    let at_once = permits.len();

    assert!(at_once <= fit, "{at_once} were made, of {fit}");
    assert!(
        unheard > 0 || at_once == fit,
        "all were heard, and {at_once} made, of {fit}"
    );
    let again = async {
        while permits.len() < fit {
            settled().await;
            match ask(&enforcers[0], request).await {
                Told::Made(permit) => permits.push(*permit),
                Told::Refused => panic!("{} were made, of {fit}, and no more fit", permits.len()),
                Told::Unheard => {}
            }
        }
    };
    let within = timeout(IN_THE_END, again).await;
    within.unwrap_or_else(|_| panic!("the control plane does not answer"));
    permits
}

/// All that was decided is home.
pub(super) async fn home(enforcers: &[Enforcer]) {
    let is_home = |status: &Status| status.journal_pending() == 0;
    for enforcer in enforcers {
        enforcer.wait_until(is_home, WAIT_MAX).await.unwrap();
    }
}

fn ask(enforcer: &Enforcer, request: &Request) -> impl Future<Output = Told> + use<> {
    let (gate, request) = (enforcer.gate(), request.clone());
    async move { gate.authorize(request).await.unwrap().into() }
}
