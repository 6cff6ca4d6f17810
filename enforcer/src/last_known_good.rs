//! What lets an enforcer decide after a restart with nobody to ask: the last good policy and what stood beside it.
//!
//! | file under `policy/` | holds |
//! |---|---|
//! | `segments/<sha256>` | the bundle's segments |
//! | `last-known-good` | signed manifest, signed key set, name, agents and their teams, revocations |
//! | `high-water` | the highest epoch, generation and key set ever made durable |
//! | `confirmed` | when that was last confirmed to be the newest |
//!
//! **Invariant**: a file is replaced whole and carries its own digest; what can't be read is as if it were not there, but
//! for the high-water mark, without which nothing starts. The masking key is never here.

mod file;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use checkrein_proto::fleet::v1 as wire;
use checkrein_proto::policy::v1::SignedManifest;
use checkrein_shared::Generation;
use checkrein_shared::action::Sha256;
use checkrein_shared::grant::Revocation;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::key::{HeldKeySet, KeySet, VerifyingKey};
use checkrein_shared::policy::Roster;
use thiserror::Error;
use tracing::{error, warn};

use crate::directory::{sync_directory, write_durably};
use crate::freshness::Remembered;
use crate::policy::{self, HighWater, Verified};
use crate::snapshot::{Policy, Revocations, Snapshot};
use file::{Confirmed, Good, Mark};

const GOOD: &str = "last-known-good";
const MARK: &str = "high-water";
const CONFIRMED: &str = "confirmed";
const SEGMENTS: &str = "segments";

/// The files, and what they say.
#[derive(Debug)]
pub(crate) struct LastKnownGood {
    directory: PathBuf,
    good: Good,
    mark: Mark,
    closed: bool,
}

/// What the register says of this enforcer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) enforcer: String,
    pub(crate) agents: BTreeSet<SpiffeId>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) key_set: wire::SignedKeySet,
    pub(crate) key_set_version: u64,
}

/// Files that can't be used.
#[derive(Debug, Error)]
pub enum LastKnownGoodError {
    /// Without the mark, an old policy could come back unnoticed.
    #[error("`{}` is damaged or missing; without it an old policy could come back. Move the directory aside to start anew", .0.display())]
    HighWater(PathBuf),
    /// The file system says no.
    #[error("can't read or write the last known good policy")]
    Io(#[from] io::Error),
}

impl LastKnownGood {
    /// Reads what is there.
    pub(crate) fn open(directory: &Path) -> Result<Self, LastKnownGoodError> {
        fs::create_dir_all(directory.join(SEGMENTS))?;
        let good = file::read(&directory.join(GOOD))?.unwrap_or_else(|damage| {
            error!(
                damage,
                "the last known good policy can't be read; everything is denied until one comes"
            );
            Some(Good::default())
        });
        let is_new = good.is_none() && fs::read_dir(directory.join(SEGMENTS))?.next().is_none();
        Ok(Self {
            directory: directory.to_owned(),
            good: good.unwrap_or_default(),
            mark: read_mark(directory, is_new)?,
            closed: false,
        })
    }

    /// The highest policy that was ever durable here.
    pub(crate) fn high_water(&self) -> HighWater {
        HighWater {
            epoch: self.mark.epoch,
            generation: Generation(self.mark.generation),
            manifest: Sha256::try_from(&*self.mark.manifest_sha256).unwrap_or_default(),
        }
    }

    /// The highest key set.
    pub(crate) fn held_key_set(&self) -> HeldKeySet {
        HeldKeySet {
            version: self.mark.key_set_version,
            sha256: Sha256::try_from(&*self.mark.key_set_sha256).ok(),
        }
    }

    /// The name in the register, if the control plane ever said it.
    pub(crate) fn enforcer(&self) -> Option<String> {
        Some(self.good.enforcer.clone()).filter(|name| !name.is_empty())
    }

