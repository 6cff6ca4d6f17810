//! Narrowing is a proof, and what was written is read back.

use proptest::prelude::*;

use super::super::*;
use super::{constraint, json};

/// Constraints without others inside, close enough to each other that some narrow some.
const LEAVES: [&str; 40] = [
    r#"{"constraint_type":"wildcard"}"#,
    r#"{"constraint_type":"exact","value":1}"#,
    r#"{"constraint_type":"exact","value":"/a/b"}"#,
    r#"{"constraint_type":"exact","value":[1,2.0]}"#,
    r#"{"constraint_type":"one_of","values":[1,2,"/a"]}"#,
    r#"{"constraint_type":"one_of","values":["bob@a.example","ls"]}"#,
    r#"{"constraint_type":"not_one_of","excluded":[1,5]}"#,
    r#"{"constraint_type":"not_one_of","excluded":[5,"/a"]}"#,
    r#"{"constraint_type":"not_one_of","excluded":[[1]]}"#,
    r#"{"constraint_type":"range","min":1,"max":5}"#,
    r#"{"constraint_type":"range","min":1,"max":5,"max_inclusive":false}"#,
    r#"{"constraint_type":"range","min":"1.0000000000000000000001"}"#,
    r#"{"constraint_type":"range","max":2}"#,
    r#"{"constraint_type":"contains","required":[1]}"#,
    r#"{"constraint_type":"contains","required":[1,2]}"#,
    r#"{"constraint_type":"subset","allowed":[1,2]}"#,
    r#"{"constraint_type":"subset","allowed":[2]}"#,
    r#"{"constraint_type":"pattern","glob":"/a*"}"#,
    r#"{"constraint_type":"pattern","glob":"/a/b*"}"#,
    r#"{"constraint_type":"pattern","glob":"*.example"}"#,
    r#"{"constraint_type":"pattern","glob":"/a*.example"}"#,
    r#"{"constraint_type":"pattern","glob":"*"}"#,
    r#"{"constraint_type":"pattern","regex":"/a/?b?"}"#,
    r#"{"constraint_type":"path","root":"/a"}"#,
    r#"{"constraint_type":"path","root":"/a/b"}"#,
    r#"{"constraint_type":"path","root":"/"}"#,
    r#"{"constraint_type":"url","schemes":["https"],"hosts":["*.example"]}"#,
    r#"{"constraint_type":"url","schemes":["https","http"],"hosts":["*.example","10.0.0.1"]}"#,
    r#"{"constraint_type":"url","schemes":["https"],"hosts":["*.a.example","a.example"],"ports":[443,80],"paths":["/a/"]}"#,
    r#"{"constraint_type":"url","schemes":["http"],"hosts":["10.0.0.1"],"ports":[80],"paths":["/a/","/b"]}"#,
    r#"{"constraint_type":"shell","programs":["ls"]}"#,
    r#"{"constraint_type":"shell","programs":["ls","wc"],"arguments":{"constraint_type":"path","root":"/a"}}"#,
    r#"{"constraint_type":"shell","programs":["ls"],"arguments":{"constraint_type":"wildcard"}}"#,
    r#"{"constraint_type":"cidr","ranges":["10.0.0.0/8"]}"#,
    r#"{"constraint_type":"cidr","ranges":["10.0.0.0/24","::/0"]}"#,
    r#"{"constraint_type":"email_domain","domains":["a.example"]}"#,
    r#"{"constraint_type":"email_domain","domains":["a.example","b.example"]}"#,
    r#"{"constraint_type":"sql","dialect":"postgres","statements":["select"],"tables":["t"]}"#,
    r#"{"constraint_type":"sql","dialect":"postgres","statements":["select","delete"]}"#,
    r#"{"constraint_type":"sql","dialect":"sqlite","statements":["select"],"tables":["T"],"functions":["f"]}"#,
];
/// Values near the edges of those.
const VALUES: [&str; 44] = [
    "null",
    "true",
    "1",
    "1.0",
    "2",
    "2.0000000000000000000001",
    "4.999",
    "5",
    "50e-1",
    "1.0000000000000000000001",
    "-1",
    "1e99999999999999999999",
    "[]",
    "[1]",
    "[1.0,2]",
    "[2]",
    "[2,1,3]",
    "[[1]]",
    "{}",
    "\"\"",
    "\"/a\"",
    "\"/a/\"",
    "\"/a/b\"",
    "\"/a/b/c\"",
    "\"/ab\"",
    "\"/b\"",
    "\"/a/../b\"",
    "\"https://a.example/a/x\"",
    "\"https://x.a.example:80/a/\"",
    "\"http://10.0.0.1/b\"",
    "\"https://x.example\"",
    "\"http://x.example:443/\"",
    "\"ls\"",
    "\"ls /a\"",
    "\"wc /a/b\"",
    "\"ls /b\"",
    "\"10.0.0.1\"",
    "\"10.1.0.0/16\"",
    "\"bob@a.example\"",
    "[\"bob@a.example\",\"c@b.example\"]",
    "\"SELECT * FROM t\"",
    "\"DELETE FROM t\"",
    "\"SELECT f(1) FROM T\"",
    "\"/a.example\"",
];

