//! A budget is understood whole or refused.

use super::*;
use crate::policy::{Pack, fixture};

fn settings(budget: &str) -> String {
    format!("namespace = \"org\"\n[[budget]]\n{budget}\n")
}

const DAILY: &str = r#"name = "daily-pay"
per = "user"
meter = "money"
limit = "1000.5"
window = "24h"
tools = ["bank/*", "shop/buy"]"#;

fn read_pack(budget: &str) -> Result<Pack, Vec<Finding>> {
    let source = crate::policy::PackSource {
        name: "pack".to_owned(),
        files: [("checkrein.toml".to_owned(), settings(budget).into_bytes())].into(),
    };
    Pack::parse(&source)
}

#[test]
fn a_budget_counts_its_tools_in_windows_that_begin_at_whole_multiples() {
    let pack = read_pack(DAILY).unwrap();
    let [budget] = pack.budgets() else { panic!("one") };
    assert_eq!(
        (budget.per, budget.meter, budget.limit),
        (Per::User, Meter::Money, 10_005_000)
    );
    for (tool, counts) in [
        ("bank/pay", true),
        ("shop/buy", true),
        ("shop/look", false),
        ("bankrupt/pay", false),
    ] {
        assert_eq!(budget.counts(tool), counts, "{tool}");
    }
    let day = 86_400_000;
    assert_eq!(budget.window_start(20 * day + 5), 20 * day);
    assert_eq!(budget.window_start(20 * day), 20 * day);
    assert_eq!(budget.window_start(20 * day - 1), 19 * day);
}

#[test]
fn a_budget_that_means_nothing_is_refused() {
    for (from, to) in [
        ("user", "planet"),
        ("money", "gold"),
        ("1000.5", "-5"),
        ("1000.5", "1.00001"),
        ("24h", "1y"),
        ("bank/*", "bank"),
        ("daily-pay", "daily pay"),
        ("window", "windows"),
    ] {
        let findings = read_pack(&DAILY.replacen(from, to, 1)).unwrap_err();
        assert!(!fixture::rendered(&findings).is_empty(), "{to}");
    }
    let twice = format!("{DAILY}\n[[budget]]\n{DAILY}");
    assert!(read_pack(&twice).is_err());
}
