//! Whoever the register puts into a team is judged as if a pack had, indexed or not; and nothing is taken from anybody.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::decision::{Cause, Verdict};
use crate::policy::{Pack, fixture, world};

const AGENTS: [&str; 5] = ["ann", "ben", "cy", "ghost", "else"];
/// Known with an ancestor, known without, not in the bundle but named by a rule of the world, and known to nobody.
const TEAMS: [&str; 4] = ["desk", "staff", "night", "nobody"];

fn id(agent: &str) -> SpiffeId {
    format!("spiffe://a.example/agent/{agent}").parse().unwrap()
}

fn roster(entries: &[(&str, &[&str])]) -> Roster {
    let entry = |(agent, teams): &(&str, &[&str])| {
        (
            id(agent),
            teams.iter().map(|team| team.parse().unwrap()).collect(),
        )
    };
    Roster {
        revision: 1,
        agents: entries.iter().map(entry).collect(),
    }
}

/// The world's pack with the roster written into its entities: what seating is held to.
fn written_out(rules: &[String], roster: &Roster) -> Pack {
    let entities: serde_json::Value = serde_json::from_str(world::ENTITIES).unwrap();
    let mut entities = entities.as_array().unwrap().clone();
    for (agent, teams) in &roster.agents {
        let is_it = |entity: &serde_json::Value| entity["uid"]["id"] == agent.as_str();
        let at = entities.iter().position(is_it).unwrap_or_else(|| {
            let uid = serde_json::json!({"type": "Agent", "id": agent.as_str()});
            entities.push(serde_json::json!({"uid": uid, "attrs": {}, "parents": []}));
            entities.len() - 1
        });
        let parents = entities[at]["parents"].as_array_mut().unwrap();
        for team in teams {
            let parent = serde_json::json!({"type": "Team", "id": team.as_str()});
            if !parents.contains(&parent) {
                parents.push(parent);
            }
        }
    }
    world::pack_with(rules, &serde_json::Value::from(entities).to_string())
}

fn rule_about_teams() -> impl Strategy<Value = String> {
    let head = select(&["permit", "forbid", "@hold(\"people\") forbid"][..]);
    let scope = select(&["principal in", "principal is Agent in"][..]);
    (head, scope, select(&TEAMS[..3]), any::<bool>()).prop_map(|(head, scope, team, in_scope)| {
        if in_scope {
            format!("{head} ({scope} Team::\"{team}\", action, resource);")
        } else {
            format!("{head} (principal, action, resource) when {{ principal in Team::\"{team}\" }};")
        }
    })
}

fn rules() -> impl Strategy<Value = Vec<String>> {
    let rule = prop_oneof![world::rule(), rule_about_teams()];
    proptest::collection::vec(rule, 0..20).prop_map(|rules| {
        let numbered = rules.iter().enumerate();
        numbered
            .map(|(at, rule)| format!("@id(\"r{at:03}\") {rule}"))
            .collect()
    })
}

