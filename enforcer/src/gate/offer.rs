//! What a grant could ever be used for: what a list of tools may show.
//!
//! **Invariant**: it permits nothing. A tool that is not offered is denied when it is called; one that is offered may be.

use std::collections::BTreeSet;
use std::sync::Arc;

use checkrein_shared::action::Sha256;
use checkrein_shared::grant::Chain;
use checkrein_shared::id::TaskId;
use checkrein_shared::identity::SpiffeId;

use super::{Case, Gate, Request};
use crate::snapshot::Snapshot;

/// A grant that is believed at this moment. Let go of it before waiting for anybody: it keeps a snapshot.
#[derive(Debug)]
pub(crate) struct Offer {
    chain: Arc<Chain>,
    snapshot: Arc<Snapshot>,
}

impl Gate {
    /// What the caller may use this grant for; none, if it is not believed here and now.
    pub(crate) fn offer(&self, grant: &str) -> Option<Offer> {
        let caller = self.caller.clone()?;
        let request = Request::new(grant, "", b"{}");
        let case = Case::new(caller, request, &*self.core.clock).ok()?;
        let snapshot = self.core.snapshots.pin();
        let chain = self.core.admit(&case, &snapshot).ok()?;
        self.core.object(&case, &chain, &snapshot).ok()?;
        Some(Offer { chain, snapshot })
    }
}

impl Offer {
    /// Whose it is.
    pub(crate) fn agent(&self) -> &SpiffeId {
        &self.chain.leaf().agent
    }

    /// The task it is of.
    pub(crate) fn task(&self) -> TaskId {
        self.chain.leaf().task
    }

    /// For whom it acts.
    pub(crate) fn user(&self) -> &str {
        &self.chain.leaf().user
    }

    /// Every tool that the task may use.
    pub(crate) fn tools(&self) -> Vec<String> {
        let policy = self.snapshot.policy.as_ref();
        let tools = policy.map(|policy| policy.bundle.tools().map(|tool| tool.id.clone()));
        let tools = tools.into_iter().flatten();
        let usable: BTreeSet<String> = tools.filter(|tool| self.definition(tool).is_some()).collect();
        usable.into_iter().collect()
    }

    /// The definition that the catalog accepted of a tool that the task may use.
    pub(crate) fn definition(&self, tool: &str) -> Option<Sha256> {
        let policy = self.snapshot.policy.as_ref()?;
        let tool = policy.bundle.tool(tool)?;
        let grant = self.chain.leaf();
        let has_data =
            |data: &checkrein_shared::grant::DataScope| data.admits(&tool.id, &tool.yields).is_ok();
        let is_covered = grant.scope.names(&tool.id) && grant.data.as_ref().is_none_or(has_data);
        is_covered.then_some(tool.definition)
    }
}

#[cfg(test)]
mod tests;
