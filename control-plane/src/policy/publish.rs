//! Numbering, signing and storing: the one transaction that makes a policy true.

use std::collections::BTreeSet;

use checkrein_shared::id::Generation;
use checkrein_shared::policy::Manifest;

use super::prepare::{self, Labels, Occasion, Prepared};
use super::{Heads, PackRevision, Policies, PolicyError, Push, Pushed, store};
use crate::database::{DatabaseError, FeedName, Transaction};

/// How often a publication composes again because others published meanwhile.
const COMPOSE_TRIES_MAX: usize = 5;

/// A registration under way.
#[derive(Debug)]
pub struct Registration {
    /// Its transaction.
    pub tx: Transaction,
    /// What the new enforcer will run.
    pub audience: String,
    current: Generation,
    prepared: Prepared,
}

/// What a publication was composed from; stored only if it still stands.
struct Basis {
    heads: Heads,
    labels: BTreeSet<Labels>,
}

impl Policies {
    /// Checks, tests, composes, numbers, signs and stores a pack.
    pub async fn push(&self, push: Push) -> Result<Pushed, PolicyError> {
        for _ in 0..COMPOSE_TRIES_MAX {
            let basis = self.basis(None).await?;
            let prepared = self.prepare(&basis, Occasion::Push(push.source.clone())).await?;
            match self.store(&push, &basis, prepared).await {
                Ok(Some(pushed)) => return Ok(pushed),
                Ok(None) => {}
                // Rolled back for the sake of another that published: as if it had come first.
                Err(PolicyError::Database(error)) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        Err(PolicyError::Contended)
    }

    /// Stores what was prepared, unless what it was prepared from has changed.
    async fn store(
        &self,
        push: &Push,
        basis: &Basis,
        prepared: Prepared,
    ) -> Result<Option<Pushed>, PolicyError> {
        let tx = self.database.begin("policy.push").await?;
        if let Some(revision) = store::answered(&tx, &push.by, &push.key, &push.request).await? {
            let enforcers = store::count_audience(&tx, &push.source.name).await?;
            return Ok(Some(Pushed {
                revision,
                findings: prepared.findings,
                enforcers,
            }));
        }
        let current = tx.lock(FeedName::Policy).await?;
        if !still_stands(&tx, basis).await? {
            return Ok(None);
        }
        let revision = PackRevision {
            pack: push.source.name.clone(),
            revision: basis
                .heads
                .get(&push.source.name)
                .map_or(0, |(revision, _)| *revision)
                + 1,
            generation: Generation(current + 1),
            source_sha256: push.source.sha256(),
            rules: prepared.counts.0,
            tools: prepared.counts.1,
            pushed_by: push.by.clone(),
            pushed_ms: self.clock.wall_ms(),
            note: push.note.clone(),
        };
        if !push.validate_only {
            store::insert_pack(&tx, &revision, &push.source).await?;
            self.store_bundles(&tx, &prepared).await?;
            store::replace_groups(&tx, &prepared.groups).await?;
            store::replace_budgets(&tx, &prepared.budgets).await?;
            store::remember(&tx, &push.by, &push.key, &push.request, &revision).await?;
        }
        let enforcers = store::count_audience(&tx, &push.source.name).await?;
        if !push.validate_only {
            tx.commit().await?;
        }
        Ok(Some(Pushed {
            revision,
            findings: prepared.findings,
            enforcers,
        }))
    }

    /// Gives every audience its bundle under the next number.
    async fn store_bundles(
        &self,
        tx: &Transaction,
        prepared: &Prepared,
    ) -> Result<Generation, DatabaseError> {
        let generation = Generation(tx.raise(FeedName::Policy).await?);
        for (packs, composition) in prepared.compositions.values() {
            for segment in &composition.segments {
                store::insert_segment(tx, segment).await?;
            }
            let signed = Manifest::of(composition, self.epoch, generation).sign(&self.authority.bundle);
            let (audience, segments) = (&composition.audience, &composition.segments);
            store::insert_bundle(tx, generation, audience, packs, segments, &signed).await?;
        }
        for (labels, audience) in &prepared.audiences {
            store::set_audience(tx, labels, audience).await?;
        }
        Ok(generation)
    }

    async fn basis(&self, extra: Option<&Labels>) -> Result<Basis, DatabaseError> {
        let tx = self.database.begin("policy.basis").await?;
        let heads = store::heads(&tx).await?;
        let mut labels = store::label_sets(&tx).await?;
        labels.extend(extra.cloned());
        Ok(Basis { heads, labels })
    }

    /// Compiling takes time that no stream should wait for.
    async fn prepare(&self, basis: &Basis, occasion: Occasion) -> Result<Prepared, PolicyError> {
        let (heads, labels) = (basis.heads.clone(), basis.labels.clone());
        tokio::task::spawn_blocking(move || prepare::prepare(&heads, &occasion, &labels)).await?
    }
}

impl Policies {
    /// Begins the transaction that registers an enforcer with these labels: nothing can be published until it ends.
    pub async fn begin_registration(&self, labels: &Labels) -> Result<Registration, PolicyError> {
        for _ in 0..COMPOSE_TRIES_MAX {
            let basis = self.basis(Some(labels)).await?;
            let occasion = Occasion::Registration(labels.clone());
            let prepared = self.prepare(&basis, occasion).await?;
            let tx = self.database.begin("fleet.register").await?;
            let current = Generation(tx.lock(FeedName::Policy).await?);
            if still_stands(&tx, &basis).await? {
                let found = prepared.audiences.iter().find(|(known, _)| known == labels);
                let audience = found.map(|(_, audience)| audience.clone()).unwrap_or_default();
                return Ok(Registration {
                    tx,
                    audience,
                    current,
                    prepared,
                });
            }
        }
        Err(PolicyError::Contended)
    }

    /// Commits it. An audience that nobody was before gets its bundle, under a new generation for all.
    pub async fn commit_registration(&self, registration: Registration) -> Result<(), PolicyError> {
        let Registration {
            tx,
            audience,
            current,
            prepared,
        } = registration;
        if !store::has_bundle(&tx, current, &audience).await? {
            self.store_bundles(&tx, &prepared).await?;
        }
        tx.raise(FeedName::Fleet).await?;
        Ok(tx.commit().await?)
    }
}

async fn still_stands(tx: &Transaction, basis: &Basis) -> Result<bool, DatabaseError> {
    let heads = store::head_revisions(tx).await?;
    let same_heads = heads.len() == basis.heads.len()
        && heads.iter().all(|(pack, revision)| {
            basis
                .heads
                .get(pack)
                .is_some_and(|(before, _)| before == revision)
        });
    Ok(same_heads && store::label_sets(tx).await?.is_subset(&basis.labels))
}
