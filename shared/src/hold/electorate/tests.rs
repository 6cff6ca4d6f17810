//! Who may answer, and that nobody is two: the examples by hand, the counting by brute force.

use proptest::prelude::*;

use super::*;
use crate::hold::group::Escalation;

const OPENED: u64 = 1_767_225_600_000;
const MINUTE: u64 = 60_000;

fn id(name: &str) -> SpiffeId {
    format!("spiffe://a.example/approver/{name}").parse().unwrap()
}

/// A world in which `treasury` is asked, and after ten minutes `board`; carol is on call for erin.
struct Scene {
    groups: BTreeMap<String, Group>,
    away: BTreeSet<Person>,
    removed: BTreeSet<SpiffeId>,
    owners: Vec<String>,
    agent: SpiffeId,
    starter: SpiffeId,
    now_ms: u64,
}

impl Scene {
    fn set() -> Self {
        let treasury = Group {
            escalation: Some(Escalation {
                after_ms: 10 * MINUTE,
                to: "board".to_owned(),
            }),
            excludes: [Exclusion::AgentOwner].into(),
            deputies: [(id("bob"), id("dave")), (id("carol"), id("dave"))].into(),
            break_glass: Some("board".to_owned()),
            ..Group::of([id("bob"), id("carol"), id("olga")])
        };
        let board = Group::of([id("frank"), id("grace"), id("bob")]);
        Self {
            groups: [("treasury".to_owned(), treasury), ("board".to_owned(), board)].into(),
            away: BTreeSet::new(),
            removed: BTreeSet::new(),
            owners: Vec::new(),
            agent: "spiffe://a.example/agent/billing".parse().unwrap(),
            starter: "spiffe://a.example/operator/olga".parse().unwrap(),
            now_ms: OPENED,
        }
    }

    fn electorate(&self) -> Electorate<'_> {
        Electorate {
            groups: &self.groups,
            away: &self.away,
            removed: &self.removed,
            askers: Askers {
                agent: &self.agent,
                delegated_by: &[],
                started_by: &self.starter,
                user: "alice",
            },
            owners: &self.owners,
            opened_ms: OPENED,
            now_ms: self.now_ms,
        }
    }

    fn may(&self, name: &str) -> Result<(), Barred> {
        self.electorate().may_answer(&[requirement(1)], &id(name))
    }

    fn count(&self, yes: &[(&str, u64)]) -> usize {
        self.electorate().count("treasury", &said(yes))
    }
}

fn requirement(quorum: u32) -> Requirement {
    Requirement {
        rule: "pay".to_owned(),
        group: "treasury".to_owned(),
        quorum,
        decide_within_ms: 60 * MINUTE,
        use_within_ms: MINUTE,
        reason: String::new(),
    }
}

fn said(yes: &[(&str, u64)]) -> Vec<Yes> {
    yes.iter()
        .map(|(name, minute)| Yes {
            by: id(name),
            at_ms: OPENED + minute * MINUTE,
        })
        .collect()
}

#[test]
fn members_answer_askers_and_strangers_do_not() {
    let scene = Scene::set();
    assert_eq!(scene.may("bob"), Ok(()));
    assert_eq!(scene.may("olga"), Err(Barred::Asker));
    assert_eq!(scene.may("mallory"), Err(Barred::NotAsked));
    assert_eq!(scene.may("dave"), Err(Barred::NotAsked), "nobody is away");
}

#[test]
fn a_deputy_answers_while_the_member_is_away_and_only_then() {
    let mut scene = Scene::set();
    scene.away.insert(Person::of(&id("bob")));
    assert_eq!(scene.may("dave"), Ok(()));
    assert_eq!(scene.may("bob"), Err(Barred::Away));
    assert_eq!(scene.count(&[("dave", 1)]), 1);
    scene.away.clear();
    assert_eq!(
        (scene.may("dave"), scene.count(&[("dave", 1)])),
        (Err(Barred::NotAsked), 0)
    );
}

#[test]
fn a_deputy_and_the_one_they_stand_for_are_one_and_one_deputy_of_two_is_one() {
    let mut scene = Scene::set();
    scene.away.insert(Person::of(&id("bob")));
    assert_eq!(scene.count(&[("bob", 0), ("dave", 1)]), 1);
    scene.away.insert(Person::of(&id("carol")));
    assert_eq!(scene.count(&[("dave", 1)]), 1);
    // Bob said yes before he left; dave now stands in for carol.
    assert_eq!(scene.count(&[("bob", 0), ("dave", 1)]), 2);
    scene.away.insert(Person::of(&id("dave")));
    assert_eq!(scene.may("dave"), Err(Barred::Away));
}

