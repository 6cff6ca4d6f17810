//! What `policy init` writes is right, and shows every verdict.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::policy::{Pack, check, fixture, run_cases};

#[test]
fn whoever_the_template_speaks_of_is_of_the_trust_domain_that_was_asked_for() {
    for (path, text) in template("mine", "other.example").files {
        let text = String::from_utf8(text).unwrap();
        let ids = text.split("spiffe://").skip(1);
        let others: Vec<_> = ids.filter(|id| !id.starts_with("other.example/")).collect();
        assert!(others.is_empty(), "{path}: {others:?}");
    }
}

#[test]
fn the_template_passes_its_check_without_a_finding_and_its_own_cases() {
    let pack = Pack::parse(&template("mine", "other.example"))
        .unwrap_or_else(|findings| panic!("{}", fixture::rendered(&findings)));
    assert_eq!(fixture::rendered(&check(&[&pack])), "");
    let results = run_cases(&pack, &Arc::new(fixture::bundle(&[&pack])));
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let verdicts: BTreeSet<_> = results
        .iter()
        .map(|result| result.expected.split(' ').next().unwrap())
        .collect();
    assert_eq!(verdicts, BTreeSet::from(["deny", "hold", "permit"]));
}
