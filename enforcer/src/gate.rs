//! The gate: an action comes in, a verdict goes out, and the record of it is on disk between the two.
//!
//! ```text
//! Request -> weigh (one pinned snapshot) -> deny ------------------------> journal -> answer
//!                                           permit, static or light -----> journal -> answer
//!                                           permit, counted -> slice, or confirm -> journal -> answer
//!                                           permit, full -> confirm -----> journal -> fdatasync -> answer
//!                                           hold -> open, wait, consume -> journal -> fdatasync -> answer
//! ```
//!
//! Whatever a permitted call is the first to bring into its task is in the ledger of the task before the call is answered: see
//! [`outcomes`].
//!
//! **Invariant**: whatever is missing or fails on the way, the answer is a deny that names it. Nothing is answered that is
//! not in the journal, but the deny that says that it can't be.

mod answer;
mod case;
mod confirm;
mod grants;
mod offer;
mod outcomes;
mod payment;
mod permits;
mod proofs;
mod record;
mod stopped;
mod would;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::SharedClock;
use checkrein_shared::action::{Arguments, InvalidArguments, Sha256};
use checkrein_shared::decision::{OutcomeResult, Tier, Verdict};
use checkrein_shared::grant::Stopped;
use checkrein_shared::id::{DecisionId, InstanceId};
use checkrein_shared::identity::SpiffeId;
use thiserror::Error;
use tokio::sync::{Notify, Semaphore};

pub use answer::{Answer, Decided, Denied, Found, Held, Permit};
pub(crate) use case::{Case, Weighed};
use confirm::Confirmed;
pub(crate) use grants::VerifiedGrants;
pub(crate) use offer::Offer;
use permits::Permits;
pub use permits::{CompleteError, Unlabelled};
use proofs::Proofs;

use crate::control_plane::{Authority, Refusal};
use crate::freshness::Freshness;
use crate::hold::Holds;
use crate::hold::wait::hold;
use crate::journal::Journal;
use crate::ledger::Ledgers;
use crate::slices::Slices;
use crate::snapshot::Snapshots;

/// A name a caller gives to its call may have at most this many bytes.
pub const CALL_ID_BYTES_MAX: usize = 256;
/// And the name of a tool.
pub const TOOL_BYTES_MAX: usize = 256;
/// A caller may wait for people at most this long at a time; the same call presented again goes on waiting.
pub const WAIT_MAX: Duration = Duration::from_hours(24);
/// A full-tier action is judged again at most so often while newer policy keeps coming.
const TRIES_MAX: usize = 3;

/// Where actions are decided, for one caller. Cheap to clone.
#[derive(Clone)]
pub struct Gate {
    core: Arc<Core>,
    caller: Option<Caller>,
}

/// One call of one tool, as it is presented.
#[derive(Clone)]
pub struct Request {
    grant: String,
    proof: String,
    tool: String,
    arguments: Result<Arguments, InvalidArguments>,
    call_id: String,
    definition: Option<Sha256>,
    wait: Duration,
}

/// Who calls, and how that is known.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) agent: SpiffeId,
    /// Nobody proved it.
    pub(crate) asserted: bool,
}

/// A call that can't be decided, because it is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GateError {
    /// The library is used and no agent is configured for it.
    #[error("no in-process agent is configured; name one under `[in_process]`")]
    NoAgent,
    /// The call's name is too long to be written down.
    #[error("a call id of {0} bytes is longer than the {CALL_ID_BYTES_MAX} allowed")]
    CallIdTooLong(usize),
    /// The tool's name is too long to be written down.
    #[error("a tool name of {0} bytes is longer than the {TOOL_BYTES_MAX} allowed")]
    ToolTooLong(usize),
    /// The call's name can't be written down everywhere.
    #[error("the call id `{0}` holds a control character; name the call with printable ones")]
    CallIdControl(String),
    /// The tool's name can't be written down everywhere.
    #[error("the tool name `{0}` holds a control character; no tool has such a name")]
    ToolControl(String),
}

