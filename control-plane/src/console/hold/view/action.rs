//! What is held, in the words of a page, from the very bytes that are hashed.

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::action::{Arguments, Json};
use checkrein_shared::identity::SpiffeId;

use crate::console::parts::Moment;
use crate::words::{ShownAction, Unreadable, is_masked, pretty_value, undo_words, visible, visible_lines};

/// A value with more characters than this is folded.
const FOLDED_CHARS: usize = 400;
/// And one with more lines.
const FOLDED_LINES: usize = 12;

/// What is held, from the very bytes that are hashed.
pub(in super::super) struct Action {
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
pub(in super::super) struct Argument {
    pub name: String,
    pub value: String,
    /// What it was the last time such an action was approved; none: the same, or there was none.
    pub before: Option<String>,
    pub is_secret: bool,
    pub is_long: bool,
    pub chars: usize,
}

impl Action {
    pub(in super::super) fn of(
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
            undo: undo_words(hold.reversibility),
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
