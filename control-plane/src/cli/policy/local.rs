//! What needs no control plane: `policy check` and `policy test`, and the rehearsal before a push.

use std::sync::Arc;

use bytes::Bytes;
use checkrein_proto::policy::v1 as wire;
use checkrein_shared::Generation;
use checkrein_shared::action::Sha256;
use checkrein_shared::policy::{
    Bundle, CaseResult, Finding, Manifest, Pack, PackSource, check as check_packs, compose, run_cases,
};
use serde::Serialize;

use super::directory;
use super::view::{CaseView, FindingView};
use super::{PackArgs, PackError, show};
use crate::cli::output::{Paint, Style, visible};
use crate::cli::{Error, Invocation, Outcome};

/// A pack's own examination: what the check found, and how its cases came out.
#[derive(Debug)]
pub(super) struct Rehearsal {
    name: String,
    rules: usize,
    tools: usize,
    findings: Vec<Finding>,
    cases: Vec<CaseResult>,
}

#[derive(Serialize)]
pub(super) struct RehearsalView {
    pack: String,
    ok: bool,
    rules: usize,
    tools: usize,
    errors: usize,
    warnings: usize,
    findings: Vec<FindingView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<Vec<CaseView>>,
}

/// Reads the pack that was named.
pub(super) fn read(args: &PackArgs) -> Result<PackSource, Error> {
    Ok(PackSource {
        name: directory::name(&args.dir, args.name.as_deref())?,
        files: directory::read(&args.dir)?,
    })
}

/// `policy check`
pub(super) fn check(args: &PackArgs, invocation: &Invocation) -> Result<Outcome, Error> {
    let (_, rehearsal) = examine(&read(args)?, args)?;
    rehearsal.print_findings(invocation);
    invocation.answer(&rehearsal.view(false), |paint| rehearsal.check_text(paint))?;
    Ok(rehearsal.outcome())
}

/// `policy test`
pub(super) fn test(args: &PackArgs, invocation: &Invocation) -> Result<Outcome, Error> {
    let rehearsal = rehearse(&read(args)?, args)?;
    rehearsal.print_findings(invocation);
    invocation.answer(&rehearsal.view(true), |paint| rehearsal.test_text(paint))?;
    Ok(rehearsal.outcome())
}

/// Checks a pack, and runs its cases if nothing is wrong with it.
pub(super) fn rehearse(source: &PackSource, args: &PackArgs) -> Result<Rehearsal, Error> {
    let (packs, mut rehearsal) = examine(source, args)?;
    if let Some(pack) = packs.first().filter(|_| rehearsal.is_good()) {
        let bundle = Arc::new(bundle(&packs)?);
        rehearsal.cases = run_cases(pack, &bundle);
    }
    Ok(rehearsal)
}

/// Checks a pack together with those it is said to run with; gives them all, this one first.
pub(super) fn examine(source: &PackSource, args: &PackArgs) -> Result<(Vec<Pack>, Rehearsal), Error> {
    let mut rehearsal = Rehearsal {
        name: source.name.clone(),
        rules: 0,
        tools: 0,
        findings: Vec::new(),
        cases: Vec::new(),
    };
    let mut packs = Vec::new();
    let mut take = |source: &PackSource, findings: &mut Vec<Finding>| match Pack::parse(source) {
        Ok(pack) => packs.push(pack),
        Err(errors) => findings.extend(errors),
    };
    take(source, &mut rehearsal.findings);
    for other in &args.with {
        let name = directory::name(other, None)?;
        let files = directory::read(other)?;
        take(&PackSource { name, files }, &mut rehearsal.findings);
    }
    if rehearsal.findings.is_empty() {
        rehearsal.findings = check_packs(&packs.iter().collect::<Vec<_>>());
    }
    if let Some(pack) = packs.first() {
        (rehearsal.rules, rehearsal.tools) = (pack.rules().len(), pack.tools().len());
    }
    Ok((packs, rehearsal))
}

/// The packs as an enforcer would run them.
pub(super) fn bundle(packs: &[Pack]) -> Result<Bundle, PackError> {
    let composition = compose(&packs.iter().collect::<Vec<_>>())?;
    let manifest = Manifest::of(&composition, 1, Generation(1));
    let segment = |sha256: &Sha256| -> Option<Bytes> {
        let found = composition
            .segments
            .iter()
            .find(|segment| segment.sha256 == *sha256);
        found.map(|segment| segment.bytes.clone())
    };
    Ok(Bundle::decode(&manifest, segment)?)
}

