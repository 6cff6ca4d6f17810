//! Who may answer and who is away, on the wire.

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::hold::{Hold, State, Why};
use checkrein_shared::identity::{InvalidSpiffeId, Role, SpiffeId};
use prost::Message;
use tonic::Status;

use crate::api::{bad_field, database_trouble, idempotency_key};
use crate::database::{DatabaseError, Transaction};
use crate::hold::group::Moment;
use crate::hold::{Absence, Holds};

/// A hold with who may answer it now, if it waits for somebody.
pub(super) async fn whole(tx: &Transaction, hold: &Hold) -> Result<wire::Hold, DatabaseError> {
    if hold.state != State::Open {
        return Ok(wire::Hold::from(hold));
    }
    let moment = Moment::read(tx, hold, &hold.requirements).await?;
    Ok(encode_open(hold, &moment))
}

/// The same of several, in their order: those that fit into so many bytes, and the first in any case.
pub(super) async fn whole_within(
    tx: &Transaction,
    holds: &[Hold],
    bytes_max: usize,
) -> Result<Vec<wire::Hold>, DatabaseError> {
    let open: Vec<&Hold> = holds.iter().filter(|hold| hold.state == State::Open).collect();
    let mut moments = Moment::read_all(tx, &open).await?.into_iter();
    let (mut bytes, mut whole) = (0, Vec::with_capacity(holds.len()));
    for hold in holds {
        let moment = if hold.state == State::Open {
            moments.next()
        } else {
            None
        };
        let encoded = match moment {
            Some(moment) => encode_open(hold, &moment),
            None => wire::Hold::from(hold),
        };
        bytes += encoded.encoded_len();
        if bytes > bytes_max && !whole.is_empty() {
            break;
        }
        whole.push(encoded);
    }
    Ok(whole)
}

fn encode_open(hold: &Hold, moment: &Moment<'_>) -> wire::Hold {
    let mut encoded = wire::Hold::from(hold);
    let electorate = moment.electorate();
    for requirement in &hold.requirements {
        let rule = || requirement.rule.clone();
        let electors = electorate.electors_now(&requirement.group);
        encoded
            .may_answer
            .extend(electors.iter().map(|elector| wire::MayAnswer {
                rule: rule(),
                capacity: Some(elector.into()),
            }));
        let also = electorate.escalated(&requirement.group);
        let asked = |(group, since_ms, why): (String, u64, Why)| wire::Asked {
            rule: rule(),
            group,
            why: wire::Why::from(why).into(),
            since_unix_ms: since_ms,
        };
        encoded.asked.extend(also.into_iter().map(asked));
    }
    let glass = moment.glass_groups().into_iter().map(str::to_owned);
    encoded.glass_groups = glass.collect();
    encoded
}

/// The same, in a transaction of its own.
pub(super) async fn shown(holds: &Holds, hold: &Hold) -> Result<wire::Hold, Status> {
    let looking = async {
        let tx = holds.database.begin("hold.may_answer").await?;
        whole(&tx, hold).await
    };
    looking.await.map_err(|error| database_trouble(&error))
}

pub(super) async fn go_away(
    holds: &Holds,
    by: &SpiffeId,
    request: wire::GoAwayRequest,
) -> Result<wire::GoAwayResponse, Status> {
    idempotency_key(&request.idempotency_key)?;
    let until_ms = Some(request.until_unix_ms).filter(|until_ms| *until_ms != 0);
    let absence = holds
        .go_away(by, &approver(by, &request.approver)?, until_ms)
        .await?;
    Ok(wire::GoAwayResponse {
        absence: Some(encode(&absence)),
    })
}

pub(super) async fn come_back(
    holds: &Holds,
    by: &SpiffeId,
    request: wire::ComeBackRequest,
) -> Result<wire::ComeBackResponse, Status> {
    idempotency_key(&request.idempotency_key)?;
    let was_away = holds.come_back(by, &approver(by, &request.approver)?).await?;
    Ok(wire::ComeBackResponse { was_away })
}

pub(super) fn encode(absence: &Absence) -> wire::Absence {
    wire::Absence {
        approver: absence.approver.to_string(),
        since_unix_ms: absence.since_ms,
        until_unix_ms: absence.until_ms.unwrap_or_default(),
        declared_by: absence.declared_by.to_string(),
    }
}

/// Whoever is named, or else whoever calls.
fn approver(by: &SpiffeId, named: &str) -> Result<SpiffeId, Status> {
    if named.is_empty() {
        return match by.role() {
            Some(Role::Approver) => Ok(by.clone()),
            _ => Err(bad_field(
                "approver",
                "name whom you mean: you are no approver yourself",
            )),
        };
    }
    named
        .parse()
        .map_err(|error: InvalidSpiffeId| bad_field("approver", error.to_string()))
}
