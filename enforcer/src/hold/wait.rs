//! From a verdict `hold` to people's answer: open, record, wait.
//!
//! **Invariant**: an action is held only by the control plane's word; while it waits nothing of it is permitted, and no
//! snapshot is pinned.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::decision::Cause;
use checkrein_shared::grant::{Chain, Stopped};
use checkrein_shared::hold::State;
use checkrein_shared::id::DecisionId;
use tokio::time::timeout;

use super::release::release;
use super::{View, Waiter};
use crate::control_plane::{AskError, HoldNotice, OpenHold, Opened, Refusal};
use crate::gate::{Answer, Case, Core, Held, Weighed};

/// So long after its deadline a hold is asked about once more, if nothing was heard.
const DEADLINE_GRACE: Duration = Duration::from_secs(2);

/// Lets an action wait for people, or finds what they have already said.
pub(crate) async fn hold(core: &Arc<Core>, case: Arc<Case>, weighed: Weighed) -> Answer {
    let id = DecisionId::new(&*core.clock);
    let Some(ask) = open_request(core, &case, &weighed, id) else {
        let reason = "the action can't be named, and people can't be asked about it";
        return core.deny(&case, weighed.denied(Refusal::new(Cause::NoMaskingKey, reason)));
    };
    let notice = match core.authority.open_hold(ask.clone()).await {
        Ok(Opened::Held(notice)) => notice,
        Ok(Opened::Refused(refusal)) => {
            return core.deny(&case, weighed.denied(refusal));
        }
        Err(error) => return core.deny(&case, unreachable(weighed, &error)),
    };
    if notice.action_sha256 != ask.action.sha256() {
        let reason = "the control plane holds another action under this name";
        return core.deny_held(
            &case,
            weighed.denied(Refusal::new(Cause::ActionChanged, reason)),
            Some(notice.id),
        );
    }
    if notice.state != State::Open {
        let mut weighed = weighed;
        if weighed.confirmed.is_some() && notice.state == State::Approved {
            // It was confirmed before it was to be held, and only the approved release goes ahead: the record gives the other back.
            if let Err(denied) = core.held(id, &case, weighed, &notice) {
                return Answer::Deny(*denied);
            }
            weighed = core.weigh(&case);
        }
        return answer_decided(core, case, weighed, &notice, &View::of(&notice)).await;
    }
    let chain = weighed.chain.clone();
    let held = match core.held(id, &case, weighed, &notice) {
        Ok(held) => held,
        Err(denied) => return Answer::Deny(*denied),
    };
    wait(core, case, (held, chain), &notice, ask).await
}

/// Resolves when what was presented gives nothing any more although its task goes on: it was amended, or a grant was revoked.
/// That a task is over is told by its hold, which is cancelled.
async fn taken_back(core: &Core, chain: Option<Arc<Chain>>) -> Stopped {
    let Some(chain) = chain else {
        return pending().await;
    };
    match core.stopped(&chain).await {
        over if over.cause == Cause::TaskEnded => pending().await,
        stopped => stopped,
    }
}

async fn wait(
    core: &Arc<Core>,
    case: Arc<Case>,
    (held, chain): (Held, Option<Arc<Chain>>),
    notice: &HoldNotice,
    ask: OpenHold,
) -> Answer {
    let known = View::of(notice);
    let Some(mut waiter) = waiter(core, &case, notice, known.clone()) else {
        return Answer::Hold(asked(held, &known));
    };
    // Nothing is released yet while this waits: whichever comes first is the answer.
    let decided = tokio::select! {
        decided = until_decided(core, &case, &mut waiter, notice) => decided,
        stopped = taken_back(core, chain) => {
            let weighed = core.weigh(&case).denied(Refusal::new(stopped.cause, stopped.reason));
            return core.deny_held(&case, weighed, Some(notice.id));
        }
    };
    let decided = match decided {
        Some(view) => view,
        None if deadline_passed(core, notice) => match core.authority.open_hold(ask).await {
            Ok(Opened::Held(now)) if now.id == notice.id && now.state != State::Open => View::of(&now),
            Ok(Opened::Refused(refusal)) => {
                let weighed = core.weigh(&case).denied(refusal);
                return core.deny_held(&case, weighed, Some(notice.id));
            }
            _ => return Answer::Hold(asked(held, &waiter.seen())),
        },
        None => return Answer::Hold(asked(held, &waiter.seen())),
    };
    let weighed = core.weigh(&case);
    answer_decided(core, case, weighed, notice, &decided).await
}

fn waiter(core: &Core, case: &Case, notice: &HoldNotice, known: View) -> Option<Waiter> {
    if case.wait.is_zero() {
        None
    } else {
        core.holds.wait(notice.id, known)
    }
}