/// Why [`Gate::run`] gives no result.
#[derive(Debug, Error)]
pub enum RunError<E> {
    /// The action may not happen. The tool was not called.
    #[error("denied: {}", .0.decided.reason)]
    Denied(Denied),
    /// People have not answered yet. The tool was not called; the same call can be presented again.
    #[error("held: {}", .0.decided.reason)]
    Held(Held),
    /// The call was not one.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// It was permitted, and what it was permitted under ended while the tool ran: nobody knows how far it got.
    #[error("stopped: {}", .0.reason)]
    Stopped(Stopped),
    /// It was done, and what it gave is withheld: the ledger of the task could not be told what kinds of data that is.
    #[error("withheld: {}", .0.reason)]
    Withheld(Unlabelled),
    /// It was permitted, and the tool failed.
    #[error("the tool failed")]
    Tool(#[source] E),
    /// It was done, and that could not be written down.
    #[error("the tool's outcome could not be recorded")]
    Complete(#[source] CompleteError),
}

/// When what a call gives goes to whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    /// As soon as it is permitted: they make it themselves.
    Whole,
    /// Once it was made, by us.
    Overlapped,
}

/// What every decision needs.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) instance: InstanceId,
    pub(crate) clock: SharedClock,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) authority: Arc<dyn Authority>,
    pub(crate) holds: Arc<Holds>,
    pub(crate) ledgers: Ledgers,
    slices: Slices,
    /// There may be slices to look after.
    slices_held: Notify,
    permits: Permits,
    grants: VerifiedGrants,
    proofs: Proofs,
    /// One permit for each watch that may still begin.
    watches: Arc<Semaphore>,
}

impl Gate {
    pub(crate) const fn new(core: Arc<Core>, caller: Option<Caller>) -> Self {
        Self { core, caller }
    }

    /// What it takes the time from.
    pub(crate) fn clock(&self) -> SharedClock {
        Arc::clone(&self.core.clock)
    }

    /// The same gate for another caller.
    pub(crate) fn for_caller(&self, caller: Caller) -> Self {
        Self::new(Arc::clone(&self.core), Some(caller))
    }

    /// Decides one call. A deny is an answer; an error means that there was nothing to decide.
    ///
    /// If people have to look, this waits for them as long as the request says, and then answers [`Answer::Hold`]: the same
    /// call presented again goes on waiting for the same hold.
    pub async fn authorize(&self, request: Request) -> Result<Answer, GateError> {
        self.decide(request, Release::Whole).await
    }

    async fn decide(&self, request: Request, release: Release) -> Result<Answer, GateError> {
        let caller = self.caller.clone().ok_or(GateError::NoAgent)?;
        let case = Case::new(caller, request, &*self.core.clock)?;
        Ok(self.core.authorize(Arc::new(case), release).await)
    }

    /// Decides one call and, if it is permitted, makes it; its outcome is recorded whatever happens.
    ///
    /// A call that only reads is made while the ledger of its task is told what kinds of data it brings; what it gave is given only
    /// once that is written.
    ///
    /// If the returned future is dropped while the tool runs, the outcome is recorded as unknown. Nothing interrupts the tool:
    /// one that runs for long is better called between [`Gate::authorize`] and [`Permit::complete`], with
    /// [`Permit::stopped`] beside it.
    pub async fn run<T, E, Work, Running>(&self, request: Request, work: Work) -> Result<T, RunError<E>>
    where
        Work: FnOnce() -> Running,
        Running: Future<Output = Result<T, E>>,
    {
        self.run_reading(request, work, |_| Found::default()).await
    }

    /// The same, and what it gave is looked at before it is given.
    pub async fn run_reading<T, E, Work, Running>(
        &self,
        request: Request,
        work: Work,
        found: impl FnOnce(&T) -> Found,
    ) -> Result<T, RunError<E>>
    where
        Work: FnOnce() -> Running,
        Running: Future<Output = Result<T, E>>,
    {
        let mut permit = self.permitted(request).await?;
        let (done, labelled) = tokio::join!(work(), permit.pay());
        let found = done.as_ref().map(found).unwrap_or_default();
        ended(permit, done, (labelled, found)).await
    }

