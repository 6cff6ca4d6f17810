//! Whatever is passed on is believed and no wider; whatever can't be passed on says why.

use proptest::prelude::*;

use super::*;
use crate::clock::ManualClock;
use crate::grant::tests::{grant, key};

const NOW_MS: u64 = 1_500_000;

fn narrowing() -> impl Strategy<Value = Narrowing> {
    let scope = prop::sample::select(vec![
        r#"{"mail/send": {}}"#,
        r#"{"bank/send_money": {"amount": {"constraint_type": "range", "max": 100}, "recipient": {"constraint_type": "exact", "value": "GB29NWBK60161331926819"}}}"#,
        r#"{"bank/send_money": {}}"#,
        r#"{"files/*": {}}"#,
    ]);
    let scope = prop::option::of(scope.prop_map(|json| Scope::parse_json(json.as_bytes()).unwrap()));
    let numbers = (
        prop::option::of(1..90_u64),
        prop::option::of(60..100_u8),
        prop::option::of(0..4_u8),
        prop::option::of(1..900_000_u64),
    );
    let data = prop::sample::select(vec![&["pii"][..], &[], &["pii", "public"], &["secret"]]);
    let data = prop::option::of(data.prop_map(|labels| DataScope::parse(labels).unwrap()));
    ((scope, data), numbers, any::<bool>()).prop_map(
        |((scope, data), (calls, risk, depth, life_ms), is_held)| Narrowing {
            scope,
            data,
            calls,
            risk,
            depth,
            expires_in: life_ms.map(Duration::from_millis),
            holder: is_held.then(|| key().verifying()),
            ..Narrowing::to("spiffe://acme.example/agent/search".parse().unwrap())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_can_be_passed_on_is_believed_and_narrows(narrowing in narrowing()) {
        let (authority, holder) = (key(), key());
        let mut root = grant();
        root.holder = Some(holder.verifying());
        let own = OwnGrant::read(&root.sign(&authority).unwrap()).unwrap();
        let agent = narrowing.agent.clone();
        match own.pass_on(narrowing, &holder, &ManualClock::at(NOW_MS)) {
            Ok(presented) => {
                let chain = Chain::verify(&presented, &[authority.verifying()]).unwrap();
                prop_assert_eq!(chain.leaf().narrows(&root), Ok(()));
                prop_assert_eq!(&chain.leaf().agent, &agent);
            }
            Err(NotNarrowed::Widened(_)) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn each_dimension_that_would_be_wider_is_named_before_anything_is_signed() {
    let holder = key();
    let mut root = grant();
    root.holder = Some(holder.verifying());
    let own = OwnGrant::read(&root.sign(&key()).unwrap()).unwrap();
    let to = || Narrowing {
        holder: Some(key().verifying()),
        ..Narrowing::to("spiffe://acme.example/agent/search".parse().unwrap())
    };
    let wider = [
        (
            Narrowing {
                scope: Some(Scope::parse(["files/*".into()]).unwrap()),
                ..to()
            },
            Widened::Tools,
        ),
        (
            Narrowing {
                data: Some(DataScope::parse(["secret"]).unwrap()),
                ..to()
            },
            Widened::Data,
        ),
        (
            Narrowing {
                calls: Some(61),
                ..to()
            },
            Widened::Budget,
        ),
        (
            Narrowing {
                risk: Some(1),
                ..to()
            },
            Widened::Risk,
        ),
        (
            Narrowing {
                depth: Some(3),
                ..to()
            },
            Widened::Depth,
        ),
        (
            Narrowing {
                named: Some(vec!["FR76".into()]),
                ..to()
            },
            Widened::Origin,
        ),
        (
            Narrowing {
                expires_in: Some(Duration::from_hours(1)),
                ..to()
            },
            Widened::Expiry,
        ),
        (Narrowing { holder: None, ..to() }, Widened::Holder),
    ];
    for (narrowing, dimension) in wider {
        match own.pass_on(narrowing, &holder, &ManualClock::at(NOW_MS)) {
            Err(NotNarrowed::Widened(found)) => assert_eq!(found, dimension),
            other => panic!("{dimension:?}: {other:?}"),
        }
    }
}

#[test]
fn another_key_an_expired_grant_and_one_without_a_key_pass_nothing_on() {
    let (holder, clock) = (key(), ManualClock::at(NOW_MS));
    let to = || Narrowing::to("spiffe://acme.example/agent/search".parse().unwrap());
    let keyless = OwnGrant::read(&grant().sign(&key()).unwrap()).unwrap();
    assert!(matches!(
        keyless.pass_on(to(), &holder, &clock),
        Err(NotNarrowed::Key)
    ));
    let mut root = grant();
    root.holder = Some(holder.verifying());
    let own = OwnGrant::read(&root.sign(&key()).unwrap()).unwrap();
    assert!(matches!(own.pass_on(to(), &key(), &clock), Err(NotNarrowed::Key)));
    let late = ManualClock::at(2_000_000);
    assert!(matches!(
        own.pass_on(to(), &holder, &late),
        Err(NotNarrowed::Invalid(InvalidGrant::Expired))
    ));
}
