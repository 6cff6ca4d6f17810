//! Who sees everything: what every enforcer gave to whom, when, and what was written then; and says what should not have been.
//!
//! It knows nothing of views, revisions and confirmations, only of what was given before what was asked for.
//!
//! **Invariant**: a breach is a promise that was not kept, not a way of keeping it that is another than expected.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use checkrein_shared::decision::Cause;
use checkrein_shared::ledger::Fingerprint;

use super::primary::Primary;
use super::schedule::Deed;

/// While the control plane can be asked, a light call may be judged by a ledger so old.
const LIGHT_MS: u64 = 1_000;
/// And while it can't.
const LIGHT_CUT_MS: u64 = 15 * 60_000;
/// Mails in a task.
pub(super) const SENDS_MAX: u64 = 2;
/// Payments in a task.
pub(super) const PAYS_MAX: u64 = 1;

/// What an agent knows after something was released to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Taint {
    /// Personal data.
    Personal,
    /// What a stranger wrote, said to be that.
    Steered,
    /// The account that stands in it.
    Value,
    /// More than anybody looked at.
    Lost,
}

/// Where a call was presented, when and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) enforcer: usize,
    /// It was started so often.
    pub(super) run: u32,
    pub(super) epoch: u64,
    pub(super) at_ms: u64,
    /// The control plane could not be asked.
    pub(super) was_cut: bool,
    /// Every call of its task is confirmed.
    pub(super) is_counted: bool,
    /// The epoch of the task that its enforcer had heard of.
    pub(super) heard: u64,
    /// In the order of all that happened.
    pub(super) order: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Released {
    taint: Taint,
    place: Place,
    at_ms: u64,
    order: u64,
}

/// How much was seen, so that a test that saw nothing fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) released: u64,
    pub(super) sinks: u64,
    pub(super) forbidden: u64,
    pub(super) approved: u64,
    pub(super) unanswered: u64,
    pub(super) unheard: u64,
    pub(super) used_up: u64,
    pub(super) lifted: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.released += other.released;
        self.sinks += other.sinks;
        self.forbidden += other.forbidden;
        self.approved += other.approved;
        self.unanswered += other.unanswered;
        self.unheard += other.unheard;
        self.used_up += other.used_up;
        self.lifted += other.lifted;
    }
}

/// What was given, and what was taken.
#[derive(Debug)]
pub(super) struct Oracle {
    order: u64,
    released: Vec<Released>,
    lifted: u64,
    calls: u64,
    sends: u64,
    pays: u64,
    account: Fingerprint,
    pub(super) tally: Tally,
}

/// A call that was permitted or denied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged<'a> {
    pub(super) deed: Deed,
    pub(super) place: Place,
    pub(super) cause: Cause,
    pub(super) rules: &'a [String],
    /// A question of it was not answered.
    pub(super) was_unanswered: bool,
}

impl Oracle {
    pub(super) fn new(account: Fingerprint) -> Self {
        Self {
            order: 0,
            released: Vec::new(),
            lifted: 0,
            calls: 0,
            sends: 0,
            pays: 0,
            account,
            tally: Tally::default(),
        }
    }