impl Rehearsal {
    /// Whether the check refuses nothing and no case failed.
    pub(super) fn is_good(&self) -> bool {
        !self.findings.iter().any(Finding::is_error) && self.cases.iter().all(|case| case.passed)
    }

    /// Whether the check here has said this already.
    pub(super) fn knows(&self, finding: &wire::Finding) -> bool {
        let same = |known: &Finding| {
            known.message == finding.message && (known.line, known.column) == (finding.line, finding.column)
        };
        self.findings.iter().any(same)
    }

    /// Says what is wrong with a pack; nothing beside warnings if it is good.
    pub(super) fn refuse(&self, invocation: &Invocation) -> Result<Outcome, Error> {
        self.print_findings(invocation);
        invocation.answer(&self.view(false), |paint| self.check_text(paint))?;
        Ok(Outcome::Failed)
    }

    /// Says why a pack is not pushed; nothing beside warnings if it can be.
    pub(super) fn report(&self, invocation: &Invocation) -> Result<(), Error> {
        self.print_findings(invocation);
        if self.is_good() {
            return Ok(());
        }
        invocation.answer(&self.view(true), |paint| {
            let line = paint.apply(Style::Bad, "nothing was pushed");
            format!("{}{line}\n", self.test_text(paint))
        })
    }

    fn outcome(&self) -> Outcome {
        if self.is_good() {
            Outcome::Done
        } else {
            Outcome::Failed
        }
    }

    fn print_findings(&self, invocation: &Invocation) {
        if invocation.json() {
            return;
        }
        for finding in &self.findings {
            invocation.note(&show::finding(&finding.rendered, invocation.paint_notes()));
        }
    }

    fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.is_error()).count()
    }

    pub(super) fn view(&self, with_cases: bool) -> RehearsalView {
        RehearsalView {
            pack: self.name.clone(),
            ok: self.is_good(),
            rules: self.rules,
            tools: self.tools,
            errors: self.errors(),
            warnings: self.findings.len() - self.errors(),
            findings: self.findings.iter().map(FindingView::from).collect(),
            cases: with_cases.then(|| self.cases.iter().map(CaseView::of).collect()),
        }
    }

    pub(super) fn check_text(&self, paint: Paint) -> String {
        let errors = self.errors();
        let warnings = counted(self.findings.len() - errors, "warning");
        let (style, what) = if errors == 0 {
            let size = format!("{}, {}", counted(self.rules, "rule"), counted(self.tools, "tool"));
            (Style::Good, format!("is a good pack: {size}, {warnings}"))
        } else {
            (
                Style::Bad,
                format!("has {}, {warnings}", counted(errors, "error")),
            )
        };
        let name = paint.apply(Style::Strong, &visible(&self.name));
        format!("{name} {}\n", paint.apply(style, &what))
    }

    pub(super) fn test_text(&self, paint: Paint) -> String {
        if self.errors() > 0 {
            return self.check_text(paint);
        }
        let cases: Vec<String> = self.cases.iter().map(|case| case_text(case, paint)).collect();
        let failed = self.cases.iter().filter(|case| !case.passed).count();
        let (style, what) = match (self.cases.len(), failed) {
            (0, _) => (
                Style::Waiting,
                "no cases in tests/*.yaml: nothing is promised".to_owned(),
            ),
            (all, 0) => (Style::Good, format!("{} passed", counted(all, "case"))),
            (all, failed) => (Style::Bad, format!("{failed} of {} failed", counted(all, "case"))),
        };
        let name = paint.apply(Style::Strong, &visible(&self.name));
        format!("{}{name}: {}\n", cases.concat(), paint.apply(style, &what))
    }
}

fn case_text(case: &CaseResult, paint: Paint) -> String {
    let name = visible(&case.name);
    if case.passed {
        return format!("{} {name}\n", paint.apply(Style::Good, "ok  "));
    }
    format!(
        "{} {name}  {}\n       expected  {}\n       found     {}\n       because   {}\n",
        paint.apply(Style::Bad, "FAIL"),
        paint.apply(Style::Dim, &visible(&case.file)),
        visible(&case.expected),
        paint.apply(Style::Bad, &visible(&case.found)),
        visible(&case.reason),
    )
}

/// `1 rule`, `2 rules`.
fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}
