//! What the annotations of a rule say, and what they can't.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{self, Annotation};

use super::{
    DECIDE_WITHIN_MS_DEFAULT, HoldTerms, InvalidRule, QUORUM_DEFAULT, RuleKind, USE_WITHIN_MS_DEFAULT,
};
use crate::label::{InvalidLabel, Label};
use crate::policy::catalog::YIELDS_MAX;
use crate::policy::duration::DurationMs;

/// The largest quorum a rule may ask for.
const QUORUM_MAX: u32 = 100;
/// An id may have at most this many characters.
const ID_CHARS_MAX: usize = 128;
/// A `@reason` may have at most this many bytes: it is stored with every decision.
const REASON_BYTES_MAX: usize = 512;

const ANNOTATIONS: &str = "the annotations are `@id`, `@reason`, `@controls`, `@hold`, `@quorum`, `@decide_within`, `@use_within` and, in `labels.cedar`, `@yields`";

/// What a rule says of itself.
pub(super) struct Said {
    pub(super) id: String,
    pub(super) kind: RuleKind,
    pub(super) reason: String,
    pub(super) controls: Vec<String>,
}

/// The annotations of one rule, as far as they have been read.
struct Annotations<'a> {
    policy: &'a ast::Policy,
    text_length: usize,
}

/// Reads the annotations of a policy whose text has this many bytes.
pub(super) fn read(policy: &ast::Policy, text_length: usize) -> Result<Said, InvalidRule> {
    Annotations { policy, text_length }.all()
}

