//! The pure part of publishing: from the packs' sources to findings and compositions. No transaction is open meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checkrein_shared::hold::Group;
use checkrein_shared::policy::{self, Budget, Bundle, Composition, Finding, Pack, PackSource, Severity};

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
    /// The approver groups of all packs: name, pack, what it is.
    pub(super) groups: Vec<(String, String, Group)>,
    /// The budgets of all packs, each with its pack.
    pub(super) budgets: Vec<(String, Budget)>,
    /// What was found in the pushed pack that does not refuse it.
    pub(super) findings: Vec<Finding>,
    /// Rules and tools of the pushed pack.
    pub(super) counts: (u32, u32),
}

/// What packs are prepared for.
#[derive(Debug, Clone)]
pub(super) enum Occasion {
    /// This pack takes the place of its predecessor.
    Push(PackSource),
    /// An enforcer with these labels joins.
    Registration(Labels),
}

/// Packs that run together in some enforcers.
struct Selection<'p> {
    packs: Vec<&'p Pack>,
    /// The labels of those enforcers, one set of them for each that is in the register.
    labels: Vec<Labels>,
}

/// Composes what each set of labels selects from the packs in force. What changes is checked and tested before: on a push
/// everything together, then each selection; on a registration the selection that nobody had.
pub(super) fn prepare(
    heads: &Heads,
    occasion: &Occasion,
    labels: &BTreeSet<Labels>,
) -> Result<Prepared, PolicyError> {
    let packs = parse_all(heads, occasion.pushed())?;
    let all: Vec<&Pack> = packs.values().collect();
    let findings = match occasion {
        Occasion::Push(_) => check(&all)?,
        Occasion::Registration(_) => Vec::new(),
    };
    let pushed = occasion.pushed().and_then(|source| packs.get(&source.name));
    let mut compositions = BTreeMap::new();
    let mut audiences = Vec::new();
    for selection in selections(&all, labels) {
        let composition = if occasion.changes(&selection) {
            selection.judge(&all)?
        } else {
            selection.compose()?
        };
        let audience = &composition.audience;
        audiences.extend(
            selection
                .labels
                .iter()
                .map(|labels| (labels.clone(), audience.clone())),
        );
        compositions.insert(audience.clone(), (selection.names(), composition));
    }
    if let Some(selection) = pushed.and_then(|pack| unselected(pack, &all, labels)) {
        selection.judge(&all)?;
    }
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let counts = pushed
        .map(|pack| (count(pack.rules().len()), count(pack.tools().len())))
        .unwrap_or_default();
    Ok(Prepared {
        compositions,
        audiences,
        groups: groups(&all),
        budgets: budgets(&all),
        findings,
        counts,
    })
}

impl Occasion {
    const fn pushed(&self) -> Option<&PackSource> {
        match self {
            Self::Push(source) => Some(source),
            Self::Registration(_) => None,
        }
    }

    /// Whether a selection is one that has not been judged as it is now.
    fn changes(&self, selection: &Selection<'_>) -> bool {
        match self {
            Self::Push(_) => true,
            Self::Registration(labels) => selection.labels.iter().all(|known| known == labels),
        }
    }
}

