//! What became of the budgets of a task, as it goes out.

use checkrein_proto::task::v1 as wire;
use checkrein_shared::ledger::{Amounts, Meter};
use checkrein_shared::wire::{amounts_from_wire, amounts_to_wire};
use tonic::Status;

use super::parse_id;
use crate::api::{bad_field, text};
use crate::database::{DatabaseError, Transaction};
use crate::task::spend::account::Account;
use crate::task::spend::slice::Slice;
use crate::task::store::spend::{self, Reservation};
use crate::task::{Settle, Task, spend::key_of_task};

/// Adds to a task what it may use up, what it has, and what nobody knows.
pub(super) async fn show(tx: &Transaction, task: &Task, shown: &mut wire::Task) -> Result<(), DatabaseError> {
    let used = spend::of_task(tx, task.id).await?;
    for meter in Meter::ALL {
        let account = used
            .iter()
            .find(|(of, _)| *of == meter)
            .map(|(_, account)| *account);
        let limit = task.limits.spend.get(meter);
        if account.is_some() || limit.is_some() {
            shown
                .budgets
                .push(budget(meter, limit, account.unwrap_or_default()));
        }
    }
    for reservation in spend::unknown(tx, task.id).await? {
        // Every release is held in the budget of its task, and in others beside.
        if reservation.key == key_of_task(task.id, reservation.meter) {
            add(&mut shown.unknown, &reservation);
        }
    }
    Ok(())
}

/// What a person says of a release.
pub(super) fn parse_settle(request: wire::SettleRequest) -> Result<Settle, Status> {
    let spent = amounts_from_wire(&request.spent).map_err(|error| bad_field("spent", error.to_string()))?;
    if request.returned && !spent.is_empty() {
        return Err(bad_field(
            "returned",
            "what was not made has used nothing; say one of the two",
        ));
    }
    if text("reason", &request.reason)?.is_empty() {
        return Err(bad_field("reason", "how is it known what became of the call?"));
    }
    let release = request.use_id.parse();
    Ok(Settle {
        task: parse_id(&request.task_id)?,
        release: release.map_err(|_| bad_field("use_id", "not a UUID; `checkrein task show` lists them"))?,
        spent: (!request.returned).then_some(spent),
        reason: request.reason,
    })
}

impl From<Slice> for wire::Slice {
    fn from(slice: Slice) -> Self {
        Self {
            calls: u32::try_from(slice.calls).unwrap_or(u32::MAX),
            amounts: amounts_to_wire(&slice.amounts),
            lasts_ms: u64::try_from(slice.lasts.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

pub(super) fn budget(meter: Meter, limit: Option<u64>, account: Account) -> wire::Budget {
    wire::Budget {
        meter: meter.as_str().to_owned(),
        limit: limit.map(|limit| meter.text(limit)).unwrap_or_default(),
        spent: meter.text(account.spent),
        reserved: meter.text(account.reserved),
        unknown: meter.text(account.unknown),
    }
}

fn add(unknown: &mut Vec<wire::UnknownSpend>, reservation: &Reservation) {
    let use_id = reservation.use_id.to_string();
    let amount = amounts_to_wire(&Amounts::default().with(reservation.meter, reservation.amount));
    match unknown.iter_mut().find(|known| known.use_id == use_id) {
        Some(known) => known.amounts.extend(amount),
        None => unknown.push(wire::UnknownSpend {
            use_id,
            tool: reservation.tool.clone(),
            enforcer: reservation.enforcer.clone(),
            reserved_unix_ms: reservation.reserved_ms,
            amounts: amount,
        }),
    }
}