async fn until_decided(core: &Core, case: &Case, waiter: &mut Waiter, notice: &HoldNotice) -> Option<View> {
    let left_ms = notice.decide_by_ms.saturating_sub(core.clock.wall_ms());
    let patience = case.wait.min(Duration::from_millis(left_ms) + DEADLINE_GRACE);
    timeout(patience, waiter.decided()).await.ok()
}

/// What waits for people, with what one of them asks: it is their word that is passed on, and it decides nothing.
fn asked(mut held: Held, view: &View) -> Held {
    if view.state == State::Open && !view.said.is_empty() {
        let told = format!(
            ". Nobody has said yes or no yet. A person has a question first: {}. Tell the user; if the task was meant \
             otherwise, have it amended or ended",
            view.said
        );
        held.decided.reason.push_str(&told);
    }
    held
}

fn deadline_passed(core: &Core, notice: &HoldNotice) -> bool {
    core.clock.wall_ms() >= notice.decide_by_ms
}

/// What people said becomes the answer. A yes is only the beginning of a release.
async fn answer_decided(
    core: &Arc<Core>,
    case: Arc<Case>,
    weighed: Weighed,
    notice: &HoldNotice,
    view: &View,
) -> Answer {
    if view.state == State::Approved {
        let work = tokio::spawn(release(
            Arc::clone(core),
            Arc::clone(&case),
            notice.id,
            notice.action_sha256,
        ));
        // In a task of its own: a caller that goes away must not stop it between consuming and recording.
        if let Ok(answer) = work.await {
            return answer;
        }
        let refusal = Refusal::new(Cause::HoldCancelled, "the release failed inside the enforcer");
        return core.deny_held(&case, weighed.denied(refusal), Some(notice.id));
    }
    core.deny_held(&case, weighed.denied(no(view)), Some(notice.id))
}

/// Why a hold that ended lets nothing through, in words an agent understands.
fn no(view: &View) -> Refusal {
    match view.state {
        State::Denied | State::Withdrawn => denied_by_person(&view.said),
        State::Expired => Refusal::new(
            Cause::HoldExpired,
            "nobody answered in time, so the action does not happen; tell the user, who may start it again",
        ),
        State::Lapsed => Refusal::new(
            Cause::HoldLapsed,
            "the action was approved, and the approval was not used in time; it has to be asked for again",
        ),
        State::Cancelled if !view.said.is_empty() => Refusal::new(
            Cause::HoldCancelled,
            format!(
                "{}. Do not try again, in another way or with another tool; tell the user",
                view.said
            ),
        ),
        State::Cancelled | State::Open | State::Approved => Refusal::new(
            Cause::HoldCancelled,
            "the task ended before the action was released",
        ),
        State::Consumed | State::Done | State::Failed | State::Unknown => Refusal::new(
            Cause::AlreadyReleased,
            "this very call was approved and released before; an approval is used once. Do not repeat it",
        ),
    }
}

fn denied_by_person(said: &str) -> Refusal {
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(", saying: \u{201c}{said}\u{201d}")
    };
    let reason = format!(
        "a person looked at exactly this action and said no{said}. This is final for this task: do not try again, in \
         another way or with another tool; tell the user, and ask what to do instead"
    );
    Refusal::new(Cause::DeniedByPerson, reason)
}

impl View {
    fn of(notice: &HoldNotice) -> Self {
        Self::new(notice.state, notice.version, &*notice.said)
    }
}

/// Denied, because the control plane could not be asked to hold, or would not.
pub(super) fn unreachable(weighed: Weighed, error: &AskError) -> Weighed {
    let reason = format!("people have to look at this, and {error}");
    weighed.denied(Refusal::new(error.cause(), reason))
}

/// What people read: why they are asked, and what they should know of the tool.
fn told(weighed: &Weighed) -> String {
    match &weighed.warning {
        Some(warning) => format!("{}. Note: {warning}", weighed.reason.trim_end_matches('.')),
        None => weighed.reason.clone(),
    }
}

fn open_request(core: &Core, case: &Case, weighed: &Weighed, decision: DecisionId) -> Option<OpenHold> {
    let grant = weighed.chain.as_ref()?.leaf();
    Some(OpenHold {
        decision,
        call_id: case.action.call_id.clone(),
        action: weighed.identity.clone()?,
        requirements: weighed.requirements.clone(),
        generation: weighed.running.generation,
        presented: Arc::clone(&case.presented),
        environment: grant.environment.clone(),
        intent: grant.intent.clone(),
        reason: told(weighed),
        denial_class: weighed.denial_class.clone(),
        instance: core.instance,
        reversibility: weighed.reversibility,
    })
}
