//! The journal of an enforcer as it comes home, without the enforcer: its records and their moments are ours.

use checkrein_control_plane::decision::{Batch, Decisions, Journal};
use checkrein_shared::SystemClock;
use checkrein_shared::action::MaskedArguments;
use checkrein_shared::decision::{Cause, Chain, Decision, Mode, Record, Tier, Verdict};
use checkrein_shared::id::{DecisionId, Generation, InstanceId};
use checkrein_shared::policy::Reversibility;
use checkrein_tests::World;
use tokio_util::sync::CancellationToken;

use crate::flows::asking::{AGENT, Asking};

/// A light-tier call that was let through, as its record says.
pub(super) fn call(task: &str, tool: &str) -> Decision {
    Decision {
        release: None,
        drawn: None,
        id: DecisionId::new(&SystemClock),
        decided_ms: u64::MAX / 2_000_000,
        agent: AGENT.parse().unwrap(),
        agent_asserted: false,
        delegated_by: Vec::new(),
        user: "alice".to_owned(),
        task: Some(task.parse().unwrap()),
        grant: None,
        call_id: String::new(),
        tool: tool.to_owned(),
        arguments: MaskedArguments(String::new()),
        action: None,
        tier: Tier::Light,
        verdict: Verdict::Permit,
        cause: Cause::Permitted,
        reason: String::new(),
        rules: Vec::new(),
        mode: Mode::Enforce,
        epoch: 1,
        generation: Generation(1),
        revocation_sequence: 0,
        policy_age_ms: 0,
        hold: None,
        environment: String::new(),
        intent: String::new(),
        ledger: None,
        yields: std::collections::BTreeSet::new(),
        reversibility: Some(Reversibility::ReadOnly),
    }
}

/// A journal that comes home.
pub(super) struct Home {
    decisions: Decisions,
    journal: Journal,
    at: Chain,
}

impl Home {
    pub(super) async fn open(scene: &Asking) -> Self {
        Self::open_from(&scene.world, "edge", scene.instance).await
    }

    pub(super) async fn open_from(world: &World, enforcer: &str, instance: InstanceId) -> Self {
        let decisions = Decisions::new(world.database().unwrap(), CancellationToken::new());
        let journal = Journal {
            enforcer: enforcer.to_owned(),
            instance,
            incarnation: 1,
        };
        let at = decisions.open(&journal, None).await.unwrap();
        Self {
            decisions,
            journal,
            at,
        }
    }

    /// Brings these home, and then once more, as after an answer that was lost.
    pub(super) async fn bring(&mut self, calls: impl IntoIterator<Item = Decision>) {
        let record = |decision| Record::Decision(Box::new(decision));
        self.bring_all(calls.into_iter().map(record)).await;
    }

    /// The same with any records.
    pub(super) async fn bring_all(&mut self, records: impl IntoIterator<Item = Record>) {
        let batch = Batch {
            before: self.at,
            records: records.into_iter().map(|record| record.encode().into()).collect(),
        };
        self.at = self.decisions.append(&self.journal, &batch).await.unwrap();
        let again = self.decisions.append(&self.journal, &batch).await.unwrap();
        assert_eq!(again, self.at);
    }
}

/// The deny of a call that may have been confirmed under this name.
pub(super) fn unheard(task: &str, release: DecisionId) -> Decision {
    Decision {
        verdict: Verdict::Deny,
        cause: Cause::ControlPlaneUnreachable,
        release: Some(release),
        ..call(task, "bank/send_money")
    }
}
