//! What people are asked about, as askers follow it: a denial that may be requested, its task, and the approval that comes of it.
//!
//! The gate opened the hold when it was asked; a request only takes it up. What people say comes here by the session with the control
//! plane, and nothing is asked of it for who only looks.
//!
//! **Invariant**: nothing here permits. An approval is a word by which an asker finds what it asked for; it is the gate that looks at the
//! hold when the question is asked again. Nobody sees, or goes on with, what another asker began.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use checkrein_shared::hold::State;
use checkrein_shared::id::{DecisionId, HoldId, random_bytes};

use super::super::Pep;
use super::super::asking::Carried;
use super::asked::Question;
use crate::gate::{Gate, Held};
use crate::hold::Waiter;

/// So many are followed at once; the oldest that nobody requested goes first, then the oldest that is over.
const FOLLOWED_MAX: usize = 512;
/// So many denials of one hold are remembered, the newest.
const DENIALS_MAX: usize = 8;
/// What is over can be looked at for so long.
const KEPT_MS: u64 = 3_600_000;
/// An idempotency key may have at most this many bytes.
pub(super) const KEY_BYTES_MAX: usize = 256;

/// Everything that is followed.
#[derive(Debug, Default)]
pub(super) struct Desk {
    state: Mutex<Followed>,
}

#[derive(Debug, Default)]
struct Followed {
    by_hold: HashMap<HoldId, Wanted>,
    made: u64,
}

/// A call that waits for people, and who wants it.
#[derive(Debug)]
struct Wanted {
    number: u64,
    pep: Pep,
    denials: VecDeque<DecisionId>,
    /// What was asked, as people and approvals are bound to it.
    bound: String,
    /// The call that it is.
    call: Call,
    groups: Vec<String>,
    decide_by_ms: u64,
    waiter: Waiter,
    requested: Option<Requested>,
    /// What it became, once somebody saw that: it is never another thing.
    settled: Option<Outcome>,
}

/// What makes a call this one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    tool: String,
    arguments: String,
}

#[derive(Debug)]
struct Requested {
    key: Option<String>,
    /// Nobody guesses it.
    approval: String,
}

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    Approved,
    Denied,
    Expired,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    status: Status,
    at_ms: u64,
    use_by_ms: Option<u64>,
}

/// A task, as its asker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) hold: HoldId,
    pub(super) status: Status,
    /// When people stop being asked, or what came of it stops being shown.
    pub(super) expires_ms: u64,
    pub(super) approval: Option<Approval>,
    /// Who is asked.
    pub(super) groups: Vec<String>,
    /// What somebody asks back, or said when denying.
    pub(super) said: String,
}

/// What an asker shows when it asks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Approval {
    pub(super) id: String,
    /// When it was first seen here.
    pub(super) seen_ms: u64,
    pub(super) until_ms: u64,
}

/// A request that can't be taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unrequested {
    /// Nothing was denied by this name, or nothing that people are asked about, to this asker.
    Unknown,
    /// It was something else that was denied.
    OtherBinding,
    /// People are not asked any more.
    Expired,
    /// Its key was used for another.
    KeyTaken,
}

/// What an approval that is shown is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nobody here gave it to this asker.
    Unknown,
    /// It is of another question.
    OfAnother,
    /// It is of this one.
    OfThis(Option<Approval>),
}

impl Desk {
    /// Remembers what was just denied because people have to look; whether it can be requested.
    pub(super) fn denied(&self, gate: &Gate, pep: &Pep, held: &Held, asked: (&Question, &Carried)) -> bool {
        let Some(hold) = held.decided.hold else {
            return false;
        };
        let mut followed = self.followed();
        if let Some(wanted) = followed.by_hold.get_mut(&hold) {
            if wanted.pep != *pep {
                return false;
            }
            if wanted.denials.len() == DENIALS_MAX {
                wanted.denials.pop_front();
            }
            wanted.denials.push_back(held.decided.id);
            return true;
        }
        if followed.by_hold.len() >= FOLLOWED_MAX && followed.forget_one().is_none() {
            return false;
        }
        let Some(waiter) = gate.follow(hold) else {
            return false;
        };
        followed.made += 1;
        let wanted = Wanted {
            number: followed.made,
            pep: pep.clone(),
            denials: VecDeque::from([held.decided.id]),
            bound: asked.0.bound(),
            call: Call::of(asked.1),
            groups: held.groups.clone(),
            decide_by_ms: held.decide_by_ms,
            waiter,
            requested: None,
            settled: None,
        };
        followed.by_hold.insert(hold, wanted);
        true
    }

