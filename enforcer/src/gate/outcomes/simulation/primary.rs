//! A stand-in for the control plane and its Postgres: one task, its ledger and its holds, in memory, changed by one question at a time.
//!
//! It means what the control plane's own statements mean: a label is written before it is answered, a release is counted once however
//! often it is asked for and judged by what the task had done before it, an approval is used only by whoever has seen the newest
//! ledger. The flows run the same on the real one.

use std::collections::BTreeMap;
use std::sync::Arc;

use checkrein_shared::action::Sha256;
use checkrein_shared::decision::Cause;
use checkrein_shared::grant::Stopped;
use checkrein_shared::hold::State;
use checkrein_shared::id::HoldId;
use checkrein_shared::ledger::{CameFrom, Fingerprint, Ledger, Seen, Trust};
use checkrein_shared::policy::Reversibility;
use checkrein_shared::{Clock, ManualClock};

use crate::control_plane::{
    AskError, Charge, Confirm, Confirmation, Consume, Consumption, HoldNotice, Known, LabelSource, Note,
    Noted, OpenHold, Opened, Refusal,
};

/// What is wrong with it, for the tests that show that this would be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Nothing.
    None,
    /// Labels are acknowledged and not written.
    LosesLabels,
    /// So are values.
    LosesValues,
    /// A release is judged by what the task had done when it was asked for, and not by what it has done when it is counted.
    ConfirmsByOldLedger,
    /// An approval is used whatever has happened since it was looked at.
    ConsumesUnseen,
    /// A call is charged if there was one left when it was asked for.
    ChargesByOldBudget,
    /// A release that is asked for again is said to be the change after the one that counted it.
    MisnumbersRepeats,
}

/// What there was when something was asked.
#[derive(Debug, Clone)]
pub(super) struct Then {
    ledger: Ledger,
    is_used_up: bool,
}

/// What an enforcer asks.
#[derive(Debug, Clone)]
pub(super) enum Question {
    Note(Note),
    Confirm(Confirm),
    Open(Box<OpenHold>),
    Consume(Consume),
}

/// And is told.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Noted(Noted),
    Confirmed(Confirmation),
    Opened(Opened),
    Consumed(Consumption),
}

/// What is written.
#[derive(Debug)]
pub(super) struct Primary {
    pub(super) flaw: Flaw,
    pub(super) clock: ManualClock,
    pub(super) epoch: u64,
    pub(super) ledger: Ledger,
    pub(super) values: BTreeMap<Fingerprint, CameFrom>,
    /// So many calls may be made in it; none: as many as one likes.
    pub(super) limit: Option<u64>,
    pub(super) charged: u64,
    /// When the tool was last used before each release.
    uses: BTreeMap<String, u64>,
    holds: BTreeMap<HoldId, Held>,
}

#[derive(Debug)]
struct Held {
    call_id: String,
    action: Sha256,
    tool: String,
    state: State,
    decide_by_ms: u64,
}

impl Primary {
    pub(super) const fn new(flaw: Flaw, clock: ManualClock, ledger: Ledger) -> Self {
        Self {
            flaw,
            clock,
            epoch: 0,
            ledger,
            values: BTreeMap::new(),
            limit: None,
            charged: 0,
            uses: BTreeMap::new(),
            holds: BTreeMap::new(),
        }
    }

    /// Answers what was asked under a grant of this epoch, when the ledger was this.
    pub(super) fn serve(&mut self, question: &Question, epoch: u64, then: &Then) -> Result<Answer, AskError> {
        Ok(match question {
            Question::Note(note) => Answer::Noted(self.note(note, epoch)),
            Question::Confirm(ask) => Answer::Confirmed(self.confirm(ask, epoch, then)),
            Question::Open(ask) => Answer::Opened(self.open(ask, epoch)),
            Question::Consume(ask) => Answer::Consumed(self.consume(ask, epoch)?),
        })
    }

    pub(super) fn now(&self) -> Then {
        Then {
            ledger: self.ledger.clone(),
            is_used_up: self.is_used_up(),
        }
    }

    /// Whether no call is left.
    pub(super) fn is_used_up(&self) -> bool {
        self.limit.is_some_and(|limit| self.charged >= limit)
    }

    /// A person takes every label from the task.
    pub(super) fn lift(&mut self) {
        self.ledger.labels.clear();
        self.ledger.revision += 1;
        self.epoch += 1;
    }

    /// How often a tool was used.
    pub(super) fn used(&self, tool: &str) -> u64 {
        self.ledger.used.get(tool).map_or(0, |used| used.times)
    }

    /// And says yes.
    pub(super) fn approve(&mut self) {
        for held in self.holds.values_mut().filter(|held| held.state == State::Open) {
            held.state = State::Approved;
        }
    }

    fn note(&mut self, note: &Note, epoch: u64) -> Noted {
        let by_call = note
            .because
            .as_ref()
            .is_some_and(|because| because.source == LabelSource::Call);
        if by_call && !note.labels.is_empty() && epoch != self.epoch {
            return Noted::Refused(amended());
        }
        let mut answered = self.ledger.clone();
        let new = answered.lacks(&note.labels);
        if !new.is_empty() {
            answered.labels.extend(new);
            answered.revision += 1;
            if self.flaw != Flaw::LosesLabels {
                self.ledger = answered.clone();
            }
        }
        if let Some(seen) = note.seen.as_ref().filter(|_| self.flaw != Flaw::LosesValues)
            && self.remember(seen)
        {
            self.ledger.revision += 1;
            answered.values_lost = self.ledger.values_lost;
            answered.revision += 1;
        }
        Noted::Known(self.known(answered, &note.asked))
    }

