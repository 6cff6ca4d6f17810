//! A tier is the highest that anything about the tool demands, and says what that is.

use std::collections::BTreeSet;

use super::*;
use crate::action::Sha256;
use crate::policy::RecordType;

fn tool(effects: &[Effect], reversibility: Reversibility) -> Tool {
    Tool {
        id: "c/move".to_owned(),
        effects: effects.iter().copied().collect(),
        reversibility,
        resource: None,
        secret: Vec::new(),
        yields: BTreeSet::new(),
        trust: None,
        cost: crate::policy::catalog::Cost::new(),
        fails_without_effect: false,
        unstoppable: None,
        definition: Sha256::default(),
        arguments: RecordType::default(),
    }
}

#[test]
fn a_tier_is_the_highest_that_anything_about_the_tool_demands() {
    use Reversibility::{ExternallyReversible, Irreversible, ReadOnly, Reversible};
    assert_eq!(tool(&[], ReadOnly).tier(), Tier::Static);
    assert_eq!(tool(&[], Reversible).tier(), Tier::Light);
    assert_eq!(tool(&[Effect::Read], ReadOnly).tier(), Tier::Light);
    assert_eq!(
        tool(&[Effect::Read, Effect::Write], Reversible).tier(),
        Tier::Light
    );
    for effect in Effect::ALL {
        let local = matches!(effect, Effect::Read | Effect::Write);
        assert_eq!(
            tool(&[effect], Reversible).tier() == Tier::Full,
            !local,
            "{effect}"
        );
        assert_eq!(tool(&[effect], ExternallyReversible).tier(), Tier::Full);
        assert_eq!(tool(&[effect], Irreversible).tier(), Tier::Full);
    }
    assert_eq!(tool(&[], Irreversible).tier(), Tier::Full);
}

#[test]
fn the_first_reason_is_one_that_makes_the_tier_what_it_is() {
    for effects in [
        &[][..],
        &[Effect::Read],
        &[Effect::Read, Effect::Send],
        &Effect::ALL,
    ] {
        for reversibility in Reversibility::ALL {
            let tool = tool(effects, reversibility);
            let reasons = tool.tier_because();
            assert_eq!(reasons[0].tier, tool.tier(), "{effects:?} {reversibility}");
            assert_eq!(reasons.len(), effects.len() + 1);
        }
    }
    let reasons = tool(&[Effect::Read, Effect::Send], Reversibility::ReadOnly).tier_because();
    let whys: Vec<_> = reasons.iter().map(|reason| reason.why.as_str()).collect();
    assert_eq!(
        whys,
        ["its effect `send`", "its effect `read`", "it is `read_only`"]
    );
    assert_eq!(TierReason::uncatalogued().tier, Tier::Full);
}