    async fn permitted<E>(&self, request: Request) -> Result<Permit, RunError<E>> {
        match self.decide(request, Release::Overlapped).await? {
            Answer::Permit(permit) => Ok(permit),
            Answer::Hold(held) => Err(RunError::Held(held)),
            Answer::Deny(denied) => Err(RunError::Denied(denied)),
        }
    }

    /// Says what happened to a call whose permit was detached.
    pub async fn complete(
        &self,
        decision: DecisionId,
        result: OutcomeResult,
        detail: &str,
    ) -> Result<(), CompleteError> {
        self.complete_with(decision, result, detail, &Found::default())
            .await
    }

    /// The same, with what was found in its result. That is in the ledger of the task when this returns: pass the result on only
    /// then. If it can't be written, the same can be said again.
    pub async fn complete_with(
        &self,
        decision: DecisionId,
        result: OutcomeResult,
        detail: &str,
        found: &Found,
    ) -> Result<(), CompleteError> {
        let agent = self.caller.as_ref().map(|caller| &caller.agent);
        self.core.complete(decision, agent, result, detail, found).await
    }
}

/// Records how the tool ended, and gives what it gave, unless the ledger could not be told what that is.
async fn ended<T, E>(
    permit: Permit,
    done: Result<T, E>,
    (labelled, found): (Result<(), Refusal>, Found),
) -> Result<T, RunError<E>> {
    let (result, detail) = match (&done, &labelled) {
        (Ok(_), Ok(())) => (OutcomeResult::Done, ""),
        (Ok(_), Err(_)) => (
            OutcomeResult::Done,
            "the result could not be labelled and was withheld",
        ),
        // The error itself may carry data that belongs in no record.
        (Err(_), _) => (OutcomeResult::Failed, "the tool returned an error"),
    };
    let completed = permit.complete_with(result, detail, &found).await;
    // An error of a tool is a result, too.
    labelled.map_err(|refusal| RunError::Withheld(refusal.into()))?;
    let value = match (done, completed) {
        (_, Err(CompleteError::Unlabelled(unlabelled))) => return Err(RunError::Withheld(unlabelled)),
        (Err(error), _) => return Err(RunError::Tool(error)),
        (Ok(_), Err(error)) => return Err(RunError::Complete(error)),
        (Ok(value), Ok(())) => value,
    };
    Ok(value)
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Request {
    /// Without the grant, which is a bearer's, and without the arguments, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("tool", &self.tool)
            .field("call_id", &self.call_id)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

impl Request {
    /// A call of `tool` (`<catalog>/<tool>`) with the JSON text that will be sent to it, under a grant that `task start` gave,
    /// or one that was narrowed from it.
    pub fn new(grant: impl Into<String>, tool: impl Into<String>, arguments: &[u8]) -> Self {
        Self::parsed(grant, tool, Arguments::parse(arguments))
    }

    /// The same with arguments that were parsed before.
    pub fn typed(grant: impl Into<String>, tool: impl Into<String>, arguments: Arguments) -> Self {
        Self::parsed(grant, tool, Ok(arguments))
    }

    /// Names the call: the same name, task and action find the same hold again.
    #[must_use]
    pub fn call_id(mut self, call_id: impl Into<String>) -> Self {
        self.call_id = call_id.into();
        self
    }

    /// Shows that whoever calls has the key that the grant names; made for this call with
    /// [`OwnGrant::prove`](checkrein_shared::grant::OwnGrant::prove). Full-tier tools want it if the grant names a key.
    #[must_use]
    pub fn proof(mut self, proof: impl Into<String>) -> Self {
        self.proof = proof.into();
        self
    }

    /// Says how the tool is defined by whoever offers it now: SHA-256 of its canonical JSON. A changed tool is another tool: where
    /// that is not what the catalog accepted, the call is denied.
    #[must_use]
    pub const fn definition(mut self, sha256: Sha256) -> Self {
        self.definition = Some(sha256);
        self
    }

    /// How long to wait for people; not at all unless this is said. At most [`WAIT_MAX`].
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait.min(WAIT_MAX);
        self
    }

    fn parsed(
        grant: impl Into<String>,
        tool: impl Into<String>,
        arguments: Result<Arguments, InvalidArguments>,
    ) -> Self {
        Self {
            grant: grant.into(),
            proof: String::new(),
            tool: tool.into(),
            arguments,
            call_id: String::new(),
            definition: None,
            wait: Duration::ZERO,
        }
    }
}

impl Core {
    pub(crate) fn new(
        instance: InstanceId,
        clock: SharedClock,
        snapshots: Arc<Snapshots>,
        freshness: Arc<Freshness>,
        journal: Arc<Journal>,
        authority: Arc<dyn Authority>,
        holds: Arc<Holds>,
    ) -> Self {
        Self {
            instance,
            clock,
            snapshots,
            freshness,
            journal,
            authority,
            holds,
            ledgers: Ledgers::default(),
            slices: Slices::default(),
            slices_held: Notify::new(),
            permits: Permits::default(),
            grants: VerifiedGrants::default(),
            proofs: Proofs::default(),
            watches: Arc::new(Semaphore::new(stopped::WATCHES_MAX)),
        }
    }

    async fn authorize(self: &Arc<Self>, case: Arc<Case>, release: Release) -> Answer {
        let mut weighed = self.weigh_informed(&case).await;
        // One for the whole call: whatever has to be asked twice is charged once.
        let id = DecisionId::new(&*self.clock);
        for _ in 0..TRIES_MAX {
            match (weighed.verdict, weighed.tier) {
                (Verdict::Deny, _) => return self.deny(&case, weighed),
                (Verdict::Hold, _) => return hold(self, case, weighed).await,
                (Verdict::Permit, Tier::Static | Tier::Light) if !weighed.is_charged() => {
                    return self.let_through(&case, weighed, (id, release)).await;
                }
                (Verdict::Permit, _) => match self.pay_confirmed(&case, &weighed, id).await {
                    Confirmed::Paid(paid) => {
                        weighed.paid = Some(paid);
                        return self.let_through(&case, weighed, (id, release)).await;
                    }
                    Confirmed::Yes(known, asked_boot_ms) => {
                        let cost = weighed.cost;
                        let mut weighed = self.weigh_confirmed(&case, weighed, (known, asked_boot_ms));
                        weighed.confirmed = Some(id);
                        if weighed.verdict == Verdict::Permit && weighed.cost != cost {
                            return self.deny(&case, weighed.repriced());
                        }
                        return match weighed.verdict {
                            Verdict::Permit => self.let_through(&case, weighed, (id, release)).await,
                            Verdict::Hold => hold(self, case, weighed).await,
                            Verdict::Deny => self.deny(&case, weighed),
                        };
                    }
                    Confirmed::No(refusal) => return self.deny(&case, weighed.denied(refusal)),
                    Confirmed::Unheard(refusal) => {
                        weighed.confirmed = Some(id);
                        return self.deny(&case, weighed.denied(refusal));
                    }
                    Confirmed::NewerPolicy(generation) => {
                        self.reach(generation).await;
                        weighed = self.weigh_informed(&case).await;
                    }
                },
            }
        }
        self.deny(&case, weighed.behind())
    }

    /// Records a permit and answers it, once the ledger of its task says what it brings.
    async fn let_through(
        self: &Arc<Self>,
        case: &Arc<Case>,
        weighed: Weighed,
        (id, release): (DecisionId, Release),
    ) -> Answer {
        let mut owed = self.owed(case, &weighed, id);
        if !(release == Release::Overlapped && weighed.can_overlap())
            && let Some(owed) = owed.take()
            && let Err(refusal) = self.pay(owed).await
        {
            return self.deny(case, weighed.denied(refusal));
        }
        if weighed.tier == Tier::Full {
            return self.release(case, weighed, None, id).await;
        }
        let mut answer = self.permit(case, weighed, id);
        if let Answer::Permit(permit) = &mut answer {
            permit.owed = owed;
        }
        answer
    }
}

#[cfg(test)]
mod tests;
