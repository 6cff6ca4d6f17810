//! Telling those whom no rule names: groups that are asked once others have not answered or while they sleep, and whoever may
//! break the glass once somebody wants to.
//!
//! **Invariant**: a further group is told once of a hold, by whichever replica looks first after its moment, however long
//! nobody looked; only channels that are for it hear of that.

use std::collections::BTreeMap;
use std::time::Duration;

use checkrein_shared::hold::Why;
use checkrein_shared::id::HoldId;

use super::gather::{STEPS_MAX, about, facts};
use super::store::{self, Notice};
use super::{Kind, Notifier};
use crate::database::{DatabaseError, Transaction};
use crate::hold::told::{Further, GlassRequest, further, glass_requests, told};

impl Notifier {
    /// Tells whoever is asked by now and does not know it. Returns how many events that were.
    pub(super) async fn tell_further(&self, tx: &Transaction) -> Result<usize, DatabaseError> {
        let waiting = store::waiting(tx).await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let wanted: Vec<HoldId> = waiting
            .iter()
            .filter(|one| !one.is_glass_told)
            .map(|one| one.hold)
            .collect();
        let mut known: BTreeMap<HoldId, Vec<String>> =
            waiting.into_iter().map(|one| (one.hold, one.told)).collect();
        let requests = glass_requests(tx, &wanted, STEPS_MAX).await?;
        for request in &requests {
            self.tell_glass_request(tx, request).await?;
        }
        let most = usize::try_from(STEPS_MAX).unwrap_or(usize::MAX);
        let asked = further(tx, &known, most).await?;
        for one in &asked {
            let told = known.entry(one.hold).or_default();
            told.push(one.group.clone());
            self.tell_asked(tx, one, told.len()).await?;
        }
        Ok(requests.len() + asked.len())
    }

    async fn tell_asked(
        &self,
        tx: &Transaction,
        further: &Further,
        ordinal: usize,
    ) -> Result<(), DatabaseError> {
        let Some(mut about) = told(tx, further.hold).await? else {
            return Ok(());
        };
        about.groups = vec![further.group.clone()];
        // Whoever may break the glass is told of that, and not of others who are asked.
        about.glass.clear();
        let mut facts = facts(further.hold, &about, Kind::HoldEscalated);
        facts.note = because(further);
        let notice = Notice {
            kind: Kind::HoldEscalated,
            hold: further.hold,
            ordinal: u64::try_from(ordinal).unwrap_or(u64::MAX),
            group: further.group.clone(),
            facts,
            happened_ms: further.since_ms,
        };
        self.tell(tx, notice, &about).await
    }

    async fn tell_glass_request(
        &self,
        tx: &Transaction,
        request: &GlassRequest,
    ) -> Result<(), DatabaseError> {
        let Some(about) = about(tx, request.hold).await? else {
            return Ok(());
        };
        let mut facts = facts(request.hold, &about, Kind::HoldGlassRequested);
        facts.by = vec![request.by.clone()];
        facts.said.clone_from(&request.reason);
        facts.note = format!("two of `{}` can let it happen", about.glass.join("` or `"));
        let notice = Notice {
            kind: Kind::HoldGlassRequested,
            hold: request.hold,
            ordinal: 0,
            group: String::new(),
            facts,
            happened_ms: request.at_ms,
        };
        self.tell(tx, notice, &about).await
    }
}

/// Why a further group is asked.
fn because(further: &Further) -> String {
    let beside = &further.beside;
    match further.why {
        Why::Unanswered => {
            // To the second: that is how people say it.
            let after = humantime::format_duration(Duration::from_secs(further.after_ms / 1_000));
            format!("`{beside}` did not answer within {after}")
        }
        Why::Quiet => format!("`{beside}` has not answered, and these are quiet hours"),
    }
}
