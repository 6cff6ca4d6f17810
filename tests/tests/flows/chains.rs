//! Chains of harmless calls: all that do harm together are stopped, and none of their twins is touched.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use checkrein_shared::policy::{check, compose, run_cases};
use checkrein_tests::open_pack;
use checkrein_tests::replay::chains::{Domain, Troupe, parts, toll};

const DOMAINS: [&str; 5] = ["support", "finance", "delivery", "people", "research"];
/// The one harm whose last call waits in a task of its own, too: nobody knows the account then.
const NOT_HARMLESS_ALONE: [&str; 1] = ["finance/large-invoice-through-a-second-agent"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn domains() -> Vec<Domain> {
    let read = |name: &str| std::fs::read(deploy().join("chains").join(name).with_extension("json")).unwrap();
    DOMAINS
        .iter()
        .map(|name| Domain::parse(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_harm_is_stopped_at_the_call_that_would_do_it_and_no_twin_is_touched() {
    let (source, pack) = open_pack(&deploy().join("packs/chains")).unwrap();
    let parts = parts(&domains());
    let troupe = Troupe::set(&source, &pack).await.unwrap();
    let ends = troupe.play(&parts, || ()).await.unwrap();
    troupe.strike().await;
    let tolls = toll(&parts, &ends);
    assert!(tolls.is_clean(), "{tolls}");
    assert_eq!(tolls.harms_stopped_early, [""; 0], "{tolls}");
    assert_eq!(tolls.not_harmless_alone, NOT_HARMLESS_ALONE, "{tolls}");
    assert!(tolls.all.held > 10 && tolls.all.denied > 10, "{tolls}");
    assert!(tolls.passed_on.harms * 3 >= tolls.all.harms, "{tolls}");
    let rules = std::str::from_utf8(&source.files["rules.cedar"]).unwrap();
    let forbids = rules.matches("\nforbid (").count();
    assert_eq!(tolls.stopped_by.len(), forbids, "a rule stops no chain: {tolls}");
}

#[test]
fn the_pack_passes_its_check_without_a_finding_and_its_own_cases() {
    let (_, pack) = open_pack(&deploy().join("packs/chains")).unwrap();
    let findings = check(&[&pack]);
    assert!(findings.is_empty(), "{findings:?}");
    let bundle = Arc::new(compose(&[&pack]).unwrap().open().unwrap());
    let results = run_cases(&pack, &bundle);
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    assert!(failed.is_empty() && results.len() > 30, "{failed:#?}");
}

#[test]
fn the_chains_use_every_tool_of_their_catalogs_and_are_of_five_domains() {
    let (_, pack) = open_pack(&deploy().join("packs/chains")).unwrap();
    let known: BTreeSet<&str> = pack.tools().map(|tool| tool.id.as_str()).collect();
    let domains = domains();
    for domain in &domains {
        assert!((8..=10).contains(&domain.pairs.len()), "{}", domain.domain);
    }
    let steps = domains
        .iter()
        .flat_map(|domain| &domain.pairs)
        .flat_map(|pair| pair.harm.steps.iter().chain(&pair.twin.steps));
    let used: BTreeSet<&str> = steps.map(|step| step.call.tool.as_str()).collect();
    assert_eq!(used.symmetric_difference(&known).collect::<Vec<_>>(), [&""; 0]);
}
