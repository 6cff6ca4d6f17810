//! Several enforcers with the real gate, driven by hand: each call runs until it asks, and goes on when the schedule says.
//!
//! **Invariant**: between two steps nothing runs, so that the same list is the same run.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::id::TaskId;
use checkrein_shared::ledger::Ledger;
use checkrein_shared::{Clock, ManualClock};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::call::{Call, Step, begin, found, taints};
use super::oracle::{Oracle, Place, Taint, Tally};
use super::primary::{Flaw, Primary};
use super::schedule::{Deed, ENFORCERS, Op, Told};
use super::site::{Site, account, request};
use super::standing::Standing;
use super::wire::{Wire, around};
use crate::fixture::NOW_MS;
use crate::gate::{Answer, CompleteError, Decided, Found, RunError};

/// A call in so many turns of the runtime is stuck.
const TURNS_MAX: u32 = 10_000_000;

/// Everything that a schedule changes.
pub(super) struct World<'a> {
    site: &'a Site,
    clock: ManualClock,
    task: TaskId,
    wire: Arc<Mutex<Wire>>,
    standing: Vec<Standing>,
    calls: Vec<Call>,
    oracle: Oracle,
}

impl<'a> World<'a> {
    pub(super) fn new(site: &'a Site, flaw: Flaw) -> Self {
        let clock = ManualClock::at(NOW_MS);
        clock.advance_ms(1);
        let task = TaskId::new(&clock);
        let primary = Primary::new(flaw, clock.clone(), Ledger::default());
        let wire = Arc::new(Mutex::new(Wire::new(primary)));
        let standing = (0..ENFORCERS).map(|at| Standing::start(site, (at, 0), &wire, &clock));
        Self {
            site,
            task,
            standing: standing.collect(),
            wire,
            calls: Vec::new(),
            oracle: Oracle::new(account(task)),
            clock,
        }
    }

    /// Runs the steps, then lets everything come to rest, and looks once more from everywhere.
    pub(super) async fn run(mut self, ops: &[Op]) -> Result<Tally, String> {
        for op in ops {
            self.apply(*op).await.map_err(|why| format!("at {op:?}: {why}"))?;
        }
        for at in 0..u8::try_from(ENFORCERS).unwrap() {
            self.apply(Op::Heal(at)).await?;
        }
        self.settle().await?;
        for (at, deed) in [
            (0, Deed::Send),
            (1, Deed::Draft),
            (2, Deed::Draft),
            (1, Deed::Reply),
            (2, Deed::Send),
        ] {
            self.apply(Op::Present(at, deed)).await?;
            self.settle().await?;
        }
        Ok(self.oracle.tally)
    }

    async fn settle(&mut self) -> Result<(), String> {
        while !self.wire().is_quiet() {
            self.apply(Op::Answer(0)).await?;
        }
        Ok(())
    }