#[test]
fn nobody_stands_in_for_somebody_who_may_not_answer() {
    let mut scene = Scene::set();
    scene.away.insert(Person::of(&id("bob")));
    scene.owners = vec!["Bob".to_owned()];
    assert_eq!(scene.may("dave"), Err(Barred::NotAsked));
    scene.owners.clear();
    scene.removed.insert(id("bob"));
    assert_eq!(scene.may("dave"), Err(Barred::NotAsked));
    assert_eq!(scene.count(&[("bob", 0), ("dave", 1)]), 0);
}

#[test]
fn whoever_answers_for_the_agent_does_not_answer_for_its_actions_in_any_group() {
    let mut scene = Scene::set();
    scene.now_ms = OPENED + 20 * MINUTE;
    scene.owners = vec!["bob@acme.example".to_owned()];
    assert_eq!(
        (scene.may("bob"), scene.may("carol")),
        (Err(Barred::Owner), Ok(()))
    );
    // A team that is a group: all of it, also where it is asked as well.
    scene.owners = vec!["board".to_owned()];
    assert_eq!(
        (scene.may("frank"), scene.may("grace")),
        (Err(Barred::Owner), Err(Barred::Owner))
    );
    assert!(
        !scene
            .electorate()
            .is_broken("treasury", &said(&[("frank", 0), ("grace", 0)]))
    );
}

#[test]
fn the_next_group_answers_from_its_moment_on_and_a_yes_from_before_does_not_count() {
    let mut scene = Scene::set();
    assert_eq!(scene.may("frank"), Err(Barred::NotAsked));
    scene.now_ms = OPENED + 10 * MINUTE;
    assert_eq!(scene.may("frank"), Ok(()));
    assert_eq!(
        scene.electorate().escalated("treasury"),
        [("board".to_owned(), OPENED + 10 * MINUTE, Why::Unanswered)]
    );
    assert_eq!(scene.count(&[("frank", 9)]), 0);
    assert_eq!(scene.count(&[("frank", 10), ("carol", 0), ("bob", 11)]), 3);
    // Bob has a seat in both groups, and is one.
    assert_eq!(scene.count(&[("bob", 11)]), 1);
}

#[test]
fn the_glass_takes_two_of_its_group_and_covers_nothing_else() {
    let scene = Scene::set();
    let broken = |names: &[(&str, u64)]| scene.electorate().is_broken("treasury", &said(names));
    assert!(broken(&[("frank", 0), ("grace", 0)]));
    assert!(!broken(&[("frank", 0)]) && !broken(&[("frank", 0), ("carol", 0), ("olga", 0)]));
    assert!(
        !scene
            .electorate()
            .is_broken("board", &said(&[("frank", 0), ("grace", 0)])),
        "it names no group"
    );
    let wanted = [requirement(3)];
    let unmet = |broken: &[Yes]| scene.electorate().unmet(&wanted, &[], broken).len();
    assert_eq!((unmet(&[]), unmet(&said(&[("frank", 0), ("grace", 0)]))), (1, 0));
}

/// How many people can be seated, by trying everything.
fn by_brute_force(people: &[Vec<usize>], taken: u32) -> usize {
    let Some((first, rest)) = people.split_first() else {
        return 0;
    };
    let seated = first
        .iter()
        .filter(|seat| taken & (1 << **seat) == 0)
        .map(|seat| 1 + by_brute_force(rest, taken | (1 << seat)));
    seated.max().unwrap_or(0).max(by_brute_force(rest, taken))
}

proptest! {
    #[test]
    fn seats_are_taken_as_well_as_can_be(people in prop::collection::vec(prop::collection::vec(0..6_usize, 0..4), 0..7)) {
        let person = |kind: &str, at: usize| Person::of(&id(&format!("{kind}{at}")));
        let seats: BTreeMap<_, BTreeSet<_>> = people
            .iter()
            .enumerate()
            .map(|(at, wanted)| (person("p", at), wanted.iter().map(|seat| person("s", *seat)).collect()))
            .collect();
        prop_assert_eq!(matched(&seats), by_brute_force(&people, 0));
    }

    #[test]
    fn more_yes_never_counts_less_and_never_more_than_people_or_seats(
        away in prop::collection::btree_set(0..7_usize, 0..7), yes in prop::collection::vec((0..7_usize, 0..20_u64), 0..9),
    ) {
        const NAMES: [&str; 7] = ["bob", "carol", "olga", "dave", "frank", "grace", "mallory"];
        let mut scene = Scene::set();
        scene.away = away.iter().map(|at| Person::of(&id(NAMES[*at]))).collect();
        let yes: Vec<_> = yes.iter().map(|(at, minute)| (NAMES[*at], *minute)).collect();
        let people: BTreeSet<_> = yes.iter().map(|(name, _)| *name).collect();
        let whole = scene.count(&yes);
        prop_assert!(whole <= people.len() && whole <= 4, "bob, carol, frank and grace have seats, olga asked");
        for upto in 0..yes.len() {
            prop_assert!(scene.count(&yes[..upto]) <= whole);
        }
    }
}
