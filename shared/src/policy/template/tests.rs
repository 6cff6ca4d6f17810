//! What `policy init` writes is right, and shows every verdict.

use std::collections::BTreeSet;

use super::*;
use crate::policy::{Pack, check, fixture, run_cases};

#[test]
fn the_template_passes_its_check_without_a_finding_and_its_own_cases() {
    let pack =
        Pack::parse(&template("mine")).unwrap_or_else(|findings| panic!("{}", fixture::rendered(&findings)));
    assert_eq!(fixture::rendered(&check(&[&pack])), "");
    let results = run_cases(&pack, &fixture::bundle(&[&pack]));
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let verdicts: BTreeSet<_> = results
        .iter()
        .map(|result| result.expected.split(' ').next().unwrap())
        .collect();
    assert_eq!(verdicts, BTreeSet::from(["deny", "hold", "permit"]));
}
