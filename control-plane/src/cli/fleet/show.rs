//! Enforcers for people: what each runs, how far behind it is, and what it refused.

use checkrein_proto::fleet::v1::{Enforcer, Instance, Journal};

use crate::cli::output::{Cell, Fields, Paint, Style, Table, relative, visible};
use crate::words::{is_behind, stage_word};

/// Rows, one for each directory an enforcer runs from.
pub(super) fn table(enforcers: &[Enforcer], newest: u64, now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&[
        "ENFORCER",
        "STATE",
        "GENERATION",
        "ACKED",
        "TO UPLOAD",
        "SEEN",
        "LABELS",
    ]);
    for enforcer in enforcers {
        let labels = enforcer.labels.join(" ");
        if enforcer.instances.is_empty() {
            table.push([
                Cell::from(&*enforcer.name).styled(Style::Strong),
                if is_removed(enforcer) {
                    Cell::word("removed")
                } else {
                    Cell::dim("never connected")
                },
                Cell::from(""),
                Cell::from(""),
                Cell::from(""),
                Cell::from(""),
                Cell::dim(&labels),
            ]);
        }
        for instance in &enforcer.instances {
            table.push([
                Cell::from(&*enforcer.name).styled(Style::Strong),
                Cell::word(if is_removed(enforcer) {
                    "removed"
                } else {
                    state_word(instance, newest)
                }),
                Cell::from(format!("{} of {newest}", instance.generation)),
                Cell::from(relative(instance.acked_unix_ms, now_ms)),
                Cell::from(instance.journal_pending.to_string()),
                Cell::from(relative(instance.last_seen_unix_ms, now_ms)),
                Cell::dim(&labels),
            ]);
        }
    }
    table.render(
        paint,
        "no enforcers; register one with `checkrein fleet add NAME`",
    )
}

/// One enforcer, whole.
pub(super) fn card(enforcer: &Enforcer, journals: &[Journal], now_ms: u64, paint: Paint) -> String {
    let mut fields = Fields::default();
    fields
        .line("identity", &enforcer.spiffe_id)
        .line("labels", &enforcer.labels.join(" "))
        .block("speaks for", &enforcer.agents.join("\n"), Style::Plain)
        .line("registered", &relative(enforcer.registered_unix_ms, now_ms));
    if is_removed(enforcer) {
        fields.line("removed", &relative(enforcer.removed_unix_ms, now_ms));
    }
    let mut instances = Table::new(&[
        "INSTANCE",
        "STATE",
        "GENERATION",
        "ACKED",
        "TO UPLOAD",
        "SEEN",
        "BUILD",
    ]);
    for instance in &enforcer.instances {
        instances.push([
            Cell::from(format!("{} #{}", instance.instance_id, instance.incarnation)),
            Cell::word(if instance.connected { "connected" } else { "away" }),
            Cell::from(instance.generation.to_string()),
            Cell::from(relative(instance.acked_unix_ms, now_ms)),
            Cell::from(instance.journal_pending.to_string()),
            Cell::from(relative(instance.last_seen_unix_ms, now_ms)),
            Cell::dim(&instance.build),
        ]);
    }
    let mut nacks = Table::new(&["REFUSED", "GENERATION", "STAGE", "WHY", "INSTANCE"]);
    for nack in &enforcer.nacks {
        nacks.push([
            Cell::from(relative(nack.refused_unix_ms, now_ms)),
            Cell::from(nack.generation.to_string()),
            Cell::from(stage_word(nack.stage())).styled(Style::Bad),
            Cell::from(&*nack.reason),
            Cell::dim(&nack.instance_id),
        ]);
    }
    format!(
        "{}\n\n{}\n{}\n{}\n{}",
        paint.apply(Style::Strong, &visible(&enforcer.name)),
        fields.render(paint),
        instances.render(paint, "never connected"),
        journal_table(journals, now_ms).render(paint, "no records yet"),
        nacks.render(paint, "refused no bundle"),
    )
}

/// How far each journal has come home; what is wrong with one stands out.
fn journal_table(journals: &[Journal], now_ms: u64) -> Table {
    let mut table = Table::new(&["JOURNAL", "RECORDS", "MOVED", "TROUBLE"]);
    for journal in journals {
        let trouble = match (journal.forked_unix_ms, journal.unfinished) {
            (0, false) => Cell::from(""),
            (0, true) => Cell::from("unfinished").styled(Style::Bad),
            (at_ms, _) => Cell::from(format!("forked {}", relative(at_ms, now_ms))).styled(Style::Bad),
        };
        table.push([
            Cell::from(format!("{} #{}", journal.instance_id, journal.incarnation)),
            Cell::from(journal.next_sequence.to_string()),
            Cell::from(relative(journal.advanced_unix_ms, now_ms)),
            trouble,
        ]);
    }
    table
}

const fn is_removed(enforcer: &Enforcer) -> bool {
    enforcer.removed_unix_ms > 0
}

const fn state_word(instance: &Instance, newest: u64) -> &'static str {
    if is_behind(instance, newest) {
        "behind"
    } else if instance.connected {
        "connected"
    } else {
        "away"
    }
}

#[cfg(test)]
mod tests;
