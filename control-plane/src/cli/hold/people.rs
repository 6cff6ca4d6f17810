//! Who may answer a hold and as whom, and who broke the glass: for people and for scripts.

use std::collections::BTreeMap;

use checkrein_proto::hold::v1 as wire;
use serde::Serialize;

use crate::cli::output::{Fields, Style, relative, rfc3339};

/// As whom somebody answers.
#[derive(Debug, Serialize)]
pub(super) struct CapacityView {
    approver: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    group: String,
    /// The member they stand in for.
    #[serde(skip_serializing_if = "Option::is_none")]
    deputy_of: Option<String>,
    /// Why this group is asked beside the one that the rule names.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_because: Option<&'static str>,
    since: Option<String>,
}

/// Broken glass.
#[derive(Debug, Serialize)]
pub(super) struct GlassView {
    /// Whether it was: two are needed.
    broken: bool,
    broken_at: Option<String>,
    by: Vec<BreakView>,
    review: Option<ReviewView>,
}

#[derive(Debug, Serialize)]
struct BreakView {
    approver: String,
    reason: String,
    at: Option<String>,
}

#[derive(Debug, Serialize)]
struct ReviewView {
    reviewer: String,
    finding: &'static str,
    reason: String,
    reviewed_at: Option<String>,
}

impl CapacityView {
    pub(super) fn of(capacity: &wire::Capacity) -> Self {
        Self {
            approver: capacity.approver.clone(),
            rule: None,
            group: capacity.group.clone(),
            deputy_of: (capacity.seat != capacity.approver).then(|| capacity.seat.clone()),
            asked_because: because(capacity.why()),
            since: rfc3339(capacity.since_unix_ms),
        }
    }

    pub(super) fn all(hold: &wire::Hold) -> Vec<Self> {
        let view = |may: &wire::MayAnswer| {
            let capacity = may.capacity.as_ref()?;
            Some(Self {
                rule: Some(may.rule.clone()),
                ..Self::of(capacity)
            })
        };
        hold.may_answer.iter().filter_map(view).collect()
    }
}

impl GlassView {
    pub(super) fn of(glass: &wire::Glass) -> Self {
        let by = glass.breaks.iter().map(|one| BreakView {
            approver: one.approver.clone(),
            reason: one.reason.clone(),
            at: rfc3339(one.broken_unix_ms),
        });
        Self {
            broken: glass.broken_unix_ms != 0,
            broken_at: rfc3339(glass.broken_unix_ms),
            by: by.collect(),
            review: glass.review.as_ref().map(|review| ReviewView {
                reviewer: review.reviewer.clone(),
                finding: finding(review),
                reason: review.reason.clone(),
                reviewed_at: rfc3339(review.reviewed_unix_ms),
            }),
        }
    }
}

/// Who may answer now, each with all that they may answer as.
pub(super) fn who(hold: &wire::Hold, now_ms: u64, fields: &mut Fields) {
    for asked in &hold.asked {
        let said = format!(
            "`{}` as well, {} ({})",
            asked.group,
            relative(asked.since_unix_ms, now_ms),
            because(asked.why()).unwrap_or("as its group says")
        );
        fields.line("asked", &said);
    }
    let mut people: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for capacity in hold.may_answer.iter().filter_map(|may| may.capacity.as_ref()) {
        let as_whom = words(capacity);
        let known = people.entry(&capacity.approver).or_default();
        if !known.contains(&as_whom) {
            known.push(as_whom);
        }
    }
    for (person, capacities) in &people {
        fields.line("may answer", &format!("{person}, {}", capacities.join("; or ")));
    }
    if people.is_empty() && hold.state() == wire::State::Open {
        let nobody = "nobody now: those who were asked are away, asked for it, or answer for the agent";
        fields.styled("may answer", nobody, Style::Bad);
    }
}

/// As whom, in words.
pub(super) fn words(capacity: &wire::Capacity) -> String {
    let place = if capacity.seat == capacity.approver {
        format!("in `{}`", capacity.group)
    } else {
        format!("deputy of {} in `{}`", capacity.seat, capacity.group)
    };
    match because(capacity.why()) {
        Some(_) => format!("{place}, which is asked as well"),
        None => place,
    }
}

/// Their names alone, for a table.
pub(super) fn names(hold: &wire::Hold) -> String {
    let name = |id: &str| id.rsplit('/').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = Vec::new();
    for capacity in hold.may_answer.iter().filter_map(|may| may.capacity.as_ref()) {
        let person = if capacity.seat == capacity.approver {
            name(&capacity.approver)
        } else {
            format!("{} for {}", name(&capacity.approver), name(&capacity.seat))
        };
        if !names.contains(&person) {
            names.push(person);
        }
    }
    names.join(", ")
}

/// Who broke the glass, why, and what was found.
pub(super) fn glass(hold: &wire::Hold, now_ms: u64, fields: &mut Fields) {
    let Some(glass) = &hold.glass else { return };
    for one in &glass.breaks {
        let said = format!(
            "{} wanted it broken {}: {}",
            one.approver,
            relative(one.broken_unix_ms, now_ms),
            one.reason
        );
        fields.styled("glass", &said, Style::Bad);
    }
    if glass.broken_unix_ms == 0 {
        fields.line("", "it takes two: `checkrein hold break-glass`");
        return;
    }
    let broken = format!(
        "BROKEN {}: approved without the people who were asked",
        relative(glass.broken_unix_ms, now_ms)
    );
    fields.styled("glass", &broken, Style::Bad);
    match &glass.review {
        Some(review) => {
            let when = relative(review.reviewed_unix_ms, now_ms);
            let said = format!(
                "{} by {} {when}: {}",
                finding(review),
                review.reviewer,
                review.reason
            );
            fields.line("reviewed", &said);
        }
        None => {
            fields.line("reviewed", "by nobody yet: `checkrein hold review`");
        }
    }
}

/// One word on the glass, for a table.
pub(super) const fn glass_word(hold: &wire::Hold) -> &'static str {
    match &hold.glass {
        Some(glass) if glass.broken_unix_ms != 0 && glass.review.is_none() => "broken, unreviewed",
        Some(glass) if glass.broken_unix_ms != 0 => "broken",
        _ => "",
    }
}

fn finding(review: &wire::Review) -> &'static str {
    match review.finding() {
        wire::Finding::Justified => "justified",
        wire::Finding::Unjustified => "unjustified",
        wire::Finding::Unspecified => "unrecognised",
    }
}

const fn because(why: wire::Why) -> Option<&'static str> {
    match why {
        wire::Why::Unspecified => None,
        wire::Why::Unanswered => Some("not enough answers in time"),
        wire::Why::QuietHours => Some("quiet hours"),
    }
}
