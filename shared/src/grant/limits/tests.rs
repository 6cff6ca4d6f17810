//! Narrower is never more: reflexive, transitive, and what the wider denies the narrower never permits.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::action::Arguments;
use crate::clock::ManualClock;
use crate::grant::Scope;
use crate::id::{GrantId, TaskId};
use crate::key::SigningKey;
use crate::ledger::Meter;

type Widening = fn(&mut Grant);

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

fn grant() -> Grant {
    let clock = ManualClock::at(1_000_000);
    Grant {
        id: GrantId::new(&clock),
        task: TaskId::new(&clock),
        epoch: 0,
        agent: "spiffe://acme.example/agent/billing".parse().unwrap(),
        user: "alice".into(),
        scope: Scope::parse_json(
            br#"{"mail/*": {}, "bank/pay": {"amount": {"constraint_type": "range", "max": 500}}}"#,
        )
        .unwrap(),
        limits: Limits {
            calls: Some(60),
            risk: 50,
            depth: 2,
            spend: Amounts::default().with(Meter::Money, 5_000_000),
        },
        data: Some(DataScope::parse(["pii", "public"]).unwrap()),
        named: vec!["GB29".into(), "US13".into()],
        intent: "pay the rent".into(),
        environment: "production".into(),
        issued_ms: 1_000_000,
        expires_ms: 2_000_000,
        holder: Some(key().verifying()),
        link: None,
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    let calls = || prop::option::of(1..4_u64);
    let limits = |(calls, money, tokens, risk, depth): (_, Option<u64>, Option<u64>, _, _)| {
        let mut spend = Amounts::default();
        for (meter, amount) in [(Meter::Money, money), (Meter::Tokens, tokens)] {
            if let Some(amount) = amount {
                spend.set(meter, amount);
            }
        }
        Limits {
            calls,
            risk,
            depth,
            spend,
        }
    };
    (calls(), calls(), calls(), 0..4_u8, 0..4_u8).prop_map(limits)
}

/// Scopes that are near enough to each other to be inside one another often.
fn scope() -> impl Strategy<Value = Scope> {
    let constraint = prop_oneof![
        Just(r#"{"constraint_type":"wildcard"}"#.to_owned()),
        (0..4_u8).prop_map(|max| format!(r#"{{"constraint_type":"range","max":{max}}}"#)),
        (0..4_u8).prop_map(|value| format!(r#"{{"constraint_type":"exact","value":{value}}}"#)),
        Just(r#"{"constraint_type":"one_of","values":[0,1]}"#.to_owned()),
    ];
    let allowed = (constraint, any::<bool>()).prop_map(|(constraint, is_optional)| {
        let optional = if is_optional { r#"{"optional":true,"# } else { "{" };
        constraint.replacen('{', optional, 1)
    });
    let arguments = prop::collection::btree_map(prop::sample::select(vec!["a", "b", "*"]), allowed, 0..3);
    let arguments = arguments.prop_map(|arguments| object(&arguments));
    let tools = prop::sample::select(vec!["bank/pay", "bank/*", "mail/send"]);
    prop::collection::btree_map(tools, arguments, 0..3)
        .prop_map(|tools| Scope::parse_json(object(&tools).as_bytes()).unwrap())
}

fn object(members: &BTreeMap<&str, String>) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, json)| format!("{name:?}:{json}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Every call there is between those scopes: two arguments, absent or one of five values, and one that nobody names.
fn calls() -> Vec<(&'static str, Arguments)> {
    let values = ["", "0", "1", "3", "9", "\"x\""];
    let mut calls = Vec::new();
    for tool in ["bank/pay", "bank/look", "mail/send", "mail/read"] {
        for a in values {
            for b in values {
                for c in ["", "1"] {
                    let members = [("a", a), ("b", b), ("c", c)]
                        .into_iter()
                        .filter(|(_, value)| !value.is_empty());
                    let json = object(&members.map(|(name, value)| (name, value.to_owned())).collect());
                    calls.push((tool, Arguments::parse(json.as_bytes()).unwrap()));
                }
            }
        }
    }
    calls
}

/// What somebody with these limits can do: make so many calls, use up so much of either meter, under rules that want such a risk,
/// and pass on so often.
fn can(limits: &Limits, (calls, used, risk, depth): (u64, (u64, u64), u8, u8)) -> bool {
    let may = |meter, used| limits.spend.get(meter).is_none_or(|max| used <= max);
    limits.calls.is_none_or(|max| calls <= max)
        && may(Meter::Money, used.0)
        && may(Meter::Tokens, used.1)
        && limits.risk <= risk
        && depth <= limits.depth
}

proptest! {
    #[test]
    fn limits_narrow_themselves_and_what_their_parents_narrow(a in limits(), b in limits(), c in limits()) {
        prop_assert_eq!(a.narrows(&a), Ok(()));
        if a.narrows(&b).is_ok() && b.narrows(&c).is_ok() {
            prop_assert_eq!(a.narrows(&c), Ok(()));
        }
    }

    #[test]
    fn narrower_limits_allow_nothing_that_the_wider_do_not(
        a in limits(), b in limits(), what in (0..5_u64, (0..5_u64, 0..5_u64), 0..5_u8, 0..5_u8),
    ) {
        if a.narrows(&b).is_ok() {
            prop_assert!(!can(&a, what) || can(&b, what));
        } else {
            let all = (0..5_u64).flat_map(|calls| (0..5).flat_map(move |risk| (0..5).map(move |depth| (calls, risk, depth))));
            let used = [(0, 0), (0, 4), (4, 0), (0, 1), (1, 0), (0, 2), (2, 0), (0, 3), (3, 0)];
            let mut all = all.flat_map(|(calls, risk, depth)| used.map(|used| (calls, used, risk, depth)));
            prop_assert!(all.any(|what| can(&a, what) && !can(&b, what)), "it was narrower");
        }
    }

    #[test]
    fn scopes_narrow_themselves_and_what_their_parents_narrow(a in scope(), b in scope(), c in scope()) {
        prop_assert_eq!(a.narrows(&a), Ok(()));
        if a.narrows(&b).is_ok() && b.narrows(&c).is_ok() {
            prop_assert_eq!(a.narrows(&c), Ok(()));
        }
    }

    #[test]
    fn a_narrower_scope_admits_no_call_that_the_wider_does_not(a in scope(), b in scope()) {
        if a.narrows(&b).is_ok() {
            for (tool, arguments) in calls() {
                prop_assert!(
                    a.admits(tool, &arguments).is_err() || b.admits(tool, &arguments).is_ok(),
                    "{tool} {}", arguments.canonical()
                );
            }
        }
    }
}

#[test]
fn each_dimension_that_is_wider_is_named() {
    let parent = grant();
    assert_eq!(parent.narrows(&parent), Ok(()));
    let scope = |json: &str| Scope::parse_json(json.as_bytes()).unwrap();
    let widenings: [(Widening, Widened); 15] = [
        (|child| child.holder = None, Widened::Holder),
        (|child| child.epoch += 1, Widened::Origin),
        (
            |child| child.task = TaskId::new(&ManualClock::at(1_000_000)),
            Widened::Origin,
        ),
        (|child| child.intent = "buy a car".into(), Widened::Origin),
        (|child| child.data = None, Widened::Data),
        (
            |child| child.data = Some(DataScope::parse(["pii", "secret"]).unwrap()),
            Widened::Data,
        ),
        (|child| child.limits.calls = Some(61), Widened::Budget),
        (|child| child.limits.calls = None, Widened::Budget),
        (|child| child.limits.risk = 49, Widened::Risk),
        (|child| child.limits.depth = 3, Widened::Depth),
        (|child| child.expires_ms += 1, Widened::Expiry),
        (|child| child.issued_ms -= 1, Widened::Expiry),
        (|child| child.named.push("FR76".into()), Widened::Origin),
        (|child| child.user = "bob".into(), Widened::Origin),
        (|child| child.environment = "staging".into(), Widened::Origin),
    ];
    for (widen, dimension) in widenings {
        let mut child = parent.clone();
        widen(&mut child);
        assert_eq!(child.narrows(&parent), Err(dimension));
    }
    let scopes = [
        (r#"{"files/read": {}}"#, Err(Widened::Tools)),
        (r#"{"bank/*": {}}"#, Err(Widened::Tools)),
        (r#"{"bank/pay": {}}"#, Err(Widened::Arguments)),
        (
            r#"{"bank/pay": {"amount": {"constraint_type": "range", "max": 501}}}"#,
            Err(Widened::Arguments),
        ),
        (
            r#"{"bank/pay": {"amount": {"constraint_type": "range", "max": 500, "optional": true}}}"#,
            Err(Widened::Arguments),
        ),
        (
            r#"{"bank/pay": {"amount": {"constraint_type": "range", "max": 500}, "memo": {"constraint_type": "wildcard"}}}"#,
            Err(Widened::Arguments),
        ),
        (
            r#"{"mail/send": {"to": {"constraint_type": "exact", "value": "x"}}}"#,
            Ok(()),
        ),
        (
            r#"{"bank/pay": {"amount": {"constraint_type": "exact", "value": 7}}}"#,
            Ok(()),
        ),
        ("{}", Ok(())),
    ];
    for (json, expected) in scopes {
        let child = Grant {
            scope: scope(json),
            ..parent.clone()
        };
        assert_eq!(child.narrows(&parent), expected, "{json}");
    }
}

#[test]
fn a_whole_catalog_is_no_narrower_than_what_is_said_of_one_of_its_tools() {
    let scope = |json: &str| Scope::parse_json(json.as_bytes()).unwrap();
    let parent = scope(r#"{"bank/*": {}, "bank/pay": {"amount": {"constraint_type": "range", "max": 500}}}"#);
    assert_eq!(
        scope(r#"{"bank/*": {}}"#).narrows(&parent),
        Err(Widened::Arguments)
    );
    assert_eq!(scope(r#"{"bank/look": {}}"#).narrows(&parent), Ok(()));
    assert_eq!(parent.narrows(&parent), Ok(()));
}

#[test]
fn a_risk_is_a_word_or_a_number_on_the_scale() {
    for (text, risk) in [("low", 25), ("critical", 100), ("0", 0), ("42", 42), ("100", 100)] {
        assert_eq!(parse_risk(text), Ok(risk));
    }
    for text in ["", "101", "-1", "High", "1.5", "300"] {
        assert_eq!(parse_risk(text), Err(InvalidLimits::Risk), "{text}");
    }
}
