//! What a surface said of a call, and what stands in the record of it.
//!
//! **Invariant**: whatever a surface says is held to the record; what it does not say can't be wrong.

use checkrein_proto::decision::v1::{Decision, Tier, Verdict};
use serde_json::{Value, json};

/// What was said.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// `permit`, `hold` or `deny`.
    pub(super) verdict: String,
    pub(super) cause: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) rules: Option<Vec<String>>,
    pub(super) groups: Option<Vec<String>>,
    /// The id of the record.
    pub(super) decision: Option<String>,
    /// For whoever reads words alone: the reason and the rules must be in them.
    pub(super) words: Option<String>,
}

impl Told {
    /// The call goes on; a surface need not say more.
    pub(super) fn permit() -> Self {
        Self {
            verdict: "permit".to_owned(),
            ..Self::default()
        }
    }

    /// It does not, and nothing was decided.
    pub(super) fn refused(words: impl Into<String>) -> Self {
        Self {
            verdict: "deny".to_owned(),
            words: Some(words.into()),
            ..Self::default()
        }
    }

    /// As every surface says it that speaks JSON.
    pub(super) fn of(said: &Value) -> Self {
        let text = |name: &str| said[name].as_str().map(str::to_owned);
        let texts = |name: &str| {
            let all = said[name].as_array()?;
            all.iter()
                .map(|one| one.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        };
        Self {
            verdict: text("verdict").unwrap_or_else(|| panic!("no verdict: {said}")),
            cause: text("cause"),
            reason: text("reason"),
            rules: texts("rules"),
            groups: texts("groups"),
            decision: text("decision_id"),
            words: None,
        }
    }

    /// The same, in words as well.
    pub(super) fn with(self, words: impl Into<String>) -> Self {
        Self {
            words: Some(words.into()),
            ..self
        }
    }

    /// How this is not what was recorded.
    pub(super) fn differs(&self, record: &Decision) -> Option<String> {
        let said = |name: &str, said: &dyn std::fmt::Debug| {
            Some(format!("{name}: said {said:?}, recorded {record:?}"))
        };
        if self.verdict != verdict(record) {
            return said("verdict", &self.verdict);
        }
        if self.cause.as_ref().is_some_and(|cause| *cause != record.cause) {
            return said("cause", &self.cause);
        }
        if self
            .reason
            .as_ref()
            .is_some_and(|reason| *reason != record.reason)
        {
            return said("reason", &self.reason);
        }
        if self.rules.as_ref().is_some_and(|rules| *rules != record.rules) {
            return said("rules", &self.rules);
        }
        let words = self.words.as_deref()?;
        let is_said = |words: &str, part: &str| words.contains(part.trim_end_matches('.'));
        let has_all = is_said(words, &record.reason) && record.rules.iter().all(|rule| is_said(words, rule));
        (!has_all).then(|| format!("words: said {words:?}, recorded {record:?}"))
    }
}

pub(super) fn verdict(record: &Decision) -> &'static str {
    match record.verdict() {
        Verdict::Permit => "permit",
        Verdict::Hold => "hold",
        Verdict::Deny => "deny",
        Verdict::Unspecified => panic!("{record:?}"),
    }
}

/// What must be the same everywhere. Each is decided in a task of its own.
pub(super) fn decided(record: &Decision, task: &str) -> Value {
    let ledger = record.ledger.as_ref().map(|ledger| &ledger.labels);
    json!({
        "agent": record.agent,
        "user": record.user,
        "delegated_by": record.delegated_by,
        "tool": record.tool,
        "reversibility": record.reversibility,
        "yields": record.yields,
        "tier": format!("{:?}", Tier::try_from(record.tier)),
        "environment": record.environment,
        "intent": record.intent,
        "labels": ledger,
        "mode": record.mode,
        "verdict": verdict(record),
        "cause": record.cause,
        "reason": record.reason.replace(task, "this task"),
        "rules": record.rules,
    })
}

#[test]
fn what_is_said_otherwise_than_recorded_is_found() {
    let record = Decision {
        verdict: Verdict::Deny.into(),
        cause: "forbidden".to_owned(),
        reason: "nobody pays here.".to_owned(),
        rules: vec!["no-pay".to_owned()],
        ..Decision::default()
    };
    let right =
        json!({"verdict": "deny", "cause": "forbidden", "reason": "nobody pays here.", "rules": ["no-pay"]});
    let right = Told::of(&right).with("denied: nobody pays here (no-pay)");
    assert_eq!(right.differs(&record), None);
    let wrong = [
        Told {
            verdict: "permit".to_owned(),
            ..right.clone()
        },
        Told {
            cause: Some("no_permit".to_owned()),
            ..right.clone()
        },
        Told {
            reason: Some("nobody pays".to_owned()),
            ..right.clone()
        },
        Told {
            rules: Some(Vec::new()),
            ..right.clone()
        },
        right.clone().with("denied: nobody pays here"),
        right.with("denied (no-pay)"),
    ];
    for told in wrong {
        assert!(told.differs(&record).is_some(), "{told:?}");
    }
}