fn constraints() -> impl Strategy<Value = Constraint> {
    let leaf = prop::sample::select(&LEAVES[..]).prop_map(constraint);
    leaf.prop_recursive(3, 12, 3, |inner| {
        let several = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            several.clone().prop_map(Constraint::All),
            several.prop_map(Constraint::Any),
            inner.prop_map(|inner| Constraint::Each(Box::new(inner))),
        ]
    })
}

#[test]
fn of_any_two_that_narrow_the_parent_admits_what_the_child_admits() {
    let all = LEAVES.map(constraint);
    let values = VALUES.map(json);
    let mut narrower = 0;
    for (child, parent) in all
        .iter()
        .flat_map(|child| all.iter().map(move |parent| (child, parent)))
    {
        if child.narrows(parent) {
            narrower += 1;
            for value in &values {
                assert!(
                    child.admits(value).is_err() || parent.admits(value).is_ok(),
                    "{child:?} narrows {parent:?}, but not on {value:?}"
                );
            }
        }
    }
    // Each narrows itself and the wildcard; if that were all, this test would show nothing.
    assert!(narrower > 2 * LEAVES.len() + 20, "{narrower}");
}

#[test]
fn a_looser_constraint_never_narrows_a_tighter_one() {
    for (child, parent) in [
        (0, 1),
        (4, 1),
        (9, 10),
        (12, 9),
        (13, 14),
        (15, 16),
        (17, 18),
        (21, 19),
        (23, 24),
        (25, 23),
    ]
    .into_iter()
    .chain([
        (27, 26),
        (26, 28),
        (32, 31),
        (31, 30),
        (33, 34),
        (36, 35),
        (38, 37),
        (37, 39),
        (7, 6),
        (2, 9),
    ]) {
        let [child, parent] = [child, parent].map(|at: usize| constraint(LEAVES[at]));
        assert!(!child.narrows(&parent), "{child:?} narrows {parent:?}");
    }
}

proptest! {
    #[test]
    fn whatever_a_child_admits_its_parent_admits(child in constraints(), parent in constraints(), extra in constraints()) {
        // Pairs that narrow by how they are made, beside those that do by chance.
        let tighter = Constraint::All(vec![parent.clone(), extra.clone()]);
        let looser = Constraint::Any(vec![extra, parent.clone()]);
        prop_assert!(parent.narrows(&looser));
        for (child, parent) in [(&child, &parent), (&tighter, &parent), (&parent, &looser), (&child, &looser), (&tighter, &looser)] {
            if child.narrows(parent) {
                for value in VALUES.map(json) {
                    prop_assert!(child.admits(&value).is_err() || parent.admits(&value).is_ok(), "on {value:?}");
                }
            }
        }
    }

    #[test]
    fn every_constraint_narrows_itself_and_the_wildcard(constraint in constraints()) {
        prop_assert!(constraint.narrows(&constraint));
        prop_assert!(constraint.narrows(&Constraint::Wildcard));
    }

    #[test]
    fn what_was_written_is_read_back(constraint in constraints()) {
        let written = constraint.to_json().to_string();
        prop_assert_eq!(Constraint::parse(&json(&written)), Ok(constraint));
    }

    #[test]
    fn numbers_are_ordered_as_their_digits_say(left in -9_999_i64..9_999, right in -9_999_i64..9_999, places in 0_usize..30) {
        let number = |value: i64| json(&format!("{value}e-{places}"));
        let range = |bound: i64| constraint(&format!(r#"{{"constraint_type":"range","min":"{bound}e-{places}"}}"#));
        prop_assert_eq!(range(right).admits(&number(left)).is_ok(), left >= right);
        prop_assert_eq!(range(left).narrows(&range(right)), left >= right);
    }
}
