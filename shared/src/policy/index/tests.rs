//! The index gives the verdict of the full set, and a broken one would be noticed.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};

use super::*;
use crate::policy::evaluate::Judgement;
use crate::policy::trial::Trial;
use crate::policy::{Bundle, entity, world};

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

/// Whether some rules and calls tell an index that was broken so from the full set.
fn is_noticed(flaw: impl Fn(&mut Bundle, usize)) -> bool {
    let config = ProptestConfig {
        cases: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let found = runner.run(&(world::rules(10..30), 0_usize..30), |(rules, at)| {
        let mut bundle = world::bundle(&rules);
        flaw(&mut bundle, at);
        for trial in world::trials() {
            let (indexed, full) = both(&bundle, &trial);
            prop_assert_eq!(indexed, full);
        }
        Ok(())
    });
    matches!(found, Err(TestError::Fail(..)))
}

#[test]
fn an_index_that_lost_a_bucket_gives_another_judgement() {
    assert!(is_noticed(|bundle, bucket| bundle.index.break_bucket(bucket)));
}

/// Also what filing `in` as `==` would do.
#[test]
fn an_index_that_dropped_ancestors_gives_another_judgement() {
    assert!(is_noticed(|bundle, _| {
        let known: Vec<_> = bundle.index.known.keys().cloned().collect();
        for uid in known {
            let own = bundle.index.keys_of(&uid, &Entities::new());
            bundle.index.known.insert(uid, own.into());
        }
    }));
}

#[test]
fn an_index_that_gives_strangers_no_keys_gives_another_judgement() {
    for (entity_type, id) in [("Agent", "spiffe://a.example/agent/ghost"), ("Account", "ghost")] {
        let stranger = entity::of(&entity::entity_type(entity_type).unwrap(), id);
        let flaw = |bundle: &mut Bundle, _| {
            let before = bundle.index.known.insert(stranger.clone(), Box::default());
            assert!(before.is_none(), "a stranger");
        };
        assert!(is_noticed(flaw), "{stranger}");
    }
}

#[test]
fn an_index_that_forgot_what_type_an_entity_is_gives_another_judgement() {
    assert!(is_noticed(|bundle, _| {
        let index = &mut bundle.index;
        let is_type = |key: &Key| matches!(key, Key::Is(_));
        let types: Vec<_> = index
            .keys
            .iter()
            .filter(|(key, _)| is_type(key))
            .map(|(_, at)| *at)
            .collect();
        for keys in index.known.values_mut() {
            *keys = keys.iter().copied().filter(|at| !types.contains(at)).collect();
        }
    }));
}

#[test]
fn only_rules_that_could_apply_are_candidates() {
    let rules: Vec<String> = (0..100)
        .map(|at| {
            format!("@id(\"r{at:03}\") permit (principal == Agent::\"spiffe://a.example/agent/n{at}\", action, resource);")
        })
        .chain(
            [
                "@id(\"own\") permit (principal in Team::\"staff\", action in Action::\"read\", resource);",
                "@id(\"exact\") permit (principal, action in Action::\"spend\", resource == Account::\"one\");",
                "@id(\"kin\") permit (principal, action in Action::\"spend\", resource in Account::\"one\");",
            ]
            .map(str::to_owned),
        )
        .collect();
    let bundle = world::bundle(&rules);
    for (call, candidates) in [
        ("ann c/look", vec!["own"]),
        ("ann c/pay {\"n\":0,\"account\":\"one\"", vec!["exact", "kin"]),
        ("ann c/pay {\"n\":0,\"account\":\"two\"", vec!["kin"]),
    ] {
        assert_eq!(candidates_for(&bundle, call), candidates, "{call}");
    }
}

fn candidates_for<'b>(bundle: &'b Bundle, call: &str) -> Vec<&'b str> {
    let trials = world::trials();
    let mut trials = trials.iter();
    let trial = trials.find(|trial| trial.name.starts_with(call)).unwrap();
    let tool = &bundle.tools[&trial.action.tool];
    let question = crate::policy::request::Question::new(tool, &trial.situation()).unwrap();
    let found = bundle.index.candidates(
        &question.principal,
        &question.action,
        &question.resource,
        &bundle.entities,
        None,
    );
    let ids = found.iter().map(|at| bundle.rules[*at as usize].id.as_str());
    ids.collect()
}
