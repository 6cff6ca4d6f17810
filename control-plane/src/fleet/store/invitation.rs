//! Places kept for newcomers, in Postgres. Whether one has expired is said by the database's clock; a place is taken or taken
//! back by whoever locks its row first.

use checkrein_shared::action::Sha256;
use checkrein_shared::identity::{Role, SpiffeId};
use tokio_postgres::Row;

use crate::database::{
    DatabaseError, Transaction, inconsistent, moment_ms, moment_ms_opt, parsed, signed, unsigned,
};
use crate::fleet::Register;
use crate::fleet::invitation::{Invited, InvitedState};
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
        SELECT role, name, labels, agents, invited_by, key_sha256, expires_at <= clock_timestamp() AS has_expired,
            withdrawn_at IS NOT NULL AS is_withdrawn
        FROM invitation WHERE secret_sha256 = $1";
    let row = tx
        .query_opt(find, &[&&secret.0[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    row.as_ref().map(decode).transpose()
}

/// Takes a place for a key, if nobody has, it was not withdrawn and it has not expired. Of two at once the second waits, and is too late.
pub(in crate::fleet) async fn take_place(
    tx: &Transaction,
    secret: &Sha256,
    key: &Sha256,
) -> Result<bool, DatabaseError> {
    let take = "-- invitation.take
        UPDATE invitation SET key_sha256 = $2, joined_at = clock_timestamp()
        WHERE secret_sha256 = $1 AND key_sha256 IS NULL AND withdrawn_at IS NULL
            AND expires_at > clock_timestamp()";
    let taken = tx
        .execute(take, &[&&secret.0[..], &&key.0[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(taken == 1)
}

/// Withdraws all places of an identity that nobody has taken. One that is being taken is waited for.
pub(in crate::fleet) async fn withdraw_places(
    tx: &Transaction,
    role: Role,
    name: &str,
    by: &SpiffeId,
) -> Result<(), DatabaseError> {
    let withdraw = "-- invitation.withdraw
        UPDATE invitation SET withdrawn_by = $3, withdrawn_at = clock_timestamp()
        WHERE role = $1 AND name = $2 AND key_sha256 IS NULL AND withdrawn_at IS NULL";
    tx.execute(withdraw, &[&role.as_str(), &name, &by.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// The invitation of an identity that was taken or withdrawn last.
pub(in crate::fleet) async fn latest_invited(
    tx: &Transaction,
    trust_domain: &str,
    role: Role,
    name: &str,
) -> Result<Option<Invited>, DatabaseError> {
    let read = "-- invitation.latest
        SELECT place, role, name, labels, agents, invited_by, invited_at, expires_at, joined_at, withdrawn_by, withdrawn_at,
            expires_at <= clock_timestamp() AS has_expired
        FROM invitation WHERE role = $1 AND name = $2 AND (joined_at IS NOT NULL OR withdrawn_at IS NOT NULL)
        ORDER BY coalesce(withdrawn_at, joined_at) DESC, place DESC LIMIT 1";
    let row = tx
        .query_opt(read, &[&role.as_str(), &name])
        .await
        .map_err(|source| tx.failed(source))?;
    row.map(|row| decode_invited(&row, trust_domain)).transpose()
}

/// Invitations before a place, the latest first.
pub(in crate::fleet) async fn list_invited(
    tx: &Transaction,
    trust_domain: &str,
    before: u64,
    rows: i64,
) -> Result<Vec<Invited>, DatabaseError> {
    let read = "-- invitation.list
        SELECT place, role, name, labels, agents, invited_by, invited_at, expires_at, joined_at, withdrawn_by, withdrawn_at,
            expires_at <= clock_timestamp() AS has_expired
        FROM invitation WHERE place < $1 ORDER BY place DESC LIMIT $2";
    let rows = tx
        .query(read, &[&signed(before), &rows])
        .await
        .map_err(|source| tx.failed(source))?;
    rows.iter().map(|row| decode_invited(row, trust_domain)).collect()
}

fn decode_invited(row: &Row, trust_domain: &str) -> Result<Invited, DatabaseError> {
    let name: String = row.get("name");
    let broken = || inconsistent("invitation", &name);
    let joined_ms = moment_ms_opt(row, "joined_at");
    let withdrawn_ms = moment_ms_opt(row, "withdrawn_at");
    let state = match (joined_ms, withdrawn_ms, row.get("has_expired")) {
        (Some(at_ms), None, _) => InvitedState::Taken { at_ms },
        (None, Some(at_ms), _) => InvitedState::Withdrawn {
            by: parsed(row, "withdrawn_by", "invitation")?,
            at_ms,
        },
        (None, None, true) => InvitedState::Expired,
        (None, None, false) => InvitedState::Open,
        (Some(_), Some(_), _) => return Err(broken()),
    };
    let role = parsed(row, "role", "invitation")?;
    Ok(Invited {
        place: unsigned(row.get("place")),
        id: SpiffeId::of(trust_domain, role, &name).map_err(|_| broken())?,
        labels: row.get("labels"),
        agents: row.get("agents"),
        by: parsed(row, "invited_by", "invitation")?,
        at_ms: moment_ms(row, "invited_at"),
        expires_ms: moment_ms(row, "expires_at"),
        state,
    })
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
        is_withdrawn: row.get("is_withdrawn"),
        key: key.map(Sha256::try_from).transpose().map_err(|_| broken())?,
    })
}
