//! What happened in a task, in the order of time: each event typed, for pages and for scripts alike.
//!
//! **Invariant**: whatever was read is there, once: a hold or a label whose decision was not read stands as an event of its own.

use std::collections::{BTreeMap, BTreeSet};

use checkrein_proto::decision::v1::{Decision, Mode, StoredDecision, Verdict};
use checkrein_proto::hold::v1::{self as hold, Hold};
use checkrein_proto::task::v1::{Amendment, Delegation, State, Task, TaskLabel};
use serde::Serialize;

use super::Story;
use crate::cli::ledger::LabelView;
use crate::cli::output::rfc3339;
use crate::cli::task::view::{AmendmentView, DelegationView};
use crate::words::{hold_word, outcome_word, task_word, verdict_word};

/// What happened, and when.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    at: Option<String>,
    #[serde(skip)]
    pub at_ms: u64,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum What {
    /// The task began.
    Started {
        by: String,
        agent: String,
        user: String,
        intent: String,
    },
    /// The control plane passed a grant on.
    PassedOn(DelegationView),
    /// A call was decided.
    Call(Box<Called>),
    /// An action waits, and the decision that held it was not read.
    Held(HeldCall),
    /// A person answered.
    Answered {
        by: String,
        approved: bool,
        reason: String,
        tool: String,
        hold: String,
    },
    /// Nobody answered, or the approval was not used.
    HoldOver(HeldCall),
    /// A label that a call brought which was not read.
    Labelled(LabelView),
    /// A new epoch began.
    Amended(AmendmentView),
    /// A new epoch began, without these labels.
    Declassified {
        lifted: Vec<String>,
        #[serde(flatten)]
        amendment: AmendmentView,
    },
    /// The task is over.
    Closed {
        how: &'static str,
        by: String,
        reason: String,
    },
}

/// A decision with what followed.
#[derive(Debug, Serialize)]
pub(super) struct Called {
    pub decision: String,
    pub call_id: String,
    pub agent: String,
    pub delegated_by: Vec<String>,
    pub grant: String,
    pub enforcer: String,
    pub tool: String,
    pub verdict: &'static str,
    /// False: the verdict was only noted.
    pub enforced: bool,
    pub cause: String,
    pub rules: Vec<String>,
    pub reason: String,
    /// The labels that the task carries, or carried, because of this call.
    pub brought: Vec<String>,
    /// None: not reported, or there is none to report.
    pub outcome: Option<&'static str>,
    pub completed_at: Option<String>,
    /// What its caller said that it used up, by meter; of any other it is what was reserved.
    pub spent: BTreeMap<String, String>,
    pub hold: Option<HeldCall>,
}

/// A hold as it stands.
#[derive(Debug, Clone, Serialize)]
pub(super) struct HeldCall {
    #[serde(rename = "hold")]
    pub id: String,
    pub state: &'static str,
    pub agent: String,
    pub tool: String,
    pub groups: Vec<String>,
}

impl Called {
    /// What it used up, in short.
    pub(super) fn spent_text(&self) -> String {
        let amount = |(meter, amount): (&String, &String)| format!("{amount} {meter}");
        self.spent.iter().map(amount).collect::<Vec<_>>().join(", ")
    }
}

/// All of it, oldest first.
pub(super) fn events(story: &Story) -> Vec<Event> {
    let task = &story.task;
    let holds: BTreeMap<&str, &Hold> = story.holds().map(|hold| (&*hold.hold_id, hold)).collect();
    let mut found = vec![Event::at(task.started_unix_ms, started(task))];
    found.extend(task.delegations.iter().rev().map(passed_on));
    found.extend(task.amendments.iter().map(amended));
    let mut read = BTreeSet::new();
    let mut brought = Brought::of(task);
    for (decision, stored) in in_time(story) {
        read.insert(&*decision.decision_id);
        let hold = holds.get(&*decision.hold_id).map(|hold| held(hold));
        let call = call(decision, stored, (brought.by(decision), hold));
        found.push(Event::at(decision.decided_unix_ms, What::Call(Box::new(call))));
    }
    for hold in story.holds() {
        if !read.contains(&*hold.decision_id) {
            found.push(Event::at(hold.opened_unix_ms, What::Held(held(hold))));
        }
        found.extend(answers(hold));
        found.extend(over(hold));
    }
    let unread = task
        .labels
        .iter()
        .filter(|label| !read.contains(&*label.decision_id));
    found.extend(unread.map(|label| Event::at(label.added_unix_ms, What::Labelled(LabelView::of(label)))));
    found.extend(closed(task));
    found.sort_by_key(|event| (event.at_ms, event.what.rank()));
    found
}

fn in_time(story: &Story) -> Vec<(&Decision, &StoredDecision)> {
    let mut decisions: Vec<_> = story.decisions().collect();
    decisions.sort_by_key(|(decision, _)| decision.decided_unix_ms);
    decisions
}

fn started(task: &Task) -> What {
    What::Started {
        by: task.started_by.clone(),
        agent: task.agent.clone(),
        user: task.user.clone(),
        intent: task.intent.clone(),
    }
}

fn passed_on(delegation: &Delegation) -> Event {
    let what = What::PassedOn(DelegationView::of(delegation));
    Event::at(delegation.delegated_unix_ms, what)
}

fn amended(amendment: &Amendment) -> Event {
    let lifted = lifted(amendment);
    let view = AmendmentView::of(amendment);
    let what = if lifted.is_empty() {
        What::Amended(view)
    } else {
        What::Declassified {
            lifted,
            amendment: view,
        }
    };
    Event::at(amendment.amended_unix_ms, what)
}