    fn remember(&mut self, seen: &Seen) -> bool {
        let is_untrusted = seen.trust == Trust::Untrusted;
        let mut changed = false;
        for value in &seen.values {
            let from = self.values.entry(*value).or_default();
            let before = *from;
            from.untrusted |= is_untrusted;
            from.trusted |= !is_untrusted;
            changed |= *from != before;
        }
        if is_untrusted && seen.lost && !self.ledger.values_lost {
            self.ledger.values_lost = true;
            changed = true;
        }
        changed
    }

    fn known(&self, ledger: Ledger, asked: &[Fingerprint]) -> Known {
        let from = asked
            .iter()
            .map(|value| self.values.get(value).copied().unwrap_or_default());
        Known {
            from: from.collect(),
            ledger: Arc::new(ledger),
        }
    }

    fn confirm(&mut self, ask: &Confirm, epoch: u64, then: &Then) -> Confirmation {
        let mut confirmation = Confirmation {
            slice: None,
            live: true,
            refused: None,
            generation: ask.generation,
            charge: Charge::None,
            known: None,
        };
        if epoch != self.epoch {
            confirmation.refused = Some(amended());
            return confirmation;
        }
        let release = ask.release.to_string();
        let is_used_up = match self.flaw {
            Flaw::ChargesByOldBudget => then.is_used_up,
            _ => self.is_used_up(),
        };
        if is_used_up && !self.uses.contains_key(&release) {
            confirmation.charge = Charge::Exhausted;
            return confirmation;
        }
        if self.limit.is_some() {
            confirmation.charge = Charge::Charged;
        }
        let before = self.count(release, &ask.tool, ask.reversibility);
        let judged_by = match self.flaw {
            Flaw::ConfirmsByOldLedger => then.ledger.clone(),
            _ => before,
        };
        confirmation.known = Some(self.known(judged_by, &ask.asked));
        confirmation
    }

    /// Counts a release and gives what the task had done without it.
    fn count(&mut self, release: String, tool: &str, class: Option<Reversibility>) -> Ledger {
        if let Some(last_ms) = self.uses.get(&release).copied() {
            return self.without(tool, last_ms);
        }
        self.charged += 1;
        let before = self.ledger.clone();
        let last_ms = before.used.get(tool).map_or(0, |used| used.last_ms);
        self.uses.insert(release, last_ms);
        if tool.is_empty() {
            // Charged, and counted when its record comes home.
            return before;
        }
        self.ledger.count(
            tool,
            class.unwrap_or(Reversibility::Irreversible),
            self.clock.wall_ms(),
        );
        self.ledger.revision += 1;
        before
    }

    fn without(&self, tool: &str, last_ms: u64) -> Ledger {
        let mut ledger = self.ledger.clone();
        if tool.is_empty() {
            return ledger;
        }
        ledger.calls -= 1;
        if self.flaw != Flaw::MisnumbersRepeats {
            ledger.revision -= 1;
        }
        let used = ledger.used.get_mut(tool).unwrap();
        used.times -= 1;
        used.last_ms = last_ms;
        if used.times == 0 {
            ledger.used.remove(tool);
        }
        ledger
    }

    fn open(&mut self, ask: &OpenHold, epoch: u64) -> Opened {
        if epoch != self.epoch {
            return Opened::Refused(amended());
        }
        let action = ask.action.sha256();
        let found = self
            .holds
            .iter()
            .find(|(_, held)| held.call_id == ask.call_id && held.action == action);
        if found.is_none() && self.is_used_up() {
            return Opened::Refused(used_up());
        }
        let id = found.map_or_else(|| HoldId::new(&self.clock), |(id, _)| *id);
        let held = self.holds.entry(id).or_insert_with(|| Held {
            call_id: ask.call_id.clone(),
            action,
            tool: ask.action.tool.clone(),
            state: State::Open,
            decide_by_ms: self.clock.wall_ms() + 86_400_000,
        });
        Opened::Held(HoldNotice {
            id,
            state: held.state,
            version: 1,
            action_sha256: held.action,
            groups: vec!["treasury".into()],
            decide_by_ms: held.decide_by_ms,
            said: String::new(),
        })
    }

    fn consume(&mut self, ask: &Consume, epoch: u64) -> Result<Consumption, AskError> {
        if epoch != self.epoch {
            return Ok(Consumption::Refused(amended()));
        }
        let held = self
            .holds
            .get_mut(&ask.hold)
            .ok_or_else(|| AskError::Refused("there is no such hold".into()))?;
        if held.state != State::Approved {
            let reason = "the approval was used already";
            return Ok(Consumption::Refused(Refusal::new(Cause::AlreadyReleased, reason)));
        }
        let is_news = ask
            .ledger_revision
            .is_some_and(|revision| revision != self.ledger.revision);
        if is_news && self.flaw != Flaw::ConsumesUnseen {
            let ledger = Some(Arc::new(self.ledger.clone()));
            return Ok(Consumption::Refresh(ask.generation, ledger));
        }
        if self.limit.is_some_and(|limit| self.charged >= limit) {
            return Ok(Consumption::Refused(used_up()));
        }
        held.state = State::Consumed;
        let tool = held.tool.clone();
        self.count(ask.hold.to_string(), &tool, ask.reversibility);
        let approvers = vec!["spiffe://acme.example/approver/bob".into()];
        Ok(Consumption::Consumed { approvers })
    }
}

fn used_up() -> Refusal {
    Refusal::new(Cause::Budget, "no call is left")
}

fn amended() -> Refusal {
    let Stopped { cause, reason } = Stopped::by_amendment();
    Refusal::new(cause, reason)
}
