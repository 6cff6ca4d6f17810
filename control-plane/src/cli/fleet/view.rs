//! An enforcer for scripts. Names are stable.

use checkrein_proto::fleet::v1 as wire;
use serde::Serialize;

use crate::cli::output::rfc3339;
use crate::words::stage_word;

#[derive(Debug, Serialize)]
pub(super) struct EnforcerView {
    name: String,
    spiffe_id: String,
    labels: Vec<String>,
    agents: Vec<String>,
    registered_at: Option<String>,
    removed_at: Option<String>,
    instances: Vec<InstanceView>,
    nacks: Vec<NackView>,
}

/// One enforcer with its journals.
#[derive(Debug, Serialize)]
pub(super) struct ShownView {
    #[serde(flatten)]
    enforcer: EnforcerView,
    journals: Vec<JournalView>,
}

#[derive(Debug, Serialize)]
struct JournalView {
    instance: String,
    incarnation: u64,
    next_sequence: u64,
    advanced_at: Option<String>,
    forked_at: Option<String>,
    unfinished: bool,
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
            removed_at: rfc3339(enforcer.removed_unix_ms),
            instances: enforcer.instances.iter().map(InstanceView::of).collect(),
            nacks: enforcer.nacks.iter().map(NackView::of).collect(),
        }
    }
}

impl ShownView {
    pub(super) fn of(enforcer: &wire::Enforcer, journals: &[wire::Journal]) -> Self {
        Self {
            enforcer: EnforcerView::of(enforcer),
            journals: journals.iter().map(JournalView::of).collect(),
        }
    }
}

impl JournalView {
    fn of(journal: &wire::Journal) -> Self {
        Self {
            instance: journal.instance_id.clone(),
            incarnation: journal.incarnation,
            next_sequence: journal.next_sequence,
            advanced_at: rfc3339(journal.advanced_unix_ms),
            forked_at: rfc3339(journal.forked_unix_ms),
            unfinished: journal.unfinished,
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
