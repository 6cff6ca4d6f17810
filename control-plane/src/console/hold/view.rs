//! A hold in the words of a page.

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::task::v1::{Task, TaskLabel};
use checkrein_shared::action::{Arguments, Json};
use checkrein_shared::hold::State;
use checkrein_shared::identity::SpiffeId;
use wire::bound::How;

use crate::console::visit::Visit;
use crate::words::{
    ShownAction, Unreadable, bound_words, is_masked, pretty_value, relative, rfc3339, span, visible,
    visible_lines,
};

/// A value with more characters than this is folded.
const FOLDED_CHARS: usize = 400;
/// And one with more lines.
const FOLDED_LINES: usize = 12;
/// Tools a task used, at most so many of them by name.
const TOOLS_SHOWN_MAX: usize = 12;

/// Where a hold stands, and whose word is missing.
pub(super) struct Standing {
    pub id: String,
    /// One word, which is a class of the style sheet as well.
    pub word: &'static str,
    pub said: &'static str,
    /// Until when something may happen to it, and what that is.
    pub until: Option<Moment>,
    pub until_what: &'static str,
    /// People may still answer.
    pub is_open: bool,
    pub because: String,
    pub demands: Vec<Demand>,
    pub votes: Vec<Voice>,
    pub denial_reason: String,
    /// This person said yes already.
    pub said_yes: bool,
    /// This person may say yes.
    pub may_answer: bool,
    /// Who may, and as whom.
    pub electors: Vec<String>,
    pub glass: Option<Glass>,
}

/// A moment that counts down.
pub(super) struct Moment {
    pub at: String,
    pub said: String,
}

/// What one rule wants.
pub(super) struct Demand {
    pub rule: String,
    pub reason: String,
    pub who: String,
    pub usable: String,
}

/// What somebody said.
pub(super) struct Voice {
    pub who: String,
    pub word: &'static str,
    pub reason: String,
    pub at: Moment,
    pub again: String,
}

/// Glass that somebody wants broken, or that is.
pub(super) struct Glass {
    pub breaks: Vec<Voice>,
    pub is_broken: bool,
    pub review: Option<String>,
}

/// What is held, from the very bytes that are hashed.
pub(super) struct Action {
    pub agent: String,
    pub delegated_by: Vec<String>,
    pub user: String,
    pub tool: String,
    pub environment: String,
    pub intent: String,
    pub arguments: Vec<Argument>,
    pub canonical: String,
    pub definition: String,
    pub sha256: String,
    pub task: String,
    pub decision: String,
    pub enforcer: String,
    pub call: String,
    pub generation: u64,
    pub opened: Moment,
    /// Whether it can be undone.
    pub undo: &'static str,
    /// The last such action that was approved.
    pub before: Option<(String, Moment)>,
    /// Arguments that were there then, and are not now.
    pub left_out: Vec<String>,
}

/// One argument.
pub(super) struct Argument {
    pub name: String,
    pub value: String,
    /// What it was the last time such an action was approved; none: the same, or there was none.
    pub before: Option<String>,
    pub is_secret: bool,
    pub is_long: bool,
    pub chars: usize,
}

/// What the task has done so far.
pub(super) struct Done {
    pub calls: u64,
    pub worst: &'static str,
    pub tools: Vec<String>,
    pub more_tools: usize,
    pub labels: Vec<Carried>,
    pub spent: Vec<String>,
}

/// A label that the task carries, and because of what.
pub(super) struct Carried {
    pub label: String,
    pub because: String,
}

/// What could be allowed to happen again.
pub(super) struct Again {
    pub hours_max: u64,
    pub times_max: u32,
    pub bounds: Vec<Widest>,
    pub fixed: Vec<String>,
    pub labels: Vec<String>,
}

/// How far one argument could differ.
pub(super) struct Widest {
    pub argument: String,
    pub at_most: Option<String>,
    pub any: bool,
}

impl Standing {
    pub(super) fn of(shown: &wire::ShowResponse, visit: &Visit) -> Self {
        let hold = shown.hold.clone().unwrap_or_default();
        let now_ms = visit.now_ms;
        let state = State::try_from(hold.state()).ok();
        let is_open = state == Some(State::Open) && hold.decide_by_unix_ms > now_ms;
        let (until, until_what) = match state {
            Some(State::Open) => (Some(hold.decide_by_unix_ms), "answer"),
            Some(State::Approved) => (Some(hold.use_by_unix_ms), "the approval ends"),
            _ => (None, ""),
        };
        Self {
            id: visible(&hold.hold_id),
            word: state.map_or("unrecognised", State::as_str),
            said: said(state),
            until: until.map(|at_ms| Moment::of(at_ms, now_ms)),
            until_what,
            is_open,
            because: visible_lines(&hold.reason),
            demands: hold.requirements.iter().map(Demand::of).collect(),
            votes: hold.votes.iter().map(|vote| Voice::of(vote, now_ms)).collect(),
            denial_reason: visible_lines(&hold.denial_reason),
            said_yes: visit.said_yes(&hold),
            may_answer: is_open && visit.may_answer(&hold),
            electors: electors(&hold),
            glass: hold.glass.as_ref().map(|glass| Glass::of(glass, now_ms)),
        }
    }