fn rosters() -> impl Strategy<Value = Roster> {
    let teams = || subsequence(&TEAMS[..], 0..=TEAMS.len());
    proptest::collection::vec((select(&AGENTS[..]), teams()), 0..4).prop_map(|entries| {
        let entries: Vec<(&str, &[&str])> = entries
            .iter()
            .map(|(agent, teams)| (*agent, teams.as_slice()))
            .collect();
        roster(&entries)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whom_the_register_puts_into_a_team_is_judged_as_if_a_pack_had_with_an_index_or_without(
        rules in rules(),
        roster in rosters(),
    ) {
        let bundle = Arc::new(world::bundle(&rules));
        let written = fixture::bundle(&[&written_out(&rules, &roster)]);
        let seated = Seated::new(&bundle, &roster).unwrap();
        for trial in world::trials() {
            let situation = trial.situation();
            let expected = written.judge(&situation);
            let (indexed, full) = match &seated {
                Some(seated) => (seated.judge(&situation), seated.judge_unindexed(&situation)),
                None => (bundle.judge(&situation), bundle.judge_unindexed(&situation)),
            };
            prop_assert_eq!(&indexed, &full, "{}", trial.name);
            prop_assert_eq!(indexed, expected, "{}", trial.name);
        }
    }

    #[test]
    fn who_is_seated_satisfies_every_scope_that_was_satisfied_before(
        rules in world::rules(0..20),
        roster in rosters(),
    ) {
        let bundle = Arc::new(world::bundle(&rules));
        let Some(seated) = Seated::new(&bundle, &roster).unwrap() else {
            return Ok(());
        };
        for entity in bundle.entities.iter() {
            let Dereference::Data(after) = seated.entities.entity(entity.uid()) else {
                panic!("{} is gone", entity.uid())
            };
            for ancestor in entity.ancestors() {
                prop_assert!(after.is_descendant_of(ancestor), "{} left {ancestor}", entity.uid());
            }
        }
    }
}

fn verdicts(rules: &[&str], roster: &Roster, agent: &str) -> (Verdict, Cause) {
    let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
    let bundle = Arc::new(world::bundle(&rules));
    let trials = world::trials();
    let call = format!("{agent} c/look");
    let trial = trials.iter().find(|trial| trial.name.starts_with(&call)).unwrap();
    let situation = trial.situation();
    let judged = match Seated::new(&bundle, roster).unwrap() {
        Some(seated) => seated.judge(&situation),
        None => bundle.judge(&situation),
    };
    (judged.verdict, judged.cause)
}

#[test]
fn a_newcomer_in_a_team_is_permitted_what_its_team_and_those_above_may() {
    for team in ["desk", "staff"] {
        let rule = format!("@id(\"r\") permit (principal in Team::\"{team}\", action, resource);");
        let seated = verdicts(&[&rule], &roster(&[("ghost", &["desk"])]), "ghost");
        assert_eq!(seated, (Verdict::Permit, Cause::Permitted), "{team}");
        let other = verdicts(&[&rule], &roster(&[("else", &["desk"])]), "ghost");
        assert_eq!(other, (Verdict::Deny, Cause::NoPermit), "{team}");
        let none = verdicts(&[&rule], &roster(&[("ghost", &[])]), "ghost");
        assert_eq!(none, (Verdict::Deny, Cause::NoPermit), "{team}");
    }
}

#[test]
fn a_team_that_no_pack_knows_forbids_whoever_the_register_puts_into_it() {
    let rules = [
        "@id(\"all\") permit (principal, action, resource);",
        "@id(\"out\") forbid (principal in Team::\"contractors\", action, resource);",
    ];
    let roster = roster(&[("ann", &["contractors"]), ("ghost", &["contractors"])]);
    for (agent, expected) in [
        ("ann", (Verdict::Deny, Cause::Forbidden)),
        ("ghost", (Verdict::Deny, Cause::Forbidden)),
        ("ben", (Verdict::Permit, Cause::Permitted)),
    ] {
        assert_eq!(verdicts(&rules, &roster, agent), expected, "{agent}");
    }
}

/// What an index that was asked with the keys of the bundle alone would do.
#[test]
fn an_index_that_looked_past_the_roster_would_give_another_judgement() {
    let rule = "@id(\"r\") permit (principal in Team::\"desk\", action, resource);".to_owned();
    let bundle = Arc::new(world::bundle(&[rule]));
    let mut seated = Seated::new(&bundle, &roster(&[("cy", &["desk"])]))
        .unwrap()
        .unwrap();
    let trials = world::trials();
    let trial = trials.iter().find(|trial| trial.name.starts_with("cy")).unwrap();
    let situation = trial.situation();
    assert_eq!(seated.judge(&situation), seated.judge_unindexed(&situation));
    seated.moved.clear();
    assert_ne!(seated.judge(&situation), seated.judge_unindexed(&situation));
}

#[test]
fn a_team_has_a_name_that_can_be_read() {
    for good in [
        "billing",
        "Accounts Payable",
        "équipe",
        "x".repeat(TEAM_BYTES_MAX).as_str(),
    ] {
        assert_eq!(good.parse::<TeamName>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        " billing",
        "billing ",
        "a\nb",
        "x".repeat(TEAM_BYTES_MAX + 1).as_str(),
    ] {
        let refused = bad.parse::<TeamName>().unwrap_err().to_string();
        assert!(!refused.contains('\n'), "{refused}");
    }
}
