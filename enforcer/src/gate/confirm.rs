//! A full-tier action goes ahead only if the primary says, now, that its task is live and its policy the newest.

use std::time::Duration;

use checkrein_shared::Generation;
use checkrein_shared::decision::Cause;
use tracing::debug;

use super::{Core, Weighed};
use crate::control_plane::{Confirm, Refusal};

/// How long to wait for a newer policy that is known to exist.
const REACH_DEADLINE: Duration = Duration::from_secs(2);

/// What the control plane says.
pub(super) enum Confirmed {
    Yes,
    No(Refusal),
    /// There is a newer policy than the one the action was judged under.
    NewerPolicy(Generation),
}

impl Core {
    pub(super) async fn confirm(&self, weighed: &Weighed) -> Confirmed {
        let Some(grant) = &weighed.grant else {
            return Confirmed::No(Refusal::new(Cause::InvalidGrant, "there is no grant to confirm"));
        };
        let ask = Confirm {
            task: grant.task,
            grant: grant.id,
            generation: weighed.running.generation,
            revocation_sequence: weighed.running.revocation_sequence,
        };
        match self.authority.confirm(ask).await {
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "a task can't be confirmed"
                );
                let reason = format!("a full-tier action needs the control plane, and {error}");
                Confirmed::No(Refusal::new(error.cause(), reason))
            }
            Ok(confirmation) if !confirmation.live => Confirmed::No(Refusal::new(
                Cause::TaskEnded,
                "the task is over; its authority ended with it",
            )),
            Ok(confirmation) if confirmation.generation > weighed.running.generation => {
                Confirmed::NewerPolicy(confirmation.generation)
            }
            Ok(_) => Confirmed::Yes,
        }
    }

    /// Waits, within a bound, until this generation runs here.
    pub(crate) async fn reach(&self, generation: Generation) {
        let mut running = self.snapshots.running();
        let reached = running.wait_for(|running| running.generation >= generation);
        // Not reached: whoever asked judges again, is told again to refresh, and gives up.
        drop(tokio::time::timeout(REACH_DEADLINE, reached).await);
    }
}
