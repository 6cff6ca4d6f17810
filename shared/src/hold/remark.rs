//! What people say to each other about a hold before anybody answers it: a question, a reply to it, and that it is somebody
//! else's to look at.
//!
//! **Invariant**: a remark is no answer. No state, quorum, deadline or hash knows of it.

use crate::identity::SpiffeId;

/// So many are made of one hold; a further one is refused.
pub const REMARKS_MAX: usize = 32;

/// Something that somebody said of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Who.
    pub author: SpiffeId,
    /// What for.
    pub kind: RemarkKind,
    /// In their words.
    pub text: String,
    /// When, by the database's clock.
    pub remarked_ms: u64,
}

/// What a remark is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemarkKind {
    /// Somebody has to know more before they answer. The agent is told.
    Question,
    /// It says what somebody wanted to know.
    Reply,
    /// Somebody else is to look at it, who may answer it as well.
    HandedOn {
        /// Who.
        to: SpiffeId,
    },
}

impl RemarkKind {
    /// The word for it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Question => "question",
            Self::Reply => "reply",
            Self::HandedOn { .. } => "handed_on",
        }
    }
}

impl Remark {
    /// The last question that nobody has said anything to.
    pub fn unanswered(remarks: &[Self]) -> Option<&Self> {
        let mut latest = remarks.iter().rev();
        latest
            .find(|remark| !matches!(remark.kind, RemarkKind::HandedOn { .. }))
            .filter(|remark| remark.kind == RemarkKind::Question)
    }
}

/// A question as an agent is told of it: who asks, and what.
pub fn asks(author: &str, text: &str) -> String {
    format!("`{author}` asks: \u{201c}{text}\u{201d}")
}