impl Annotations<'_> {
    fn all(&self) -> Result<Said, InvalidRule> {
        self.refuse_unknown()?;
        let id = self.id()?;
        let kind = self.kind()?;
        let reason = self
            .get("reason")
            .map(|reason| reason.val.to_string())
            .unwrap_or_default();
        if reason.len() > REASON_BYTES_MAX {
            let message = format!(
                "the reason has {} bytes; at most {REASON_BYTES_MAX} are kept",
                reason.len()
            );
            return Err(self.wrong("reason", message, "say it in a sentence"));
        }
        let controls = self
            .get("controls")
            .map(|list| list.val.to_string())
            .unwrap_or_default();
        let controls: Vec<String> = controls
            .split(',')
            .map(|control| control.trim().to_owned())
            .collect();
        let named = self.get("controls").is_some();
        if named && controls.iter().any(String::is_empty) {
            return Err(self.wrong(
                "controls",
                "a control has no name",
                "write `@controls(\"ASI02,PR.AA-05\")`",
            ));
        }
        let controls = if named { controls } else { Vec::new() };
        Ok(Said {
            id,
            kind,
            reason,
            controls,
        })
    }

    fn refuse_unknown(&self) -> Result<(), InvalidRule> {
        const KNOWN: [&str; 8] = [
            "id",
            "reason",
            "controls",
            "hold",
            "quorum",
            "decide_within",
            "use_within",
            "yields",
        ];
        for (key, annotation) in self.policy.annotations() {
            if !KNOWN.contains(&key.as_ref()) {
                let message = format!("`@{key}` is not an annotation of a rule");
                return Err(self.at(annotation, message, ANNOTATIONS));
            }
        }
        Ok(())
    }

    fn id(&self) -> Result<String, InvalidRule> {
        let Some(id) = self.get("id") else {
            return Err(InvalidRule {
                at: 0..self.text_length.min(6),
                message: "the rule has no `@id`".to_owned(),
                help: "put `@id(\"…\")` before it; decisions and holds name the rule by it".to_owned(),
            });
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if id.val.is_empty() || id.val.len() > ID_CHARS_MAX || !id.val.chars().all(allowed) {
            let help = format!("use at most {ID_CHARS_MAX} letters, digits, dots, dashes and underscores");
            return Err(self.at(id, format!("`{}` can't be the id of a rule", id.val), help));
        }
        Ok(id.val.to_string())
    }

    fn kind(&self) -> Result<RuleKind, InvalidRule> {
        if let Some(yields) = self.get("yields") {
            return self.yields(yields).map(RuleKind::Yield);
        }
        let Some(hold) = self.get("hold") else {
            for key in ["quorum", "decide_within", "use_within"] {
                if self.get(key).is_some() {
                    let message = format!("`@{key}` says nothing without `@hold`");
                    return Err(self.wrong(key, message, "add `@hold(\"<group>\")`, or remove it"));
                }
            }
            return Ok(match self.policy.effect() {
                ast::Effect::Permit => RuleKind::Permit,
                ast::Effect::Forbid => RuleKind::Forbid,
            });
        };
        if self.policy.effect() == ast::Effect::Permit {
            let message = "`@hold` on a permit would let other permits pass it by";
            return Err(self.at(
                hold,
                message,
                "hold with a forbid: it applies whatever else permits",
            ));
        }
        if hold.val.trim().is_empty() {
            return Err(self.at(hold, "`@hold` names no group", "write `@hold(\"treasury\")`"));
        }
        Ok(RuleKind::Hold(HoldTerms {
            group: hold.val.to_string(),
            quorum: self.quorum()?,
            decide_within_ms: self.duration("decide_within", DECIDE_WITHIN_MS_DEFAULT)?,
            use_within_ms: self.duration("use_within", USE_WITHIN_MS_DEFAULT)?,
        }))
    }

    /// The labels that a call gets which satisfies the rule.
    fn yields(&self, yields: &Annotation) -> Result<BTreeSet<Label>, InvalidRule> {
        for key in ["hold", "quorum", "decide_within", "use_within"] {
            if self.get(key).is_some() {
                let message = format!("`@{key}` says nothing beside `@yields`");
                let help = "a rule labels results or waits for people; write two";
                return Err(self.wrong(key, message, help));
            }
        }
        if self.policy.effect() == ast::Effect::Forbid {
            let message = "`@yields` on a forbid would forbid, too";
            return Err(self.at(
                yields,
                message,
                "write a `permit`: in `labels.cedar` it permits nothing",
            ));
        }
        let labels = yields.val.split(',').map(|word| word.trim().parse());
        let labels: Result<BTreeSet<Label>, InvalidLabel> = labels.collect();
        let labels = labels.map_err(|error| {
            self.at(
                yields,
                error.to_string(),
                "write `@yields(\"pii\")`, or several with commas",
            )
        })?;
        if labels.len() > YIELDS_MAX {
            let message = format!("the rule yields more than {YIELDS_MAX} labels");
            return Err(self.at(yields, message, "name kinds of data, not single values"));
        }
        Ok(labels)
    }

    fn quorum(&self) -> Result<u32, InvalidRule> {
        let Some(quorum) = self.get("quorum") else {
            return Ok(QUORUM_DEFAULT);
        };
        let wrong = || {
            let message = format!("`{}` is not a number of people", quorum.val);
            let help = format!("write a whole number between 1 and {QUORUM_MAX}");
            self.at(quorum, message, help)
        };
        let number: u32 = quorum.val.parse().map_err(|_| wrong())?;
        if (1..=QUORUM_MAX).contains(&number) {
            Ok(number)
        } else {
            Err(wrong())
        }
    }

    fn duration(&self, key: &str, default_ms: u64) -> Result<u64, InvalidRule> {
        let Some(duration) = self.get(key) else {
            return Ok(default_ms);
        };
        DurationMs::parse(&duration.val)
            .map(|duration| duration.0)
            .map_err(|error| self.at(duration, error.to_string(), ""))
    }

    fn get(&self, key: &str) -> Option<&Annotation> {
        self.policy
            .annotations()
            .find(|(known, _)| known.as_ref() == key)
            .map(|(_, annotation)| annotation)
    }

    fn wrong(&self, key: &str, message: impl Into<String>, help: impl Into<String>) -> InvalidRule {
        let at = self.get(key).and_then(|annotation| annotation.loc.as_ref());
        InvalidRule {
            at: at.map_or(0..0, |loc| loc.start()..loc.end()),
            message: message.into(),
            help: help.into(),
        }
    }

    fn at(
        &self,
        annotation: &Annotation,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> InvalidRule {
        let at = annotation
            .loc
            .as_ref()
            .map_or(0..self.text_length.min(6), |loc| loc.start()..loc.end());
        InvalidRule {
            at,
            message: message.into(),
            help: help.into(),
        }
    }
}