    /// A no still ends it, or takes it back.
    pub(super) fn may_deny(&self) -> bool {
        self.is_open || self.word == State::Approved.as_str()
    }
}

impl Moment {
    fn of(at_ms: u64, now_ms: u64) -> Self {
        Self {
            at: rfc3339(at_ms).unwrap_or_default(),
            said: relative(at_ms, now_ms),
        }
    }
}

impl Demand {
    fn of(requirement: &wire::Requirement) -> Self {
        let group = visible(&requirement.group);
        Self {
            rule: visible(&requirement.rule),
            reason: visible_lines(&requirement.reason),
            who: match requirement.quorum {
                1 => format!("one of {group}"),
                quorum => format!("{quorum} people of {group}"),
            },
            usable: span(requirement.use_within_ms),
        }
    }
}

impl Voice {
    fn of(vote: &wire::Vote, now_ms: u64) -> Self {
        let again = vote.terms.as_ref().map(|terms| {
            let bounds: Vec<String> = terms
                .bounds
                .iter()
                .map(bound_words)
                .map(|text| visible(&text))
                .collect();
            let bounds = if bounds.is_empty() {
                "with exactly these arguments".to_owned()
            } else {
                format!("{}, all else as shown", bounds.join(", "))
            };
            format!(
                "up to {} more times within {}, {bounds}",
                terms.times,
                span(terms.for_ms)
            )
        });
        Self {
            who: visible(&vote.approver),
            word: if vote.approve { "yes" } else { "no" },
            reason: visible_lines(&vote.reason),
            at: Moment::of(vote.voted_unix_ms, now_ms),
            again: again.unwrap_or_default(),
        }
    }
}

impl Glass {
    fn of(glass: &wire::Glass, now_ms: u64) -> Self {
        let breaks = glass.breaks.iter().map(|said| Voice {
            who: visible(&said.approver),
            word: "break it",
            reason: visible_lines(&said.reason),
            at: Moment::of(said.broken_unix_ms, now_ms),
            again: String::new(),
        });
        let review = glass.review.as_ref().map(|review| {
            let found = match review.finding() {
                wire::Finding::Justified => "it was justified",
                wire::Finding::Unjustified => "it was not justified",
                wire::Finding::Unspecified => "something this page can't read",
            };
            let (who, reason) = (visible(&review.reviewer), visible_lines(&review.reason));
            format!("{who} found that {found}: {reason}")
        });
        Self {
            breaks: breaks.collect(),
            is_broken: glass.broken_unix_ms != 0,
            review,
        }
    }
}

impl Action {
    pub(super) fn of(
        hold: &wire::Hold,
        before: Option<&wire::Before>,
        now_ms: u64,
    ) -> Result<Self, Unreadable> {
        let held = ShownAction::verify(hold)?;
        let members = held.members()?;
        // One that can't be read is none to compare with.
        let then = before.and_then(|before| Arguments::parse(&before.arguments).ok());
        let left_out = then.iter().flat_map(Arguments::members).filter_map(|(name, _)| {
            let is_there = members.iter().any(|(member, _)| member == name);
            (!is_there).then(|| visible(name))
        });
        let left_out = left_out.collect();
        let arguments = members
            .iter()
            .map(|(name, value)| Argument::of(name, value, then.as_ref()));
        let identity = &held.identity;
        Ok(Self {
            agent: visible(identity.agent.as_str()),
            delegated_by: identity
                .delegated_by
                .iter()
                .map(SpiffeId::as_str)
                .map(visible)
                .collect(),
            user: visible(&identity.user),
            tool: visible(&identity.tool),
            environment: visible(&hold.environment),
            intent: visible_lines(&hold.intent),
            arguments: arguments.collect(),
            canonical: visible(&identity.arguments.0),
            definition: identity.definition.to_string(),
            sha256: held.sha256.to_string(),
            task: identity.task.to_string(),
            decision: visible(&hold.decision_id),
            enforcer: visible(&hold.enforcer),
            call: visible(&hold.call_id),
            generation: hold.generation,
            opened: Moment::of(hold.opened_unix_ms, hold.opened_unix_ms),
            undo: undo(hold.reversibility),
            before: before.filter(|_| then.is_some()).map(|before| {
                (
                    visible(&before.hold_id),
                    Moment::of(before.opened_unix_ms, now_ms),
                )
            }),
            left_out,
        })
    }
}

