//! Places kept for newcomers, in Postgres. Whether one has expired is said by the database's clock.

use checkrein_shared::action::Sha256;
use checkrein_shared::identity::SpiffeId;
use tokio_postgres::Row;

use crate::database::{DatabaseError, Transaction, inconsistent, moment_ms, parsed, signed};
use crate::fleet::Register;
use crate::fleet::join::{Invitation, Invite};

/// Keeps a place; returns until when.
pub(in crate::fleet) async fn keep_place(
    tx: &Transaction,
    by: &SpiffeId,
    invite: &Invite,
) -> Result<u64, DatabaseError> {
    let keep = "-- invitation.keep
        INSERT INTO invitation (secret_sha256, role, name, labels, agents, invited_by, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::bigint * interval '1 millisecond')
        RETURNING expires_at";
    let register = &invite.register;
    let labels: Vec<String> = register
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let agents: Vec<&str> = register.agents.iter().map(SpiffeId::as_str).collect();
    let row = tx
        .query_one(
            keep,
            &[
                &&invite.secret.0[..],
                &invite.role.as_str(),
                &register.name,
                &labels,
                &agents,
                &by.as_str(),
                &signed(invite.life_ms),
            ],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(moment_ms(&row, "expires_at"))
}

/// The place that a secret opens.
pub(in crate::fleet) async fn find_invitation(
    tx: &Transaction,
    secret: &Sha256,
) -> Result<Option<Invitation>, DatabaseError> {
    let find = "-- invitation.find
        SELECT role, name, labels, agents, invited_by, key_sha256, expires_at <= clock_timestamp() AS has_expired
        FROM invitation WHERE secret_sha256 = $1";
    let row = tx
        .query_opt(find, &[&&secret.0[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    row.as_ref().map(decode).transpose()
}

/// Takes a place for a key, if nobody has and it has not expired. Of two at once the second waits, and is too late.
pub(in crate::fleet) async fn take_place(
    tx: &Transaction,
    secret: &Sha256,
    key: &Sha256,
) -> Result<bool, DatabaseError> {
    let take = "-- invitation.take
        UPDATE invitation SET key_sha256 = $2, joined_at = clock_timestamp()
        WHERE secret_sha256 = $1 AND key_sha256 IS NULL AND expires_at > clock_timestamp()";
    let taken = tx
        .execute(take, &[&&secret.0[..], &&key.0[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(taken == 1)
}

fn decode(row: &Row) -> Result<Invitation, DatabaseError> {
    let name: String = row.get("name");
    let broken = || inconsistent("invitation", &name);
    let labels: Vec<String> = row.get("labels");
    let labels = labels.iter().map(|label| {
        let (key, value) = label.split_once('=').ok_or_else(broken)?;
        Ok((key.to_owned(), value.to_owned()))
    });
    let agents: Vec<String> = row.get("agents");
    let agents = agents.iter().map(|agent| agent.parse().map_err(|_| broken()));
    let key: Option<&[u8]> = row.get("key_sha256");
    Ok(Invitation {
        role: parsed(row, "role", "invitation")?,
        register: Register {
            labels: labels.collect::<Result<_, DatabaseError>>()?,
            agents: agents.collect::<Result<_, _>>()?,
            certificate_request: String::new(),
            name: name.clone(),
        },
        by: parsed(row, "invited_by", "invitation")?,
        has_expired: row.get("has_expired"),
        key: key.map(Sha256::try_from).transpose().map_err(|_| broken())?,
    })
}