    /// Takes up what was denied, once however often that is asked.
    pub(super) fn request(
        &self,
        pep: &Pep,
        (denial, bound): (DecisionId, &str),
        key: Option<&str>,
        now_ms: u64,
    ) -> Result<Task, Unrequested> {
        let mut followed = self.followed();
        let used = key.and_then(|key| followed.of_key(pep, key));
        let own = |wanted: &Wanted| wanted.pep == *pep && wanted.denials.contains(&denial);
        let found = followed.by_hold.iter().find(|(_, wanted)| own(wanted));
        let hold = found.map(|(hold, _)| *hold).ok_or(Unrequested::Unknown)?;
        if used.is_some_and(|used| used != hold) {
            return Err(Unrequested::KeyTaken);
        }
        let wanted = followed.by_hold.get_mut(&hold).ok_or(Unrequested::Unknown)?;
        if wanted.bound != bound {
            return Err(Unrequested::OtherBinding);
        }
        if wanted.requested.is_none() && wanted.decide_by_ms <= now_ms {
            return Err(Unrequested::Expired);
        }
        let requested = wanted.requested.get_or_insert_with(|| Requested {
            key: None,
            approval: format!("apr_{:032x}", u128::from_be_bytes(random_bytes())),
        });
        if requested.key.is_none() {
            requested.key = key.map(str::to_owned);
        }
        Ok(wanted.task(hold, now_ms))
    }

    /// How a task stands; none, if this asker has none of this name.
    pub(super) fn task(&self, pep: &Pep, hold: HoldId, now_ms: u64) -> Option<Task> {
        let mut followed = self.followed();
        let wanted = followed.by_hold.get_mut(&hold)?;
        let is_own = wanted.pep == *pep && wanted.requested.is_some();
        let task = is_own.then(|| wanted.task(hold, now_ms))?;
        if task.status != Status::Pending && task.expires_ms <= now_ms {
            followed.by_hold.remove(&hold);
            return None;
        }
        Some(task)
    }

    /// What an approval is that an asker shows with this question.
    pub(super) fn shown(
        &self,
        pep: &Pep,
        approval: &str,
        asked: (&Question, &Carried),
        now_ms: u64,
    ) -> Shown {
        let mut followed = self.followed();
        let is_it = |wanted: &Wanted| {
            let requested = wanted.requested.as_ref();
            wanted.pep == *pep && requested.is_some_and(|requested| requested.approval == approval)
        };
        let Some((hold, wanted)) = followed.by_hold.iter_mut().find(|(_, wanted)| is_it(wanted)) else {
            return Shown::Unknown;
        };
        if wanted.bound != asked.0.bound() || wanted.call != Call::of(asked.1) {
            return Shown::OfAnother;
        }
        Shown::OfThis(wanted.task(*hold, now_ms).approval)
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed {
    fn of_key(&self, pep: &Pep, key: &str) -> Option<HoldId> {
        let has_key = |wanted: &Wanted| {
            let requested = wanted.requested.as_ref();
            wanted.pep == *pep && requested.and_then(|requested| requested.key.as_deref()) == Some(key)
        };
        let found = self.by_hold.iter().find(|(_, wanted)| has_key(wanted));
        found.map(|(hold, _)| *hold)
    }

    fn forget_one(&mut self) -> Option<()> {
        let order = |wanted: &Wanted| {
            let is_over = wanted.waiter.seen().state != State::Open;
            match (&wanted.requested, is_over) {
                (None, _) => Some((0, wanted.number)),
                (Some(_), true) => Some((1, wanted.number)),
                (Some(_), false) => None,
            }
        };
        let oldest = self
            .by_hold
            .iter()
            .filter_map(|(hold, wanted)| Some((order(wanted)?, *hold)));
        let (_, hold) = oldest.min()?;
        self.by_hold.remove(&hold).map(drop)
    }
}

impl Wanted {
    fn task(&mut self, hold: HoldId, now_ms: u64) -> Task {
        let view = self.waiter.seen();
        let status = match self.settled {
            Some(outcome) => outcome.status,
            None => Status::of(view.state),
        };
        if self.settled.is_none() && status != Status::Pending {
            self.settled = Some(Outcome {
                status,
                at_ms: now_ms,
                use_by_ms: view.use_by_ms,
            });
        }
        let approval = self.settled.filter(|outcome| outcome.status == Status::Approved);
        let approval = approval.zip(self.requested.as_ref());
        Task {
            hold,
            status,
            expires_ms: match self.settled {
                Some(outcome) => outcome.at_ms.saturating_add(KEPT_MS),
                None => self.decide_by_ms,
            },
            approval: approval.map(|(outcome, requested)| Approval {
                id: requested.approval.clone(),
                seen_ms: outcome.at_ms,
                // Heard of too late to know it: ask again at once.
                until_ms: outcome.use_by_ms.unwrap_or(outcome.at_ms),
            }),
            groups: self.groups.clone(),
            said: view.said,
        }
    }
}

impl Call {
    fn of(carried: &Carried) -> Self {
        Self {
            tool: carried.tool.clone(),
            arguments: carried.arguments.clone(),
        }
    }
}

impl Status {
    const fn of(state: State) -> Self {
        match state {
            State::Open => Self::Pending,
            State::Approved | State::Consumed | State::Done | State::Failed | State::Unknown => {
                Self::Approved
            }
            State::Denied | State::Withdrawn => Self::Denied,
            State::Expired | State::Lapsed => Self::Expired,
            State::Cancelled => Self::Cancelled,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}
