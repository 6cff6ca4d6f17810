//! Who runs a generation, who does not, and why.

use checkrein_proto::fleet::v1::{Enforcer, Instance, NackReport, Stage};

use super::Rollout;
use crate::cli::output::Paint;

fn enforcer(name: &str, instances: &[(bool, u64)]) -> Enforcer {
    let instance = |(connected, generation): &(bool, u64)| Instance {
        connected: *connected,
        generation: *generation,
        ..Instance::default()
    };
    Enforcer {
        name: name.into(),
        instances: instances.iter().map(instance).collect(),
        ..Enforcer::default()
    }
}

#[test]
fn an_enforcer_runs_it_when_every_connected_instance_does() {
    let fleet = [
        enforcer("all", &[(true, 7), (true, 8), (false, 3)]),
        enforcer("some", &[(true, 7), (true, 6)]),
        enforcer("gone", &[(false, 7)]),
        enforcer("new", &[]),
    ];
    let rollout = Rollout::of(&fleet, &[], 7);
    assert_eq!(rollout.enforced, ["all"]);
    assert_eq!(rollout.behind, ["some"]);
    assert_eq!(rollout.away, ["gone", "new"]);
    assert!(!rollout.is_complete());
}

#[test]
fn one_that_refused_is_named_with_stage_and_reason() {
    let nack = NackReport {
        generation: 7,
        stage: Stage::SelfTest.into(),
        reason: "decided otherwise".into(),
        ..NackReport::default()
    };
    let rollout = Rollout::of(
        &[enforcer("billing", &[(true, 6)])],
        &[("billing".into(), nack)],
        7,
    );
    assert!(rollout.behind.is_empty() && !rollout.is_complete());
    let text = rollout.text(Paint::new(false));
    assert!(
        text.contains("billing refused it (self_test): decided otherwise"),
        "{text}"
    );
}

#[test]
fn an_empty_fleet_is_complete_and_says_so() {
    let rollout = Rollout::of(&[], &[], 1);
    assert!(rollout.is_complete());
    assert_eq!(
        rollout.text(Paint::new(false)),
        "no enforcer is connected; each gets it when it comes\n"
    );
}