    async fn apply(&mut self, op: Op) -> Result<(), String> {
        match op {
            Op::Limit(calls) => {
                if self.calls.is_empty() {
                    self.wire().primary.limit = Some(calls.into());
                }
            }
            Op::Present(at, deed) => {
                let name = format!("call-{}", self.calls.len());
                return self.present(usize::from(at) % ENFORCERS, deed, name).await;
            }
            Op::Again(at) => {
                let held: Vec<_> = (0..self.calls.len())
                    .filter(|call| self.calls[*call].is_held)
                    .collect();
                if let Some(call) = around(&held, at) {
                    let Call {
                        deed, place, name, ..
                    } = &self.calls[call];
                    let (at, deed, name) = (place.enforcer, *deed, name.clone());
                    return self.present(at, deed, name).await;
                }
            }
            Op::Complete(at, told) => return self.complete(at, told).await,
            Op::Serve(at) => self.wire().serve(at),
            Op::Repeat(at) => self.wire().repeat(at),
            Op::Answer(at) => {
                let answered = self.wire().answer(at);
                return self.go_on(answered).await;
            }
            Op::Lose(at) => {
                let lost = self.wire().lose(at);
                return self.go_on(lost).await;
            }
            Op::Late(at) => self.wire().late(at),
            Op::Crash(at) => self.crash(usize::from(at) % ENFORCERS),
            Op::Cut(at) => {
                let at = usize::from(at) % ENFORCERS;
                self.wire().is_cut[at] = true;
                let lost = self.wire().lose_all(Some(at));
                return self.go_on(lost).await;
            }
            Op::Heal(at) => {
                let at = usize::from(at) % ENFORCERS;
                self.wire().is_cut[at] = false;
                self.hear(at);
            }
            Op::Restart => {
                let lost = self.wire().lose_all(None);
                return self.go_on(lost).await;
            }
            Op::Advance(by_ms) => {
                self.clock.advance_ms(by_ms.into());
                (0..ENFORCERS).for_each(|at| self.hear(at));
            }
            Op::Lift => {
                let mut wire = self.wire.lock().unwrap();
                if !wire.primary.ledger.labels.is_empty() {
                    wire.primary.lift();
                    self.oracle.lifts();
                }
            }
            Op::Hear(at) => self.hear(usize::from(at) % ENFORCERS),
            Op::Approve => self.wire().primary.approve(),
        }
        Ok(())
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap()
    }

    fn crash(&mut self, at: usize) {
        for call in self.calls.iter_mut().filter(|call| call.place.enforcer == at) {
            call.running = None;
            call.permitted = None;
        }
        self.wire().lose_all(Some(at));
        let next = (at, self.standing[at].run + 1);
        self.standing[at] = Standing::start(self.site, next, &self.wire, &self.clock);
        self.hear(at);
    }

    /// Unless it is cut off.
    fn hear(&mut self, at: usize) {
        let (epoch, is_cut) = {
            let wire = self.wire();
            (wire.primary.epoch, wire.is_cut[at])
        };
        if !is_cut {
            self.standing[at].hear(self.task, epoch, &self.clock);
        }
    }

    async fn present(&mut self, at: usize, deed: Deed, name: String) -> Result<(), String> {
        let (epoch, was_cut, limit) = {
            let wire = self.wire();
            (wire.primary.epoch, wire.is_cut[at], wire.primary.limit)
        };
        // Whoever acts has heard of the new epoch only when their enforcer has.
        let epoch = epoch.min(self.standing[at].heard);
        let grant = self.site.grant((self.task, epoch), limit, &self.clock);
        let call = self.calls.len();
        {
            let mut wire = self.wire();
            wire.calls.insert(grant.clone(), (call, epoch));
            wire.unanswered.push(false);
        }
        let place = Place {
            enforcer: at,
            run: self.standing[at].run,
            epoch,
            at_ms: self.clock.boot_ms(),
            was_cut,
            is_counted: limit.is_some(),
            heard: self.standing[at].heard,
            order: self.oracle.moment(),
        };
        let request = request(deed, grant).call_id(&*name);
        let mut presented = Call::new(deed, place, name);
        presented.running = Some(begin(self.standing[at].gate.clone(), deed, request));
        self.calls.push(presented);
        self.go_on([call]).await
    }

    async fn complete(&mut self, at: u8, told: Told) -> Result<(), String> {
        let permitted: Vec<_> = (0..self.calls.len())
            .filter(|call| self.calls[*call].permitted.is_some() && self.calls[*call].running.is_none())
            .collect();
        let Some(at) = around(&permitted, at) else {
            return Ok(());
        };
        let call = &mut self.calls[at];
        let Some(decision) = call.permitted else {
            return Ok(());
        };
        let standing = &self.standing[call.place.enforcer];
        let gate = standing.gate.clone();
        let found = if call.deed == Deed::Page {
            // It is this moment from which on its result is to be known.
            call.place.order = self.oracle.moment();
            call.place.heard = standing.heard;
            call.told = Some(told);
            found(told)
        } else {
            Found::default()
        };
        call.running = Some(
            async move {
                let completed = gate
                    .complete_with(decision, OutcomeResult::Done, "", &found)
                    .await;
                Step::Completed(completed)
            }
            .boxed(),
        );
        self.go_on([at]).await
    }