/// The labels that an epoch began without.
fn lifted(amendment: &Amendment) -> Vec<String> {
    let labels = amendment.changes.iter().filter(|change| change.what == "labels");
    let gone = labels.flat_map(|change| {
        let left: BTreeSet<&str> = change.to.split(", ").collect();
        let from = change.from.split(", ");
        from.filter(move |label| !label.is_empty() && !left.contains(label))
    });
    gone.map(str::to_owned).collect()
}

fn call(
    decision: &Decision,
    stored: &StoredDecision,
    (brought, hold): (Vec<String>, Option<HeldCall>),
) -> Called {
    Called {
        decision: decision.decision_id.clone(),
        call_id: decision.call_id.clone(),
        agent: decision.agent.clone(),
        delegated_by: decision.delegated_by.clone(),
        grant: decision.grant_id.clone(),
        enforcer: stored.enforcer.clone(),
        tool: decision.tool.clone(),
        verdict: verdict_word(decision),
        enforced: decision.mode() != Mode::Observe,
        cause: decision.cause.clone(),
        rules: decision.rules.clone(),
        reason: decision.reason.clone(),
        brought,
        outcome: stored.outcome.as_ref().map(outcome_word),
        completed_at: stored
            .outcome
            .as_ref()
            .and_then(|outcome| rfc3339(outcome.completed_unix_ms)),
        spent: stored
            .outcome
            .iter()
            .flat_map(|outcome| &outcome.spent)
            .map(|amount| (amount.meter.clone(), amount.amount.clone()))
            .collect(),
        hold,
    }
}

fn held(hold: &Hold) -> HeldCall {
    let action = hold.action.clone().unwrap_or_default();
    HeldCall {
        id: hold.hold_id.clone(),
        state: hold_word(hold),
        agent: action.agent,
        tool: action.tool,
        groups: hold.requirements.iter().map(|one| one.group.clone()).collect(),
    }
}

fn answers(hold: &Hold) -> impl Iterator<Item = Event> {
    hold.votes.iter().map(|vote| {
        let what = What::Answered {
            by: vote.approver.clone(),
            approved: vote.approve,
            reason: vote.reason.clone(),
            tool: held(hold).tool,
            hold: hold.hold_id.clone(),
        };
        Event::at(vote.voted_unix_ms, what)
    })
}

/// The ends of a hold that come with time.
fn over(hold: &Hold) -> Option<Event> {
    let at_ms = match hold.state() {
        hold::State::Expired => hold.decide_by_unix_ms,
        hold::State::Lapsed => hold.use_by_unix_ms,
        _ => return None,
    };
    Some(Event::at(at_ms, What::HoldOver(held(hold))))
}

fn closed(task: &Task) -> Option<Event> {
    let at_ms = match task.state() {
        State::Expired => task.expires_unix_ms,
        _ if task.closed_unix_ms != 0 => task.closed_unix_ms,
        _ => return None,
    };
    let what = What::Closed {
        how: task_word(task),
        by: task.closed_by.clone(),
        reason: task.closed_reason.clone(),
    };
    Some(Event::at(at_ms, what))
}

/// Which call brought which label: the ledger says it of what is carried; of what was lifted since, the decisions do.
struct Brought<'a> {
    carried: &'a [TaskLabel],
    /// When each label was lifted, in order.
    lifted: BTreeMap<String, Vec<u64>>,
    /// The labels that were brought, each with when.
    known: BTreeMap<String, u64>,
}

impl<'a> Brought<'a> {
    fn of(task: &'a Task) -> Self {
        let mut at: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for amendment in &task.amendments {
            for label in lifted(amendment) {
                at.entry(label).or_default().push(amendment.amended_unix_ms);
            }
        }
        Self {
            carried: &task.labels,
            lifted: at,
            known: BTreeMap::new(),
        }
    }

    /// To be asked in the order of time.
    fn by(&mut self, decision: &Decision) -> Vec<String> {
        let now_ms = decision.decided_unix_ms;
        let mut brought: BTreeSet<String> = self
            .carried
            .iter()
            .filter(|label| label.decision_id == decision.decision_id)
            .map(|label| label.label.clone())
            .collect();
        if decision.verdict() == Verdict::Permit {
            let yields = decision.yields.iter();
            let new = yields.filter(|label| self.began_before_it_was_lifted(label, now_ms));
            brought.extend(new.cloned());
        }
        for label in &brought {
            self.known.insert(label.clone(), now_ms);
        }
        brought.into_iter().collect()
    }

    fn began_before_it_was_lifted(&self, label: &str, now_ms: u64) -> bool {
        let Some(lifted) = self.lifted.get(label) else {
            return false;
        };
        let is_lifted_later = lifted.iter().any(|at| *at > now_ms);
        let is_carried = self
            .known
            .get(label)
            .is_some_and(|since| !lifted.iter().any(|at| (*since..=now_ms).contains(at)));
        is_lifted_later && !is_carried
    }
}

impl Event {
    fn at(at_ms: u64, what: What) -> Self {
        Self {
            at: rfc3339(at_ms),
            at_ms,
            what,
        }
    }
}

impl What {
    /// Of what happened in the same millisecond, which is told first.
    const fn rank(&self) -> u8 {
        match self {
            Self::Started { .. } => 0,
            Self::Closed { .. } => 2,
            _ => 1,
        }
    }
}