impl Selection<'_> {
    fn names(&self) -> Vec<String> {
        self.packs.iter().map(|pack| pack.name().to_owned()).collect()
    }

    /// Whom it is for, as errors say it. One set of labels stands for all that select the same.
    fn enforcers(&self) -> String {
        policy::enforcers_with(self.labels.first().map_or(&[], Vec::as_slice))
    }

    fn compose(&self) -> Result<Composition, PolicyError> {
        policy::compose(&self.packs).map_err(|source| PolicyError::Compose {
            enforcers: self.enforcers(),
            source,
        })
    }

    /// Composes, if these packs can do without the others and every pack keeps its promises here.
    fn judge(&self, all: &[&Pack]) -> Result<Composition, PolicyError> {
        if let Some(labels) = self.labels.first() {
            let findings = policy::check_selected(all, labels);
            if !findings.is_empty() {
                return Err(PolicyError::Unfit {
                    enforcers: self.enforcers(),
                    findings,
                });
            }
        }
        let composition = self.compose()?;
        let bundle = composition
            .open()
            .map_err(|error| PolicyError::TestsFail(vec![error.to_string()]))?;
        let bundle = Arc::new(bundle);
        let failed = self.failures(all, &bundle);
        if failed.is_empty() {
            Ok(composition)
        } else {
            Err(PolicyError::TestsFail(failed))
        }
    }

    /// Every pack's cases that fail here: a push may not break what another pack promised. A case about a tool that only
    /// other enforcers have is for them.
    fn failures(&self, all: &[&Pack], bundle: &Arc<Bundle>) -> Vec<String> {
        let elsewhere = |tool: &str| {
            let is_known = |pack: &&Pack| pack.tools().any(|known| known.id == tool);
            bundle.tool(tool).is_none() && all.iter().any(is_known)
        };
        let mut failed = Vec::new();
        for pack in &self.packs {
            let results = policy::run_cases(pack, bundle).into_iter();
            for case in results.filter(|case| !case.passed && !elsewhere(&case.tool)) {
                failed.push(format!(
                    "for {}: {}/{}: {}: expected {}, found {}",
                    self.enforcers(),
                    pack.name(),
                    case.file,
                    case.name,
                    case.expected,
                    case.found
                ));
            }
        }
        failed
    }
}

/// Everything together; what does not refuse it is given back.
fn check(all: &[&Pack]) -> Result<Vec<Finding>, PolicyError> {
    let (errors, warnings) = policy::check(all)
        .into_iter()
        .partition::<Vec<_>, _>(|finding| finding.severity == Severity::Error);
    if errors.is_empty() {
        Ok(warnings)
    } else {
        Err(PolicyError::Refused(errors))
    }
}

/// Each selection once, with all the labels that make it.
fn selections<'p>(all: &[&'p Pack], labels: &BTreeSet<Labels>) -> Vec<Selection<'p>> {
    let mut selections: BTreeMap<Vec<&str>, Selection<'p>> = BTreeMap::new();
    for labels in labels {
        let packs = selected(all, labels);
        let names = packs.iter().map(|pack| pack.name()).collect();
        let selection = selections.entry(names).or_insert(Selection {
            packs,
            labels: Vec::new(),
        });
        selection.labels.push(labels.clone());
    }
    selections.into_values().collect()
}

/// What an enforcer would run that has just the labels a pack asks for, if no enforcer runs the pack yet.
fn unselected<'p>(pack: &Pack, all: &[&'p Pack], labels: &BTreeSet<Labels>) -> Option<Selection<'p>> {
    if labels.iter().any(|labels| pack.selects(labels)) {
        return None;
    }
    let selector = |(key, value): (&String, &String)| (key.clone(), value.clone());
    let labels: Labels = pack.selectors().iter().map(selector).collect();
    Some(Selection {
        packs: selected(all, &labels),
        labels: vec![labels],
    })
}

fn selected<'p>(all: &[&'p Pack], labels: &Labels) -> Vec<&'p Pack> {
    all.iter().copied().filter(|pack| pack.selects(labels)).collect()
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

fn budgets(all: &[&Pack]) -> Vec<(String, Budget)> {
    let of_pack = |pack: &&Pack| {
        let name = pack.name().to_owned();
        let budget = |budget: &Budget| (name.clone(), budget.clone());
        pack.budgets().iter().map(budget).collect::<Vec<_>>()
    };
    all.iter().flat_map(of_pack).collect()
}

fn groups(all: &[&Pack]) -> Vec<(String, String, Group)> {
    let of_pack = |pack: &&Pack| {
        let name = pack.name().to_owned();
        let group = move |(named, group): (&String, &Group)| (named.clone(), name.clone(), group.clone());
        pack.groups().iter().map(group).collect::<Vec<_>>()
    };
    all.iter().flat_map(of_pack).collect()
}

#[cfg(test)]
mod tests;
