//! What people said of a hold before they answered it, and what this person may say.

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::hold::{Remark, RemarkKind};
use checkrein_shared::identity::SpiffeId;

use crate::console::coded::Coded;
use crate::console::parts::Moment;
use crate::console::visit::Visit;
use crate::words::{Handed, handed, visible};

/// What is said, and what may be.
pub(in super::super) struct Talk {
    pub said: Vec<Said>,
    /// Somebody asks, and nobody has replied.
    pub is_unanswered: bool,
    /// This person may say something.
    pub may: bool,
    /// To whom they could hand it on.
    pub others: Vec<Other>,
    /// To whom or by whom it was handed, as this person sees it.
    pub handed: Option<String>,
}

/// One remark.
pub(in super::super) struct Said {
    pub who: String,
    pub does: &'static str,
    /// To whom it was handed on; empty: it was not.
    pub to: String,
    pub text: Coded,
    pub at: Moment,
}

/// Somebody else who may answer.
pub(in super::super) struct Other {
    pub id: String,
    pub name: String,
}

impl Talk {
    pub(super) fn of(hold: &wire::Hold, remarks: &[Remark], is_open: bool, visit: &Visit) -> Self {
        Self {
            said: remarks
                .iter()
                .map(|remark| Said::of(remark, visit.now_ms))
                .collect(),
            is_unanswered: is_open && Remark::unanswered(remarks).is_some(),
            may: is_open && visit.may_remark(hold),
            others: others(hold, visit),
            handed: match handed(remarks, |id| visit.is(id)) {
                Handed::By(who) if is_open => Some(format!("{who} handed this to you.")),
                Handed::To(who) if is_open => Some(format!("You handed this to {who}.")),
                _ => None,
            },
        }
    }
}

impl Said {
    fn of(remark: &Remark, now_ms: u64) -> Self {
        let (does, to) = match &remark.kind {
            RemarkKind::Question => ("asks", String::new()),
            RemarkKind::Reply => ("replies", String::new()),
            RemarkKind::HandedOn { to } => ("handed it to", visible(to.as_str())),
        };
        Self {
            who: visible(remark.author.as_str()),
            does,
            to,
            text: Coded::of(&remark.text),
            at: Moment::of(remark.remarked_ms, now_ms),
        }
    }
}

/// Who may answer beside this person, and has not said yes; each once.
fn others(hold: &wire::Hold, visit: &Visit) -> Vec<Other> {
    let mut others: Vec<Other> = Vec::new();
    let yes = |id: &str| hold.votes.iter().any(|vote| vote.approve && vote.approver == id);
    for capacity in hold.may_answer.iter().filter_map(|may| may.capacity.as_ref()) {
        let id = &capacity.approver;
        let Ok(person) = id.parse::<SpiffeId>() else {
            continue;
        };
        if !visit.is_namesake(&person) && !yes(id) && others.iter().all(|other| other.id != *id) {
            others.push(Other {
                id: id.clone(),
                name: visible(person.name()),
            });
        }
    }
    others
}
