//! Where a hold stands, in the words of a page: what was said of it, and whose word is missing.

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::hold::State;

use crate::console::coded::Coded;
use crate::console::parts::{Moment, listed};
use crate::console::visit::Visit;
use crate::words::{bound_words, quorum_words, remarks, span, visible};

use super::talk::Talk;

/// Where a hold stands, and whose word is missing.
pub(in super::super) struct Standing {
    pub id: String,
    /// One word, which is a class of the style sheet as well.
    pub word: &'static str,
    pub said: &'static str,
    /// Until when something may happen to it, and what that is.
    pub until: Option<Moment>,
    pub until_what: &'static str,
    /// People may still answer.
    pub is_open: bool,
    /// Why it waits, as far as its rules do not say it themselves.
    pub because: Coded,
    pub demands: Vec<Demand>,
    pub votes: Vec<Voice>,
    pub denial_reason: Coded,
    /// This person said yes already.
    pub said_yes: bool,
    /// This person may say yes.
    pub may_answer: bool,
    /// Who may, and as whom.
    pub electors: Vec<String>,
    pub glass: Option<Glass>,
    /// The groups of which two could break it for this; empty: nobody could.
    pub breakers: String,
    pub talk: Talk,
}

/// What one rule wants.
pub(in super::super) struct Demand {
    pub rule: String,
    pub reason: Coded,
    pub who: String,
    pub usable: String,
}

/// What somebody said.
pub(in super::super) struct Voice {
    pub who: String,
    pub word: &'static str,
    pub reason: Coded,
    pub at: Moment,
    pub again: Coded,
}

/// Glass that somebody wants broken, or that is.
pub(in super::super) struct Glass {
    pub breaks: Vec<Voice>,
    pub is_broken: bool,
    pub review: Option<Coded>,
}

impl Standing {
    pub(in super::super) fn of(shown: &wire::ShowResponse, visit: &Visit) -> Self {
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
            because: because(&hold),
            demands: hold.requirements.iter().map(Demand::of).collect(),
            votes: hold.votes.iter().map(|vote| Voice::of(vote, now_ms)).collect(),
            denial_reason: Coded::of(&hold.denial_reason),
            said_yes: visit.said_yes(&hold),
            may_answer: is_open && visit.may_answer(&hold),
            electors: electors(&hold),
            glass: hold.glass.as_ref().map(|glass| Glass::of(glass, now_ms)),
            breakers: if is_open {
                listed(&hold.glass_groups)
            } else {
                String::new()
            },
            talk: Talk::of(&hold, &remarks(&hold), is_open, visit),
        }
    }

    /// A no still ends it, or takes it back.
    pub(in super::super) fn may_deny(&self) -> bool {
        self.is_open || self.word == State::Approved.as_str()
    }
}

impl Demand {
    fn of(requirement: &wire::Requirement) -> Self {
        Self {
            rule: visible(&requirement.rule),
            reason: Coded::of(&requirement.reason),
            who: quorum_words(requirement),
            usable: span(requirement.use_within_ms),
        }
    }
}

impl Voice {
    fn of(vote: &wire::Vote, now_ms: u64) -> Self {
        let again = vote.terms.as_ref().map(|terms| {
            let bounds: Vec<String> = terms.bounds.iter().map(bound_words).collect();
            let bounds = if bounds.is_empty() {
                "with exactly these arguments".to_owned()
            } else {
                format!("{}, all else as shown", bounds.join(", "))
            };
            let within = span(terms.for_ms);
            Coded::of(&format!(
                "up to {} more times within {within}, {bounds}",
                terms.times
            ))
        });
        Self {
            who: visible(&vote.approver),
            word: if vote.approve { "yes" } else { "no" },
            reason: Coded::of(&vote.reason),
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
            reason: Coded::of(&said.reason),
            at: Moment::of(said.broken_unix_ms, now_ms),
            again: Coded::default(),
        });
        let review = glass.review.as_ref().map(|review| {
            let found = match review.finding() {
                wire::Finding::Justified => "it was justified",
                wire::Finding::Unjustified => "it was not justified",
                wire::Finding::Unspecified => "something this page can't read",
            };
            Coded::of(&format!(
                "{} found that {found}: {}",
                review.reviewer, review.reason
            ))
        });
        Self {
            breaks: breaks.collect(),
            is_broken: glass.broken_unix_ms != 0,
            review,
        }
    }
}

/// What was said when it was held, without what its rules say, which stands with them.
fn because(hold: &wire::Hold) -> Coded {
    let of_rule = hold.requirements.iter().find_map(|requirement| {
        let rest = hold.reason.strip_prefix(&requirement.reason)?;
        let named = format!(" (rule `{}`)", requirement.rule);
        Some(rest.strip_prefix(&named).unwrap_or(rest))
    });
    let rest = of_rule.filter(|rest| rest.is_empty() || rest.starts_with(' '));
    Coded::of(rest.map_or(&*hold.reason, str::trim))
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
