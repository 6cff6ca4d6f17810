//! What is said of a hold wherever it is shown: whether it can be undone, whom it waits for, and what people said of it.

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::hold::{Remark, RemarkKind};

use super::visible;

/// Where a hold is for somebody, after it was handed from one to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Handed {
    /// Nobody handed it to them, and they to nobody.
    No,
    /// This one handed it to them.
    By(String),
    /// They handed it to this one.
    To(String),
}

/// How many of which group have to agree.
pub(crate) fn quorum_words(requirement: &wire::Requirement) -> String {
    let group = visible(&requirement.group);
    match requirement.quorum {
        1 => format!("one of {group}"),
        quorum => format!("{quorum} people of {group}"),
    }
}

/// Whether what a tool of this class does can be undone, in a sentence.
pub(crate) const fn undo_words(class: u32) -> &'static str {
    match class {
        1 => "There is nothing to undo: it only reads.",
        2 => "It can be undone.",
        3 => "Only somebody else could undo it.",
        4 => "It can't be undone.",
        _ => "Nobody said whether it can be undone: take it that it can't.",
    }
}

/// The same beside other things; empty: nobody said.
pub(crate) const fn undo_brief(class: u32) -> &'static str {
    match class {
        1 => "only reads",
        2 => "can be undone",
        3 => "only others could undo it",
        4 => "can't be undone",
        _ => "",
    }
}

/// What people said of a hold. One that this version can't read is left out: none of them decides anything.
pub(crate) fn remarks(hold: &wire::Hold) -> Vec<Remark> {
    let remarks = hold.remarks.iter();
    remarks
        .filter_map(|remark| Remark::try_from(remark).ok())
        .collect()
}

/// Where a hold is for whom these identities are.
pub(crate) fn handed(remarks: &[Remark], is_theirs: impl Fn(&str) -> bool) -> Handed {
    let mut at = Handed::No;
    for remark in remarks {
        let RemarkKind::HandedOn { to } = &remark.kind else {
            continue;
        };
        if is_theirs(to.as_str()) {
            at = Handed::By(visible(remark.author.name()));
        } else if is_theirs(remark.author.as_str()) {
            at = Handed::To(visible(to.name()));
        }
    }
    at
}

#[cfg(test)]
mod tests;