    /// Verifies all of it anew, as if it had just come, and gives what can be believed.
    pub(crate) fn restore(&mut self, root: &VerifyingKey) -> io::Result<Snapshot> {
        let keys = self.good.key_set.as_ref().and_then(|signed| {
            let verified = KeySet::verify(signed, root, self.held_key_set());
            verified
                .inspect_err(|error| error!(%error, "the kept key set is not to be believed"))
                .ok()
        });
        let revocations = self.revocations();
        let restored = keys.as_ref().filter(|_| revocations.is_some());
        let restored = restored.and_then(|keys| self.restore_policy(keys, root));
        if let Some((verified, _)) = &restored {
            // The last run may have ended between the two files.
            self.raise_mark(verified)?;
        }
        Ok(Snapshot {
            policy: restored.map(|(_, policy)| policy),
            revocations: Arc::new(revocations.unwrap_or_default()),
            keys: keys.map(Arc::new),
            agents: Arc::new(
                self.good
                    .agents
                    .iter()
                    .filter_map(|agent| agent.parse().ok())
                    .collect(),
            ),
            roster: Arc::new(self.roster()),
            masking: None,
        })
    }

    /// When what is kept was last confirmed; none if that can't be read: then it is as old as can be.
    pub(crate) fn remembered(&self) -> Option<Remembered> {
        let confirmed: Confirmed = file::read(&self.directory.join(CONFIRMED)).ok()?.ok()??;
        Some(Remembered {
            confirmed_wall_ms: confirmed.confirmed_wall_ms,
            age_ms: confirmed.age_ms,
        })
    }

    /// Writes down when what runs was confirmed. Losing it only makes the policy older, so nothing waits for the disk.
    pub(crate) fn keep_confirmation(&self, remembered: Remembered) -> io::Result<()> {
        self.check_open()?;
        let confirmed = Confirmed {
            confirmed_wall_ms: remembered.confirmed_wall_ms,
            age_ms: remembered.age_ms,
        };
        let fresh = self.directory.join(".confirmed.new");
        fs::write(&fresh, file::encode(&confirmed))?;
        fs::rename(fresh, self.directory.join(CONFIRMED))
    }

    /// A kept segment, if its bytes are still what its name says.
    pub(crate) fn segment(&self, sha256: &Sha256) -> Option<Bytes> {
        let bytes = fs::read(self.directory.join(SEGMENTS).join(sha256.to_string())).ok()?;
        (Sha256::of(&bytes) == *sha256).then(|| bytes.into())
    }

    /// Makes a policy durable: segments, then the manifest, then the mark. Only then may it be acked.
    pub(crate) fn keep_policy(
        &mut self,
        signed: &SignedManifest,
        verified: &Verified,
        segments: &HashMap<Sha256, Bytes>,
    ) -> io::Result<()> {
        self.check_open()?;
        let place = self.directory.join(SEGMENTS);
        for segment in &verified.manifest.segments {
            if self.segment(&segment.sha256).is_none() {
                let bytes = segments.get(&segment.sha256).ok_or(io::ErrorKind::NotFound)?;
                write_durably(&place, &segment.sha256.to_string(), bytes)?;
            }
        }
        self.rewrite_good(|good| good.manifest = Some(signed.clone()))?;
        self.raise_mark(verified)?;
        if let Err(error) = self.forget_segments(verified) {
            warn!(%error, "unused segments can't be deleted; they only take room");
        }
        Ok(())
    }

    /// Makes durable who this enforcer is and which keys are in use.
    pub(crate) fn keep_standing(&mut self, standing: &Standing) -> io::Result<()> {
        let agents = standing.agents.iter().map(ToString::to_string).collect();
        self.rewrite_good(|good| {
            good.enforcer.clone_from(&standing.enforcer);
            good.agents = agents;
            good.roster = Some((&*standing.roster).into());
            good.key_set = Some(standing.key_set.clone());
        })?;
        self.rewrite_mark(|mark| {
            mark.key_set_version = standing.key_set_version;
            mark.key_set_sha256 = Sha256::of(&standing.key_set.key_set).to_bytes();
        })
    }

    /// Which roster is durable.
    pub(crate) fn roster_revision(&self) -> u64 {
        self.good.roster.as_ref().map_or(0, |roster| roster.revision)
    }

    /// Makes a roster durable, unless a later one is.
    pub(crate) fn keep_roster(&mut self, roster: &Roster) -> io::Result<()> {
        if roster.revision < self.roster_revision() {
            return Ok(());
        }
        self.rewrite_good(|good| good.roster = Some(roster.into()))
    }

    /// How far revocations are durable.
    pub(crate) const fn revocation_sequence(&self) -> u64 {
        self.good.revocation_sequence
    }