impl Argument {
    fn of(name: &str, value: &Json, then: Option<&Arguments>) -> Self {
        let before = then
            .filter(|then| then.get(name) != Some(value))
            .map(|then| match then.get(name) {
                None => "not there".to_owned(),
                Some(secret) if is_masked(secret) => "another secret".to_owned(),
                Some(other) => visible(&pretty_value(other)),
            });
        let text = visible_lines(&pretty_value(value));
        let chars = text.chars().count();
        Self {
            name: visible(name),
            before,
            is_secret: is_masked(value),
            is_long: chars > FOLDED_CHARS || text.lines().count() > FOLDED_LINES,
            chars,
            value: text,
        }
    }
}

impl Done {
    pub(super) fn of(task: &Task, labels: &[TaskLabel], now_ms: u64) -> Self {
        let ledger = task.ledger.clone().unwrap_or_default();
        let used = ledger.used.iter().take(TOOLS_SHOWN_MAX);
        Self {
            calls: ledger.calls,
            worst: match ledger.reversibility {
                1 => "only read",
                2 => "changed what can be changed back",
                3 => "changed what others would have to change back",
                4 => "done what can't be undone",
                _ => "done nothing that could have to be undone",
            },
            tools: used
                .map(|used| format!("{} × {}", visible(&used.tool), used.times))
                .collect(),
            more_tools: ledger.used.len().saturating_sub(TOOLS_SHOWN_MAX),
            labels: labels.iter().map(|label| Carried::of(label, now_ms)).collect(),
            spent: ledger
                .spent
                .iter()
                .map(|spent| {
                    format!(
                        "{} {}",
                        visible(&spent.amount),
                        visible(&spent.meter).replace('_', " ")
                    )
                })
                .collect(),
        }
    }
}

impl Carried {
    fn of(label: &TaskLabel, now_ms: u64) -> Self {
        Self {
            label: visible(&label.label),
            because: format!(
                "{} by {}, {}",
                visible(&label.tool),
                visible(&label.agent),
                relative(label.added_unix_ms, now_ms)
            ),
        }
    }
}

impl Again {
    pub(super) fn of(offer: &wire::Offer, labels: &[TaskLabel]) -> Self {
        Self {
            hours_max: offer.for_ms / 3_600_000,
            times_max: offer.times,
            bounds: offer.bounds.iter().map(Widest::of).collect(),
            fixed: offer.fixed.iter().map(|name| visible(name)).collect(),
            labels: labels.iter().map(|label| visible(&label.label)).collect(),
        }
    }
}

impl Widest {
    fn of(bound: &wire::Bound) -> Self {
        let at_most = match &bound.how {
            Some(How::AtMost(most)) => Some(most.clone()),
            _ => None,
        };
        Self {
            argument: bound.argument.clone(),
            at_most,
            any: matches!(bound.how, Some(How::Any(_))),
        }
    }
}

/// Who may answer now, and as whom; each once.
fn electors(hold: &wire::Hold) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for capacity in hold.may_answer.iter().filter_map(|may| may.capacity.as_ref()) {
        let (who, seat, group) = (&capacity.approver, &capacity.seat, visible(&capacity.group));
        let stands_in = if who == seat {
            String::new()
        } else {
            format!(", in place of {}", visible(seat))
        };
        let why = match capacity.why() {
            wire::Why::Unspecified => "",
            wire::Why::Unanswered => ", because the group that was asked first has not answered",
            wire::Why::QuietHours => ", because it is quiet hours for the group that was asked first",
        };
        let line = format!("{} of {group}{stands_in}{why}", visible(who));
        if !said.contains(&line) {
            said.push(line);
        }
    }
    said
}

const fn said(state: Option<State>) -> &'static str {
    match state {
        Some(State::Open) => "It waits for an answer.",
        Some(State::Approved) => "It was approved, and may be used once.",
        Some(State::Denied) => "A person said no.",
        Some(State::Expired) => "Nobody answered in time.",
        Some(State::Cancelled) => "It was called off: its task ended, or a person said no to the like of it.",
        Some(State::Lapsed) => "It was approved, and not used in time.",
        Some(State::Withdrawn) => "It was approved, and taken back before it was used.",
        Some(State::Consumed) => "It was approved and released; what came of it is not known yet.",
        Some(State::Done) => "It was approved, released and done.",
        Some(State::Failed) => "It was approved, and failed.",
        Some(State::Unknown) => "It was released, and nobody knows what came of it.",
        None => "It stands where this page can't tell: do not rely on it.",
    }
}

const fn undo(class: u32) -> &'static str {
    match class {
        1 => "There is nothing to undo: it only reads.",
        2 => "It can be undone.",
        3 => "Only somebody else could undo it.",
        4 => "It can't be undone.",
        _ => "Nobody said whether it can be undone: take it that it can't.",
    }
}