    /// Lets these calls run until they ask.
    async fn go_on(&mut self, calls: impl IntoIterator<Item = usize>) -> Result<(), String> {
        for at in calls {
            let Some(mut running) = self.calls[at].running.take() else {
                continue;
            };
            match self.until_it_asks(at, &mut running).await {
                Some(step) => self.stepped(at, step)?,
                None => self.calls[at].running = Some(running),
            }
        }
        Ok(())
    }

    async fn until_it_asks(&self, at: usize, running: &mut BoxFuture<'static, Step>) -> Option<Step> {
        for _ in 0..TURNS_MAX {
            let step = poll_fn(|cx| match running.as_mut().poll(cx) {
                Poll::Ready(step) => Poll::Ready(Some(step)),
                Poll::Pending => Poll::Ready(None),
            })
            .await;
            if step.is_some() || self.wire().waits(at) {
                return step;
            }
            // A disk, or a part of it that runs beside.
            tokio::task::yield_now().await;
        }
        panic!("call {at} waits for nothing")
    }

    fn stepped(&mut self, at: usize, step: Step) -> Result<(), String> {
        match step {
            Step::Answered(Answer::Permit(permit)) => {
                let decided = permit.detach();
                self.calls[at].permitted = Some(decided.id);
                self.permitted(at, &decided)?;
                match self.calls[at].deed {
                    Deed::Customer => self.released(at, &[Taint::Personal]),
                    _ => Ok(()),
                }
            }
            Step::Answered(Answer::Hold(_)) => {
                self.calls[at].is_held = true;
                Ok(())
            }
            Step::Answered(Answer::Deny(denied)) | Step::Ran(Err(RunError::Denied(denied))) => {
                self.denied(at, &denied.decided)
            }
            Step::Ran(Ok(())) => {
                self.oracle.makes(self.wire.lock().unwrap().primary.limit)?;
                match self.calls[at].deed {
                    Deed::RunPage => self.released(at, &[Taint::Value]),
                    _ => self.released(at, &[Taint::Personal]),
                }
            }
            Step::Ran(Err(RunError::Withheld(_)))
            | Step::Completed(Err(CompleteError::Unlabelled(_) | CompleteError::Twice(_))) => Ok(()),
            Step::Ran(Err(error)) => Err(format!("{error:?}")),
            Step::Completed(Err(error)) => Err(format!("{error:?}")),
            Step::Completed(Ok(())) => {
                let call = &mut self.calls[at];
                call.permitted = None;
                match call.told.take() {
                    None => Ok(()),
                    Some(told) => self.released(at, taints(told)),
                }
            }
        }
    }

    fn released(&mut self, at: usize, taints: &[Taint]) -> Result<(), String> {
        let wire = self.wire.lock().unwrap();
        let place = self.calls[at].place;
        taints
            .iter()
            .try_for_each(|taint| self.oracle.releases(*taint, place, &wire.primary))
    }

    fn permitted(&mut self, at: usize, decided: &Decided) -> Result<(), String> {
        let wire = self.wire.lock().unwrap();
        self.oracle.makes(wire.primary.limit)?;
        self.oracle
            .permits(&self.calls[at].judged(decided, wire.unanswered[at]))
    }

    fn denied(&mut self, at: usize, decided: &Decided) -> Result<(), String> {
        let wire = self.wire.lock().unwrap();
        let judged = self.calls[at].judged(decided, wire.unanswered[at]);
        self.oracle.denies(&judged, &wire.primary)
    }
}