    /// The next moment.
    pub(super) const fn moment(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    /// A person took every label from the task.
    pub(super) fn lifts(&mut self) {
        self.lifted = self.moment();
        self.tally.lifted += 1;
        self.released
            .retain(|released| matches!(released.taint, Taint::Value | Taint::Lost));
    }

    /// Data was given to whoever asked, here.
    pub(super) fn releases(&mut self, taint: Taint, place: Place, primary: &Primary) -> Result<(), String> {
        self.tally.released += 1;
        let order = self.moment();
        if self.is_written(taint, primary) {
            let at_ms = checkrein_shared::Clock::boot_ms(&primary.clock);
            self.released.push(Released {
                taint,
                place,
                at_ms,
                order,
            });
            return Ok(());
        }
        if self.lifted > place.order && matches!(taint, Taint::Personal | Taint::Steered) {
            // It was written, and a person has said since that it does not matter.
            return Ok(());
        }
        if place.epoch < primary.epoch && place.heard < primary.epoch {
            // That a grant is over is pushed, and bounded by the tier where it can't be.
            self.tally.unheard += 1;
            return Ok(());
        }
        Err(format!("{taint:?} was released and is not in the ledger"))
    }

    fn is_written(&self, taint: Taint, primary: &Primary) -> bool {
        let carries = |word: &str| primary.ledger.labels.iter().any(|label| label.as_str() == word);
        let stood = || {
            primary
                .values
                .get(&self.account)
                .is_some_and(|from| from.untrusted)
        };
        match taint {
            Taint::Personal => carries("pii"),
            Taint::Steered => carries("untrusted_content"),
            Taint::Value => primary.ledger.values_lost || stood(),
            Taint::Lost => primary.ledger.values_lost,
        }
    }

    /// A call was made that may only be made so often.
    pub(super) fn makes(&mut self, limit: Option<u64>) -> Result<(), String> {
        self.calls += 1;
        match limit {
            Some(limit) if self.calls > limit => Err("the task made more calls than it may".into()),
            _ => Ok(()),
        }
    }

    /// A call was permitted.
    pub(super) fn permits(&mut self, judged: &Judged<'_>) -> Result<(), String> {
        self.tally.approved += u64::from(judged.cause == Cause::Approved);
        match judged.deed {
            Deed::Send => self.sends += 1,
            Deed::Pay => self.pays += 1,
            _ => {}
        }
        if self.sends > SENDS_MAX || self.pays > PAYS_MAX {
            return Err(format!("{:?} went more often than it may", judged.deed));
        }
        let forbidding = forbidding(judged.deed);
        self.tally.sinks += u64::from(!forbidding.is_empty());
        let known = self.released.iter().find(|released| {
            forbidding.contains(&released.taint)
                && released.order < judged.place.order
                && must_know(judged, released)
        });
        known.map_or(Ok(()), |known| {
            Err(format!("{:?} went after {known:?}", judged.deed))
        })
    }

    /// It was denied: for a reason that there is.
    pub(super) fn denies(&mut self, judged: &Judged<'_>, primary: &Primary) -> Result<(), String> {
        let place = judged.place;
        let is_right = match judged.cause {
            Cause::Forbidden => {
                self.tally.forbidden += 1;
                judged.rules.iter().all(|rule| self.holds(rule, judged, primary))
            }
            Cause::TaskAmended => place.epoch < primary.epoch,
            Cause::LedgerUnknown | Cause::LabelUnwritten | Cause::ControlPlaneUnreachable => {
                self.tally.unanswered += 1;
                judged.was_unanswered || place.was_cut
            }
            Cause::Budget => {
                self.tally.used_up += 1;
                primary.is_used_up()
            }
            Cause::PolicyStale => place.was_cut,
            Cause::AlreadyReleased => match judged.deed {
                Deed::Pay => primary.used("bank/pay") > 0,
                Deed::Publish => primary.used("web/publish") > 0,
                _ => false,
            },
            _ => false,
        };
        if is_right {
            return Ok(());
        }
        Err(format!(
            "{:?} was denied for nothing: {:?} {:?}",
            judged.deed, judged.cause, judged.rules
        ))
    }

    fn holds(&self, rule: &str, judged: &Judged<'_>, primary: &Primary) -> bool {
        // What was lifted meanwhile was there before.
        let is_past = judged.place.epoch < primary.epoch;
        match rule {
            "personal" => is_past || self.is_written(Taint::Personal, primary),
            "steered" => is_past || self.is_written(Taint::Steered, primary),
            "stranger" => self.is_written(Taint::Value, primary),
            "twice" => primary.used("mail/send") >= SENDS_MAX,
            "once" => primary.used("bank/pay") >= PAYS_MAX,
            _ => false,
        }
    }
}

/// What must not have been released before it.
fn forbidding(deed: Deed) -> BTreeSet<Taint> {
    let taints: &[Taint] = match deed {
        Deed::Draft | Deed::Send => &[Taint::Personal, Taint::Steered],
        Deed::Reply => &[Taint::Value, Taint::Lost],
        Deed::Pay => &[Taint::Personal, Taint::Value, Taint::Lost],
        Deed::Publish => &[Taint::Personal],
        Deed::Customer | Deed::RunCustomer | Deed::Page | Deed::RunPage => &[],
    };
    taints.iter().copied().collect()
}

/// Whether what was released had to be known where this call was judged. Only a draft that is not confirmed is judged by what was known a moment ago; but what
/// was released at the same place is known there.
fn must_know(judged: &Judged<'_>, released: &Released) -> bool {
    if judged.deed != Deed::Draft || judged.place.is_counted {
        return true;
    }
    let (here, there) = (judged.place, released.place);
    let bound_ms = if here.was_cut || judged.was_unanswered {
        LIGHT_CUT_MS
    } else {
        LIGHT_MS
    };
    let is_same = (here.enforcer, here.run, here.epoch) == (there.enforcer, there.run, there.epoch);
    is_same || here.at_ms - released.at_ms > bound_ms
}
