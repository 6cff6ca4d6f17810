//! What is written comes back, and what means nothing is refused.

use crate::action::{MaskedArguments, Sha256};
use crate::clock::ManualClock;
use crate::decision::{
    Cause, Decision, Drawn, Mode, Outcome, OutcomeResult, Record, SeenLedger, SliceClosed, Tier, Verdict,
};
use crate::grant::{Revocation, Revoked};
use crate::id::{DecisionId, Generation, GrantId, HoldId, SliceId, TaskId};
use crate::ledger::{Amounts, Meter};
use crate::policy::Reversibility;

use super::InvalidMessage;

fn decision() -> Decision {
    let clock = ManualClock::at(5);
    Decision {
        id: DecisionId::new(&clock),
        decided_ms: 5,
        agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
        agent_asserted: true,
        delegated_by: vec!["spiffe://acme.example/agent/planner".parse().unwrap()],
        ledger: Some(SeenLedger {
            revision: 4,
            labels: ["pii", "untrusted_content"]
                .map(|word| word.parse().unwrap())
                .into(),
        }),
        yields: ["credentials"].map(|word| word.parse().unwrap()).into(),
        reversibility: Some(Reversibility::Reversible),
        release: Some(DecisionId::new(&ManualClock::at(1))),
        drawn: Some(Drawn {
            slice: SliceId::new(&ManualClock::at(2)),
            cost: Amounts::default().with(Meter::Rows, 7),
        }),
        user: "alice".into(),
        task: Some(TaskId::new(&clock)),
        grant: Some(GrantId::new(&clock)),
        call_id: "call-1".into(),
        tool: "bank/send_money".into(),
        arguments: MaskedArguments("{}".into()),
        action: Some(Sha256::of(b"action")),
        tier: Tier::Full,
        verdict: Verdict::Hold,
        cause: Cause::Held,
        reason: "people must look".into(),
        rules: vec!["pay-unnamed".into()],
        mode: Mode::Enforce,
        epoch: 1,
        generation: Generation(7),
        revocation_sequence: 3,
        policy_age_ms: 12,
        hold: Some(HoldId::new(&clock)),
        environment: "production".into(),
        intent: "pay the rent".into(),
    }
}

#[test]
fn a_record_comes_back_as_it_was() {
    let decision = Record::Decision(Box::new(decision()));
    assert_eq!(Record::decode(&decision.encode()), Ok(decision));
    let clock = ManualClock::at(6);
    let outcome = Record::Outcome(Outcome {
        decision: DecisionId::new(&clock),
        completed_ms: 6,
        result: OutcomeResult::Failed,
        detail: "no such account".into(),
        hold: None,
        task: Some(TaskId::new(&clock)),
        spent: Amounts::default().with(Meter::Money, 125_000),
    });
    assert_eq!(Record::decode(&outcome.encode()), Ok(outcome));
    let closed = Record::SliceClosed(SliceClosed {
        slice: SliceId::new(&clock),
        task: TaskId::new(&clock),
    });
    assert_eq!(Record::decode(&closed.encode()), Ok(closed));
}

#[test]
fn a_record_cut_anywhere_or_of_another_format_never_decodes_to_something_else() {
    let whole = Record::Decision(Box::new(decision()));
    let bytes = whole.encode();
    for end in 0..bytes.len() {
        assert_ne!(
            Record::decode(&bytes[..end]).ok().as_ref(),
            Some(&whole),
            "{end} bytes"
        );
    }
    let mut other = bytes;
    other[1] = 9;
    assert_eq!(Record::decode(&other), Err(InvalidMessage::Format(9)));
}

#[test]
fn every_cause_is_named_as_it_is_parsed() {
    for cause in Cause::ALL {
        assert_eq!(cause.as_str().parse(), Ok(*cause));
    }
}

#[test]
fn every_kind_of_revocation_comes_back_and_one_of_a_later_version_is_refused() {
    let clock = ManualClock::at(5);
    let (task, grant) = (TaskId::new(&clock), GrantId::new(&clock));
    let agent = "spiffe://acme.example/agent/billing".parse().unwrap();
    let kinds = [
        Revoked::Task(task),
        Revoked::Before { task, epoch: 7 },
        Revoked::Grant { task, grant },
        Revoked::Agent { agent, until_ms: 9 },
        Revoked::Key(Sha256::of(b"a key")),
    ];
    for what in kinds {
        let revocation = Revocation {
            what,
            expires_ms: 11,
            cause: "revoked".into(),
        };
        let entry = revocation.to_wire(3);
        assert_eq!(entry.sequence, 3);
        assert_eq!(Revocation::try_from(entry.clone()), Ok(revocation));
        let later = checkrein_proto::fleet::v1::Revocation { what: None, ..entry };
        assert_eq!(Revocation::try_from(later), Err(InvalidMessage::Missing("what")));
    }
}
