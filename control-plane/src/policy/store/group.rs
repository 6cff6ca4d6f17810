//! The groups of approvers that packs in force name: written with each generation, read by whoever counts votes.

use checkrein_shared::hold::{Group, Quiet, Then};
use checkrein_shared::identity::SpiffeId;

use crate::database::{DatabaseError, Transaction, signed};

pub(in crate::policy) async fn replace_groups(
    tx: &Transaction,
    groups: &[(String, String, Group)],
) -> Result<(), DatabaseError> {
    tx.execute("-- policy.clear_groups\nDELETE FROM approver_group", &[])
        .await
        .map_err(|source| tx.failed(source))?;
    for (name, pack, group) in groups {
        insert_group(tx, (name, pack), group).await?;
    }
    Ok(())
}

async fn insert_group(
    tx: &Transaction,
    (name, pack): (&str, &str),
    group: &Group,
) -> Result<(), DatabaseError> {
    let insert = "-- policy.insert_group
        INSERT INTO approver_group (name, pack, members, excludes, deputy_of, deputies, escalate_after_ms, escalate_to,
            quiet_from, quiet_to, quiet_offset, quiet_asks, break_glass)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let members: Vec<&str> = group.members.iter().map(SpiffeId::as_str).collect();
    let excludes: Vec<&str> = group
        .excludes
        .iter()
        .map(|exclusion| exclusion.as_str())
        .collect();
    let (deputy_of, deputies): (Vec<&str>, Vec<&str>) = group
        .deputies
        .iter()
        .map(|(member, deputy)| (member.as_str(), deputy.as_str()))
        .unzip();
    let escalation = group.escalation.as_ref();
    let quiet = group.quiet.as_ref();
    let minute = |of: fn(&Quiet) -> u32| quiet.map(|quiet| i32::try_from(of(quiet)).unwrap_or(i32::MAX));
    let asks = quiet.and_then(|quiet| match &quiet.then {
        Then::Ask(to) => Some(to),
        Then::Wait => None,
    });
    tx.change_one(
        insert,
        &[
            &name,
            &pack,
            &members,
            &excludes,
            &deputy_of,
            &deputies,
            &escalation.map(|escalation| signed(escalation.after_ms)),
            &escalation.map(|escalation| &escalation.to),
            &minute(|quiet| quiet.from),
            &minute(|quiet| quiet.to),
            &quiet.map(|quiet| quiet.utc_offset),
            &asks,
            &group.break_glass,
        ],
    )
    .await
}
