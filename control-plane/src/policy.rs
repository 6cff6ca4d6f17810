//! Policies: from a pushed pack to numbered, signed bundles.
//!
//! ```text
//! comes from: an operator's push, or a new enforcer's labels
//!   parse, check, run the tests, compose every audience       pure, outside any transaction
//!   lock the counter; are the packs in force still those?     else compose again
//!   number, sign, store; raise the feed
//! goes to: every replica's feed -> announce -> fetch -> ack
//! ```
//!
//! **Invariant**: what does not pass is not stored. Generations have no gaps, and every audience has a bundle at each.

mod api;
mod diff;
mod fetch;
mod prepare;
mod publish;
mod store;
mod usage;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use checkrein_proto::policy::v1::SignedManifest;
use checkrein_shared::SharedClock;
use checkrein_shared::action::Sha256;
use checkrein_shared::id::Generation;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::policy::{ComposeError, Finding, PackSource};
use thiserror::Error;
use tokio::sync::watch;

use crate::authority::Authority;
use crate::database::{Database, DatabaseError};

pub use fetch::Segments;
pub use prepare::Labels;
pub use publish::Registration;

/// What an instance was last heard to run is kept for so many days.
pub const INSTANCE_DAYS_MAX: i64 = 30;

/// The verbs of policies.
#[derive(Debug, Clone)]
pub struct Policies {
    database: Database,
    authority: Arc<Authority>,
    clock: SharedClock,
    epoch: u64,
}

/// One pushed state of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRevision {
    /// The pack's name.
    pub pack: String,
    /// Counts its pushes from 1.
    pub revision: u64,
    /// The generation that first carried it.
    pub generation: Generation,
    /// Over its files.
    pub source_sha256: Sha256,
    /// How many rules it has.
    pub rules: u32,
    /// How many tools.
    pub tools: u32,
    /// Who pushed it.
    pub pushed_by: SpiffeId,
    /// When.
    pub pushed_ms: u64,
    /// Why.
    pub note: String,
}

/// What an operator wants to be in force.
#[derive(Debug, Clone)]
pub struct Push {
    /// The pack.
    pub source: PackSource,
    /// Who pushes.
    pub by: SpiffeId,
    /// Why.
    pub note: String,
    /// Makes a repeated push one push.
    pub key: String,
    /// Over what was asked, so that the key is not taken for another push.
    pub request: Sha256,
    /// Everything but publishing.
    pub validate_only: bool,
}

/// What came of a push.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// The revision it made.
    pub revision: PackRevision,
    /// What the check found that does not refuse it.
    pub findings: Vec<Finding>,
    /// How many enforcers' bundles carry it.
    pub enforcers: u32,
}

/// What every enforcer should run: the register and the newest bundles, read together.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// The newest generation.
    pub generation: Generation,
    /// By the enforcer's name.
    pub enforcers: HashMap<String, Registered>,
}

/// A register entry with the bundle that is its.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Its identity.
    pub spiffe_id: SpiffeId,
    /// `key=value`.
    pub labels: Vec<String>,
    /// The agents it may speak for.
    pub agents: Vec<String>,
    /// What it should run, and that bundle's digest.
    pub bundle: Option<(SignedManifest, Sha256)>,
}

/// Receives what is published.
pub type PublishedFeed = watch::Receiver<Arc<Published>>;

/// Why a push came to nothing.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// The pack, or what it does to the others.
    #[error("the pack is refused: {} errors", .0.len())]
    Refused(Vec<Finding>),
    /// The tests of the pack, or of those it would run with.
    #[error("tests fail: {}", .0.join("; "))]
    TestsFail(Vec<String>),
    /// What some enforcers would run, without the packs that they don't.
    #[error("the packs don't fit together for {enforcers}: {} errors", .findings.len())]
    Unfit {
        /// Which enforcers, by their labels.
        enforcers: String,
        /// What is wrong there.
        findings: Vec<Finding>,
    },
    /// The composition.
    #[error("the packs can't be composed for {enforcers}")]
    Compose {
        /// Which enforcers, by their labels.
        enforcers: String,
        /// Why not.
        source: ComposeError,
    },
    /// No such pack.
    #[error("there is no pack `{0}`")]
    NoPack(String),
    /// No such revision.
    #[error("pack `{pack}` has no revision {revision}")]
    NoRevision {
        /// The pack.
        pack: String,
        /// The revision.
        revision: u64,
    },
    /// Others kept publishing in between.
    #[error("other packs kept changing; try again")]
    Contended,
    /// The work was cut off.
    #[error("the check was cut off")]
    CutOff(#[from] tokio::task::JoinError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The packs in force, by name.
type Heads = BTreeMap<String, (u64, PackSource)>;

impl Policies {
    /// The verbs over this database.
    pub const fn new(database: Database, authority: Arc<Authority>, clock: SharedClock, epoch: u64) -> Self {
        Self {
            database,
            authority,
            clock,
            epoch,
        }
    }

    /// Publishes an earlier revision of a pack again, under a new generation. The number 0 stands for the one before the
    /// current.
    pub async fn rollback(&self, pack: &str, to: u64, mut push: Push) -> Result<Pushed, PolicyError> {
        let tx = self.database.begin("policy.rollback").await?;
        let current = store::head_revision(&tx, pack)
            .await?
            .ok_or_else(|| PolicyError::NoPack(pack.to_owned()))?;
        let revision = if to == 0 { current.saturating_sub(1) } else { to };
        let missing = || PolicyError::NoRevision {
            pack: pack.to_owned(),
            revision,
        };
        let (_, source) = store::find(&tx, pack, revision).await?.ok_or_else(missing)?;
        tx.commit().await?;
        push.source = source;
        if push.note.is_empty() {
            push.note = format!("rollback to revision {revision}");
        }
        self.push(push).await
    }
}

/// Loads what every enforcer should run.
pub async fn load_published(database: &Database) -> Result<Published, DatabaseError> {
    database
        .transact("policy.published", |tx| async move {
            let published = store::published(&tx).await?;
            Ok((tx, published))
        })
        .await
}

/// Deletes what no enforcer needs any more. Any replica may; it says how many bundles went.
pub async fn retire(database: &Database) -> Result<u64, DatabaseError> {
    database
        .transact("policy.retire", |tx| async move {
            let retired = store::retire(&tx).await?;
            Ok((tx, retired))
        })
        .await
}
