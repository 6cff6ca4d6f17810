//! The index gives the verdict of the full set, and a broken one would be noticed.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use crate::policy::evaluate::Judgement;
use crate::policy::trial::Trial;
use crate::policy::{Bundle, world};

fn both(bundle: &Bundle, trial: &Trial) -> (Judgement, Judgement) {
    let situation = trial.situation();
    (bundle.judge(&situation), bundle.judge_unindexed(&situation))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn indexed_and_unindexed_judgements_are_the_same(rules in world::rules(0..30)) {
        let bundle = world::bundle(&rules);
        for trial in world::trials() {
            let (indexed, full) = both(&bundle, &trial);
            prop_assert_eq!(indexed, full, "{}", trial.name);
        }
    }
}

#[test]
fn an_index_that_lost_a_bucket_gives_another_judgement() {
    let config = ProptestConfig {
        cases: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let found = runner.run(&(world::rules(10..30), 0_usize..30), |(rules, bucket)| {
        let mut bundle = world::bundle(&rules);
        bundle.index.break_bucket(bucket);
        for trial in world::trials() {
            let (indexed, full) = both(&bundle, &trial);
            prop_assert_eq!(indexed, full);
        }
        Ok(())
    });
    assert!(
        matches!(found, Err(TestError::Fail(..))),
        "a broken index was not noticed: {found:?}"
    );
}

#[test]
fn only_rules_that_could_apply_are_candidates() {
    let rules: Vec<String> = (0..100)
        .map(|at| {
            format!("@id(\"r{at:03}\") permit (principal == Agent::\"spiffe://a.example/agent/n{at}\", action, resource);")
        })
        .chain(["@id(\"own\") permit (principal in Team::\"staff\", action in Action::\"read\", resource);".to_owned()])
        .collect();
    let bundle = world::bundle(&rules);
    let trials = world::trials();
    let trial = trials
        .iter()
        .find(|trial| trial.name.starts_with("ann c/look"))
        .unwrap();
    let question =
        crate::policy::request::Question::new(&bundle.tools["c/look"], &trial.situation()).unwrap();
    let found = bundle.index.candidates(
        &question.principal,
        &question.action,
        &question.resource,
        &bundle.entities,
    );
    let ids: Vec<_> = found
        .iter()
        .map(|at| bundle.rules[*at as usize].id.as_str())
        .collect();
    assert_eq!(ids, ["own"]);
}
