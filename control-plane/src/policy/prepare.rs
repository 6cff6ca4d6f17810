//! The pure part of publishing: from the packs' sources to findings and compositions. No transaction is open meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use checkrein_shared::id::Generation;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::policy::{self, Bundle, Composition, Finding, Manifest, Pack, PackSource, Severity};

use super::{Heads, PolicyError};

/// An enforcer's labels, as pairs.
pub type Labels = Vec<(String, String)>;

/// Everything a publication stores but its number.
#[derive(Debug)]
pub(super) struct Prepared {
    /// By audience, what to sign.
    pub(super) compositions: BTreeMap<String, (Vec<String>, Composition)>,
    /// Which audience each set of labels is.
    pub(super) audiences: Vec<(Labels, String)>,
    /// The approver groups of all packs: name, pack, members.
    pub(super) groups: Vec<(String, String, Vec<SpiffeId>)>,
    /// What was found in the pushed pack that does not refuse it.
    pub(super) findings: Vec<Finding>,
    /// Rules and tools of the pushed pack.
    pub(super) counts: (u32, u32),
}

/// Checks the packs in force together with the pushed one, runs the tests of every pack, and composes each audience.
pub(super) fn prepare(
    heads: &Heads,
    pushed: Option<&PackSource>,
    labels: &BTreeSet<Labels>,
) -> Result<Prepared, PolicyError> {
    let packs = parse_all(heads, pushed)?;
    let all: Vec<&Pack> = packs.values().collect();
    let mut findings = Vec::new();
    if pushed.is_some() {
        let (errors, warnings) = policy::check(&all)
            .into_iter()
            .partition::<Vec<_>, _>(|finding| finding.severity == Severity::Error);
        if !errors.is_empty() {
            return Err(PolicyError::Refused(errors));
        }
        findings = warnings;
        run_tests(&all)?;
    }
    let mut compositions = BTreeMap::new();
    let mut audiences = Vec::new();
    for labels in labels {
        let selected: Vec<&Pack> = all.iter().copied().filter(|pack| pack.selects(labels)).collect();
        let composition = policy::compose(&selected)?;
        audiences.push((labels.clone(), composition.audience.clone()));
        let names = selected.iter().map(|pack| pack.name().to_owned()).collect();
        compositions.insert(composition.audience.clone(), (names, composition));
    }
    let pushed = pushed.and_then(|source| packs.get(&source.name));
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let counts = pushed
        .map(|pack| (count(pack.rules().len()), count(pack.tools().len())))
        .unwrap_or_default();
    Ok(Prepared {
        compositions,
        audiences,
        groups: groups(&all),
        findings,
        counts,
    })
}

fn parse_all(heads: &Heads, pushed: Option<&PackSource>) -> Result<BTreeMap<String, Pack>, PolicyError> {
    let mut sources: BTreeMap<&str, &PackSource> = heads
        .iter()
        .map(|(name, (_, source))| (name.as_str(), source))
        .collect();
    if let Some(pushed) = pushed {
        sources.insert(&pushed.name, pushed);
    }
    let parse = |(name, source): (&str, &PackSource)| {
        Pack::parse(source)
            .map(|pack| (name.to_owned(), pack))
            .map_err(PolicyError::Refused)
    };
    sources.into_iter().map(parse).collect()
}

/// Every pack's tests, against everything together: a push may not break what another pack promised.
fn run_tests(all: &[&Pack]) -> Result<(), PolicyError> {
    let composition = policy::compose(all)?;
    let manifest = Manifest::of(&composition, 0, Generation(0));
    let find = |sha256: &_| {
        composition
            .segments
            .iter()
            .find(|s| s.sha256 == *sha256)
            .map(|s| s.bytes.clone())
    };
    let bundle =
        Bundle::decode(&manifest, find).map_err(|error| PolicyError::TestsFail(vec![error.to_string()]))?;
    let failed: Vec<String> = all
        .iter()
        .flat_map(|pack| {
            policy::run_cases(pack, &bundle)
                .into_iter()
                .map(|case| (pack.name().to_owned(), case))
        })
        .filter(|(_, case)| !case.passed)
        .map(|(pack, case)| {
            format!(
                "{pack}/{}: {}: expected {}, found {}",
                case.file, case.name, case.expected, case.found
            )
        })
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(PolicyError::TestsFail(failed))
    }
}

fn groups(all: &[&Pack]) -> Vec<(String, String, Vec<SpiffeId>)> {
    let of_pack = |pack: &&Pack| {
        let name = pack.name().to_owned();
        let group =
            move |(group, members): (&String, &Vec<SpiffeId>)| (group.clone(), name.clone(), members.clone());
        pack.groups().iter().map(group).collect::<Vec<_>>()
    };
    all.iter().flat_map(of_pack).collect()
}
