//! A data scope covers what it names, and a narrower one never more.

use proptest::prelude::*;

use super::*;

const LABELS: [&str; 4] = ["pii", "public", "secret", "untrusted_content"];

fn scope(labels: &[&str]) -> DataScope {
    DataScope::parse(labels).unwrap()
}

fn labels(words: &[&str]) -> BTreeSet<Label> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

fn data() -> impl Strategy<Value = Option<DataScope>> {
    let labels = prop::sample::subsequence(&LABELS[..], 0..=LABELS.len());
    prop::option::of(labels.prop_map(|labels| scope(&labels)))
}

/// Everything that a tool could yield, of those labels and one that nobody names.
fn yields() -> Vec<BTreeSet<Label>> {
    let all: Vec<&str> = LABELS.into_iter().chain(["unheard_of"]).collect();
    let of_bits = |bits: u32| {
        let has = |at: &usize| bits & (1 << at) != 0;
        labels(&(0..all.len()).filter(has).map(|at| all[at]).collect::<Vec<_>>())
    };
    (0..1 << all.len()).map(of_bits).collect()
}

fn admits(data: Option<&DataScope>, yields: &BTreeSet<Label>) -> bool {
    data.is_none_or(|data| data.admits("c/t", yields).is_ok())
}

proptest! {
    #[test]
    fn data_scopes_narrow_themselves_and_what_their_parents_narrow(a in data(), b in data(), c in data()) {
        let narrows = |own: &Option<DataScope>, parent: &Option<DataScope>| {
            DataScope::narrows(own.as_ref(), parent.as_ref())
        };
        prop_assert_eq!(narrows(&a, &a), Ok(()));
        if narrows(&a, &b).is_ok() && narrows(&b, &c).is_ok() {
            prop_assert_eq!(narrows(&a, &c), Ok(()));
        }
    }

    #[test]
    fn a_data_scope_is_narrower_exactly_if_it_admits_nothing_that_the_wider_does_not(a in data(), b in data()) {
        let (a, b) = (a.as_ref(), b.as_ref());
        let is_wider = yields().iter().any(|yields| admits(a, yields) && !admits(b, yields));
        prop_assert_eq!(DataScope::narrows(a, b), if is_wider { Err(Widened::Data) } else { Ok(()) });
    }

    #[test]
    fn one_more_label_that_a_tool_yields_never_brings_it_in(data in data(), more in prop::sample::select(&LABELS[..])) {
        for yields in yields() {
            let mut with_more = yields.clone();
            with_more.extend(labels(&[more]));
            prop_assert!(!admits(data.as_ref(), &with_more) || admits(data.as_ref(), &yields));
        }
    }
}

#[test]
fn a_tool_that_yields_a_label_outside_is_refused_with_the_label_and_the_tool() {
    let refused = scope(&["public"]).admits("crm/export", &labels(&["pii", "public"]));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "`crm/export` yields `pii`, which is outside the data scope of this task"
    );
    assert_eq!(scope(&["pii", "public"]).admits("c/t", &labels(&["pii"])), Ok(()));
    assert_eq!(scope(&[]).admits("c/t", &labels(&[])), Ok(()));
    assert!(scope(&[]).admits("c/t", &labels(&["public"])).is_err());
}

#[test]
fn a_label_twice_no_word_and_too_many_are_no_data_scope() {
    assert_eq!(
        scope(&["public", "pii"]).labels().collect::<Vec<_>>(),
        ["pii", "public"]
    );
    let wrong = |labels: &[&str]| DataScope::parse(labels).unwrap_err().to_string();
    assert!(wrong(&["pii", "pii"]).contains("`pii` is named twice"));
    assert!(wrong(&["PII"]).contains("`PII` is not a label"));
    assert!(wrong(&[""]).contains("not a label"));
    let many: Vec<String> = (0..=DATA_LABELS_MAX).map(|at| format!("l{at}")).collect();
    assert_eq!(DataScope::parse(&many), Err(InvalidData::TooLarge));
    assert!(DataScope::parse(&many[1..]).is_ok());
}
