//! Policies: from a directory a person keeps in git to a verdict.
//!
//! ```text
//! PackSource --parse--> Pack --check--> Findings
//!                        | compose
//!                        v
//!            Composition (segments) --Manifest::sign--> SignedManifest      in the control plane
//!                                                            |
//!                  verify --> Manifest --Bundle::decode--> Bundle --judge--> Judgement     in the enforcer
//! ```
//!
//! | file | what it says |
//! |---|---|
//! | `source`, `pack` | a directory, and its files understood one by one |
//! | `rule`, `catalog`, `argument`, `cases` | what those files hold |
//! | `schema`, `check`, `finding` | whether packs fit together, and where they don't |
//! | `bundle`, `self_test` | composing, signing, decoding |
//! | `evaluate`, `index`, `request` | the verdict: on what, by which rules |
//! | `value`, `intent`, `reads`, `extension`, `entity` | what rules see of a call |
//! | `risk`, `tier`, `explain` | how risky a call is, how much must be true before it is released, and why |
//! | `roster` | the teams that agents are in by the register |
//! | `trial`, `template` | calls made up to see what is decided; the pack to begin with |
//!
//! **Invariant**: the same packs give the same bytes, and the same bundle and situation the same judgement, wherever it
//! is asked. Nothing here reads a clock, a file or a socket.

mod argument;
mod budget;
mod bundle;
mod cases;
mod catalog;
mod check;
#[cfg(test)]
mod corpus;
mod duration;
mod entity;
mod evaluate;
mod explain;
mod extension;
mod finding;
#[cfg(test)]
mod fixture;
mod index;
mod intent;
mod pack;
mod reads;
mod request;
mod risk;
mod roster;
mod rule;
mod schema;
mod self_test;
mod source;
mod template;
mod tier;
mod trial;
mod value;
#[cfg(test)]
mod world;

pub use argument::{ArgumentType, EnumType, Member, RecordType, Scalar};
pub use budget::{Budget, Per};
pub use bundle::{
    BUNDLE_FORMAT, Bundle, BundleError, ComposeError, Composition, MANIFEST_BYTES_MAX, Manifest,
    SEGMENT_BYTES_MAX, SEGMENTS_MAX, Segment, SegmentKind, SegmentRef, Stage, compose,
};
pub use cases::{CASE_NOW_MS_DEFAULT, CaseResult, run_cases};
pub use catalog::{Cost, Effect, Price, ResourceSpec, Reversibility, Tool};
pub use check::{check, check_selected, enforcers_with};
pub use duration::DURATION_MS_MAX;
pub use evaluate::{Judgement, ResultSize, Situation};
pub use explain::{Asked, Asks, Candidate, Done, ExplainError, Explanation, explain};
pub use finding::{Finding, Severity};
pub use pack::{BOUNDS_DEFAULT, Bounds, Pack};
pub use risk::{Risk, RiskTerm, UNTRUSTED_CONTENT};
pub use roster::{
    InvalidTeam, ROSTER_AGENTS_MAX, Roster, SeatError, Seated, TEAM_BYTES_MAX, TEAMS_MAX, TeamName,
};
pub use rule::{
    DECIDE_WITHIN_MS_DEFAULT, HoldTerms, Origin, QUORUM_DEFAULT, Rule, RuleKind, USE_WITHIN_MS_DEFAULT,
};
pub use schema::schema;
pub use self_test::SELF_TESTS_MAX;
pub use source::{PACK_BYTES_MAX, PACK_FILES_MAX, PackSource};
pub use template::template;
pub use tier::TierReason;
