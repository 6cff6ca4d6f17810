//! A hold as a page for the person who must answer it.

use std::collections::BTreeSet;

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::task::v1::TaskLabel;
use checkrein_shared::action::Arguments;
use checkrein_shared::identity::SpiffeId;

use super::{people, remark};
use crate::cli::ledger::carried;
use crate::cli::output::{Fields, Paint, Style, relative, span, style_of, visible};
use crate::words::{ShownAction, bound_words, is_masked, pretty_value, undo_words};

/// A hold, and what stands with it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) hold: wire::Hold,
    /// What its task carries.
    pub(super) labels: Vec<TaskLabel>,
    /// What a standing approval of it could allow.
    pub(super) offer: Option<wire::Offer>,
    /// The last such action that was approved.
    pub(super) before: Option<wire::Before>,
}

/// The hold, and what its task carries: whoever lets the action happen lets it happen with that.
pub(super) fn page(shown: &Shown, now_ms: u64, paint: Paint) -> String {
    let (hold, labels) = (&shown.hold, &shown.labels);
    let mut fields = Fields::default();
    if let Some(before) = &shown.before {
        compared(hold, before, now_ms, &mut fields);
    }
    for label in labels {
        let said = format!("{}, which {}", label.label, carried(label, now_ms));
        fields.line("task carries", &said);
    }
    if labels.is_empty() {
        fields.line("task carries", "no labels");
    }
    format!("{}\n{}", card(hold, now_ms, paint), fields.render(paint))
}

/// What differs from the last such action that was approved.
fn compared(hold: &wire::Hold, before: &wire::Before, now_ms: u64, fields: &mut Fields) {
    let action = hold.action.clone().unwrap_or_default();
    let read = (
        Arguments::parse(&action.arguments),
        Arguments::parse(&before.arguments),
    );
    // What can't be read is nothing to compare with.
    let (Ok(now), Ok(then)) = read else { return };
    let when = relative(before.opened_unix_ms, now_ms);
    fields.line(
        "before",
        &format!(
            "the last such action that was approved: {}, {when}",
            before.hold_id
        ),
    );
    let names: BTreeSet<&str> = now
        .members()
        .chain(then.members())
        .map(|(name, _)| name)
        .collect();
    for name in names.into_iter().filter(|name| now.get(name) != then.get(name)) {
        let was = match then.get(name) {
            None => "was not there".to_owned(),
            Some(secret) if is_masked(secret) => "was another secret".to_owned(),
            Some(value) => format!("was {}", pretty_value(value)),
        };
        fields.line("", &format!("{name} {was}"));
    }
}

/// The whole hold: who wants what for whom, why it waits, and the very bytes an approval is bound to.
pub(super) fn card(hold: &wire::Hold, now_ms: u64, paint: Paint) -> String {
    let word = crate::words::hold_word(hold);
    let mut out = format!(
        "{}  {}  {}\n\n",
        paint.apply(Style::Strong, &visible(&hold.hold_id)),
        paint.apply(style_of(word), word),
        deadline(hold, now_ms)
    );
    match ShownAction::verify(hold) {
        Ok(action) => out.push_str(&wanted(hold, &action, paint)),
        Err(error) => {
            let warning = format!("do not approve: {error}");
            out.push_str(&Fields::default().block("", &warning, Style::Bad).render(paint));
        }
    }
    out.push('\n');
    out.push_str(&waiting(hold, now_ms, paint));
    out
}

fn wanted(hold: &wire::Hold, action: &ShownAction, paint: Paint) -> String {
    let delegators: Vec<&str> = action
        .identity
        .delegated_by
        .iter()
        .map(SpiffeId::as_str)
        .collect();
    let mut fields = Fields::default();
    fields
        .line("agent", action.identity.agent.as_str())
        .line("passed on by", &delegators.join(", then "))
        .line("acting for", &action.identity.user)
        .styled("wants to call", &action.identity.tool, Style::Strong)
        .block("with", &action.arguments, Style::Plain)
        .line("undoing", undo_words(hold.reversibility))
        .line("in", &hold.environment)
        .line("asked to", &hold.intent);
    let mut hashed = Fields::default();
    hashed
        .line("task", &action.identity.task.to_string())
        .line("definition", &action.identity.definition.to_string())
        .line("arguments", &action.identity.arguments.0)
        .styled("sha256", &action.sha256.to_string(), Style::Strong);
    let heading =
        "an approval is bound to agents, user and tool as above, and to these bytes (hash recomputed here):";
    format!(
        "{}\n{}\n{}",
        fields.render(paint),
        paint.apply(Style::Dim, heading),
        hashed.render(paint)
    )
}

fn waiting(hold: &wire::Hold, now_ms: u64, paint: Paint) -> String {
    let mut fields = Fields::default();
    fields.line("held because", &hold.reason);
    for requirement in &hold.requirements {
        let people = if requirement.quorum == 1 {
            "person"
        } else {
            "people"
        };
        let demand = format!(
            "{} wants {} {people} of `{}` to agree, within {}; an approval lasts {}",
            requirement.rule,
            requirement.quorum,
            requirement.group,
            span(requirement.decide_within_ms),
            span(requirement.use_within_ms),
        );
        fields.line("rule", &demand);
    }
    people::who(hold, now_ms, &mut fields);
    for vote in &hold.votes {
        let word = if vote.approve { "yes" } else { "no" };
        let reason = if vote.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", vote.reason)
        };
        let as_whom = vote
            .capacity
            .as_ref()
            .map(|capacity| format!(", {},", people::words(capacity)));
        let as_whom = as_whom.unwrap_or_default();
        let said = format!(
            "{}{as_whom} said {word} {}{reason}",
            vote.approver,
            relative(vote.voted_unix_ms, now_ms)
        );
        fields.line("vote", &said).line("by approval", &vote.standing_id);
        if let Some(terms) = &vote.terms {
            let bounds: Vec<String> = terms.bounds.iter().map(bound_words).collect();
            let again = format!(
                "and so up to {} more times within {}, if all who approve say so: {}",
                terms.times,
                span(terms.for_ms),
                if bounds.is_empty() {
                    "with exactly these arguments".to_owned()
                } else {
                    format!("{}, all else exactly as shown", bounds.join(", "))
                }
            );
            fields.line("", &again);
        }
    }
    remark::lines(hold, now_ms, &mut fields);
    people::glass(hold, now_ms, &mut fields);
    fields
        .line("denied because", &hold.denial_reason)
        .line(
            "held at",
            &format!("{}, {}", hold.enforcer, relative(hold.opened_unix_ms, now_ms)),
        )
        .line("policy", &format!("generation {}", hold.generation))
        .line("decision", &hold.decision_id)
        .line("call", &hold.call_id);
    fields.render(paint)
}

fn deadline(hold: &wire::Hold, now_ms: u64) -> String {
    match hold.state() {
        wire::State::Open if hold.decide_by_unix_ms > now_ms => {
            format!("answer {}", relative(hold.decide_by_unix_ms, now_ms))
        }
        wire::State::Open => format!(
            "too late to answer since {}",
            span(now_ms - hold.decide_by_unix_ms)
        ),
        wire::State::Approved => format!("the approval ends {}", relative(hold.use_by_unix_ms, now_ms)),
        _ => String::new(),
    }
}
