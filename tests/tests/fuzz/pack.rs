//! `Pack::parse`: its settings (TOML, durations), catalogs, rules and cases, whichever file is hostile.

use checkrein_shared::policy::{Pack, template};
use proptest::prop_assert;

use super::hostile;

#[test]
fn a_pack_with_a_hostile_file_is_read_or_every_finding_says_something() {
    let source = template("mail", "acme.example");
    let is_text = |path: &str| path.ends_with("toml") || path.ends_with("json") || path.ends_with("yaml");
    for path in source.files.keys().filter(|path| is_text(path)) {
        let mut corpus = vec![source.files[path].clone()];
        corpus.extend(hostile::lines(include_str!("corpus/pack.txt")));
        hostile::run_one_in(20, &corpus, |input| {
            let mut source = source.clone();
            source.files.insert(path.clone(), input.to_vec());
            match Pack::parse(&source) {
                Ok(pack) => prop_assert!(pack.name() == source.name),
                Err(findings) => prop_assert!(!findings.is_empty()),
            }
            Ok(())
        });
    }
}
