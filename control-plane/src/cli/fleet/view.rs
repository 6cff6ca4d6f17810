//! An enforcer for scripts. Names are stable.

use checkrein_proto::fleet::v1 as wire;
use serde::Serialize;

use super::show::stage_word;
use crate::cli::output::rfc3339;

#[derive(Debug, Serialize)]
pub(super) struct EnforcerView {
    name: String,
    spiffe_id: String,
    labels: Vec<String>,
    agents: Vec<String>,
    registered_at: Option<String>,
    instances: Vec<InstanceView>,
    nacks: Vec<NackView>,
}

#[derive(Debug, Serialize)]
struct InstanceView {
    id: String,
    incarnation: u64,
    build: String,
    connected: bool,
    generation: u64,
    acked_at: Option<String>,
    last_seen_at: Option<String>,
    journal_pending: u64,
}

#[derive(Debug, Serialize)]
struct NackView {
    instance: String,
    generation: u64,
    stage: &'static str,
    reason: String,
    refused_at: Option<String>,
}

impl EnforcerView {
    pub(super) fn of(enforcer: &wire::Enforcer) -> Self {
        Self {
            name: enforcer.name.clone(),
            spiffe_id: enforcer.spiffe_id.clone(),
            labels: enforcer.labels.clone(),
            agents: enforcer.agents.clone(),
            registered_at: rfc3339(enforcer.registered_unix_ms),
            instances: enforcer.instances.iter().map(InstanceView::of).collect(),
            nacks: enforcer.nacks.iter().map(NackView::of).collect(),
        }
    }
}

impl InstanceView {
    fn of(instance: &wire::Instance) -> Self {
        Self {
            id: instance.instance_id.clone(),
            incarnation: instance.incarnation,
            build: instance.build.clone(),
            connected: instance.connected,
            generation: instance.generation,
            acked_at: rfc3339(instance.acked_unix_ms),
            last_seen_at: rfc3339(instance.last_seen_unix_ms),
            journal_pending: instance.journal_pending,
        }
    }
}

impl NackView {
    fn of(nack: &wire::NackReport) -> Self {
        Self {
            instance: nack.instance_id.clone(),
            generation: nack.generation,
            stage: stage_word(nack.stage()),
            reason: nack.reason.clone(),
            refused_at: rfc3339(nack.refused_unix_ms),
        }
    }
}
