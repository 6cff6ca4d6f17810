//! Who may answer, as whom; and broken glass.

use checkrein_proto::hold::v1 as wire;

use crate::hold::{Break, Elector, Finding, Hold, Review, Why};

impl From<&Elector> for wire::Capacity {
    fn from(elector: &Elector) -> Self {
        Self {
            approver: elector.person.to_string(),
            seat: elector.seat.to_string(),
            group: elector.group.clone(),
            why: elector.why.map_or(wire::Why::Unspecified, Into::into).into(),
            since_unix_ms: elector.since_ms,
        }
    }
}

impl From<Why> for wire::Why {
    fn from(why: Why) -> Self {
        match why {
            Why::Unanswered => Self::Unanswered,
            Why::Quiet => Self::QuietHours,
        }
    }
}

impl From<&Break> for wire::Break {
    fn from(one: &Break) -> Self {
        Self {
            approver: one.approver.to_string(),
            reason: one.reason.clone(),
            broken_unix_ms: one.broken_ms,
        }
    }
}

impl From<&Review> for wire::Review {
    fn from(review: &Review) -> Self {
        Self {
            reviewer: review.by.to_string(),
            finding: wire::Finding::from(review.finding).into(),
            reason: review.reason.clone(),
            reviewed_unix_ms: review.reviewed_ms,
        }
    }
}

impl From<Finding> for wire::Finding {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::Justified => Self::Justified,
            Finding::Unjustified => Self::Unjustified,
        }
    }
}

/// What became of breaking the glass; none: nobody wanted it broken.
pub(super) fn glass(hold: &Hold) -> Option<wire::Glass> {
    let glass = wire::Glass {
        breaks: hold.breaks.iter().map(Into::into).collect(),
        broken_unix_ms: hold.broken_ms.unwrap_or_default(),
        review: hold.review.as_ref().map(Into::into),
    };
    (!glass.breaks.is_empty()).then_some(glass)
}
