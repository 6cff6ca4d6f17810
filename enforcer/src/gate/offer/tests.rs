//! What a list may show, and that a changed tool is another tool.

use checkrein_shared::decision::{Cause, Record, Verdict};
use checkrein_shared::grant::Limits;

use super::*;
use crate::fixture::{AGENT, Bench, Offer as Published};
use crate::gate::Answer;

#[tokio::test]
async fn a_tool_is_offered_if_it_is_in_the_catalog_and_in_the_scope_of_a_grant_that_is_believed() {
    let bench = Bench::new();
    let offer = bench.gate.offer(&bench.grant()).unwrap();
    assert_eq!(offer.task(), bench.task);
    assert!(offer.definition("bank/look").is_some());
    assert_eq!(offer.definition("bank/nothing"), None);
    assert_eq!(offer.definition("mail/send"), None);
    let another = "spiffe://acme.example/agent/other";
    for grant in [
        String::new(),
        "nonsense".to_owned(),
        bench.grant_with(another, bench.task, Limits::default()),
    ] {
        assert!(bench.gate.offer(&grant).is_none(), "{grant}");
    }
    assert!(
        bench
            .gate_of(another)
            .offer(&bench.grant_of(AGENT, bench.task))
            .is_none()
    );
    assert!(bench.records().is_empty(), "nothing was decided");
}

#[tokio::test]
async fn a_tool_that_is_defined_otherwise_than_the_catalog_accepted_is_denied_until_it_accepts_that() {
    let bench = Bench::new();
    let look = bench.gate.offer(&bench.grant()).unwrap();
    let accepted = look.definition("bank/look").unwrap();
    let old = look.definition("bank/pay").unwrap();
    drop(look);
    let answer = bench
        .gate
        .authorize(bench.look().definition(accepted))
        .await
        .unwrap();
    assert_eq!(answer.verdict(), Verdict::Permit);
    let changed = bench.look().definition(Sha256::of(b"another"));
    let answer = bench.gate.authorize(changed).await.unwrap();
    assert_eq!(
        (answer.verdict(), answer.decided().cause),
        (Verdict::Deny, Cause::UnknownTool)
    );
    let is_recorded = |record: &Record| matches!(record, Record::Decision(decision) if decision.id == answer.decided().id && decision.verdict == Verdict::Deny);
    assert!(bench.records().iter().any(is_recorded));

    bench.install(&Published::redefining_pay(2, &bench.keys.bundle));
    let new = bench
        .gate
        .offer(&bench.grant())
        .unwrap()
        .definition("bank/pay")
        .unwrap();
    assert_ne!(new, old);
    let ask = async |definition| {
        let answer = bench.gate.authorize(bench.pay(50).definition(definition)).await;
        matches!(answer.unwrap(), Answer::Permit(_))
    };
    assert!(!ask(old).await);
    assert!(ask(new).await);
}