    /// Makes revocations durable, unless later ones are.
    pub(crate) fn keep_revocations(&mut self, revocations: &Revocations) -> io::Result<()> {
        if revocations.sequence < self.good.revocation_sequence {
            return Ok(());
        }
        let entries = revocations.entries();
        let entries = entries.iter().map(|entry| entry.to_wire(0)).collect();
        self.rewrite_good(|good| {
            good.revocation_sequence = revocations.sequence;
            good.revocations = entries;
        })
    }

    /// What was kept; if that is nothing, or can't be read, the teams of no agent are known.
    fn roster(&self) -> Roster {
        let kept = self.good.roster.clone().map(Roster::try_from);
        let read = kept
            .transpose()
            .inspect_err(|error| error!(%error, "the kept roster can't be read"));
        read.ok().flatten().unwrap_or_default()
    }

    /// None if any of them can't be read: then nothing of this task or that may be permitted until all of them come anew.
    fn revocations(&self) -> Option<Revocations> {
        let entries = self.good.revocations.iter().cloned().map(Revocation::try_from);
        let entries = entries.collect::<Result<Vec<_>, _>>();
        let entries = entries
            .inspect_err(|error| error!(%error, "the kept revocations can't be read; everything is denied until they come"));
        // What has expired is forgotten with the next that come.
        Some(Revocations::default().extended(self.good.revocation_sequence, entries.ok()?, 0))
    }

    fn raise_mark(&mut self, verified: &Verified) -> io::Result<()> {
        let reached = HighWater::of(verified);
        self.rewrite_mark(|mark| {
            mark.epoch = reached.epoch;
            mark.generation = reached.generation.0;
            mark.manifest_sha256 = reached.manifest.to_bytes();
        })
    }

    fn restore_policy(&self, keys: &KeySet, root: &VerifyingKey) -> Option<(Verified, Policy)> {
        let signed = self.good.manifest.as_ref()?;
        let restored = policy::verify(signed, keys, root, self.high_water()).and_then(|verified| {
            let kept = |segment: &checkrein_shared::policy::SegmentRef| {
                Some((segment.sha256, self.segment(&segment.sha256)?))
            };
            let segments = verified.manifest.segments.iter().filter_map(kept).collect();
            let policy = policy::decode(&verified, &segments)?;
            Ok((verified, policy))
        });
        restored
            .inspect_err(
                |refused| error!(%refused, "the last known good policy is not good; everything is denied"),
            )
            .ok()
    }

    /// Writes nothing from here on: the directory can be given up.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    fn check_open(&self) -> io::Result<()> {
        if self.closed {
            Err(io::Error::other("the enforcer was shut down"))
        } else {
            Ok(())
        }
    }

    fn rewrite_good(&mut self, change: impl FnOnce(&mut Good)) -> io::Result<()> {
        self.check_open()?;
        let mut next = self.good.clone();
        change(&mut next);
        if next != self.good {
            write_durably(&self.directory, GOOD, &file::encode(&next))?;
            self.good = next;
        }
        Ok(())
    }

    fn rewrite_mark(&mut self, change: impl FnOnce(&mut Mark)) -> io::Result<()> {
        self.check_open()?;
        let mut next = self.mark.clone();
        change(&mut next);
        if next != self.mark {
            write_durably(&self.directory, MARK, &file::encode(&next))?;
            self.mark = next;
        }
        Ok(())
    }

    fn forget_segments(&self, in_use: &Verified) -> io::Result<()> {
        let place = self.directory.join(SEGMENTS);
        let names: BTreeSet<String> = in_use
            .manifest
            .segments
            .iter()
            .map(|segment| segment.sha256.to_string())
            .collect();
        for entry in fs::read_dir(&place)? {
            let entry = entry?;
            if entry
                .file_name()
                .to_str()
                .is_none_or(|name| !names.contains(name))
            {
                fs::remove_file(entry.path())?;
            }
        }
        sync_directory(&place)
    }
}

/// The mark, or the first one. It is written before anything that it guards, so that afterwards it can only be missing because
/// somebody took it away.
fn read_mark(directory: &Path, is_new: bool) -> Result<Mark, LastKnownGoodError> {
    let unusable = || LastKnownGoodError::HighWater(directory.join(MARK));
    match file::read(&directory.join(MARK))? {
        Ok(Some(mark)) => Ok(mark),
        Ok(None) if is_new => {
            write_durably(directory, MARK, &file::encode(&Mark::default()))?;
            Ok(Mark::default())
        }
        Ok(None) | Err(_) => Err(unusable()),
    }
}

#[cfg(test)]
mod tests;
