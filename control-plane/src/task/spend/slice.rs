//! Slices: parts of budgets that an enforcer holds, so that calls which cost something are paid where they are decided.
//!
//! ```text
//! confirm, and a slice is wanted --> cut       an eighth of what is free, in the transaction that lets the call go
//! journal --> drawn: it is the call's own     closed: the rest is free again     in the journal's order
//! journal home whole, and no end --> the rest is free again   not whole --> unknown
//! ```
//!
//! **Invariant**: what a slice holds was free, and is taken until a journal that misses nothing says that it was not drawn. What was drawn
//! counts, whatever there was to draw from.

use std::collections::BTreeMap;
use std::time::Duration;

use checkrein_shared::decision::{Drawn, SliceClosed};
use checkrein_shared::grant::{Chain, Grant};
use checkrein_shared::id::{InstanceId, SliceId, TaskId};
use checkrein_shared::ledger::{AMOUNT_MAX, Amounts};
use uuid::Uuid;

use super::account::{Account, End, Held};
use super::{Budget, Ending, Spending, close, key_of_task};
use crate::database::{Database, DatabaseError, Transaction};
use crate::task::store::spend::{Line, Reservation};
use crate::task::{Task, store};

/// An enforcer gets at most this part of what is free.
const PART: u64 = 8;
/// Where less than this part of a budget is free, every call is confirmed.
const FREE_MIN: u64 = 10;
/// A slice is for at most so many calls,
const CALLS_MAX: u64 = 64;
/// and not worth while for fewer.
const CALLS_MIN: u64 = 2;
/// Longer than this nobody decides without its control plane.
const LASTS_MAX: Duration = Duration::from_mins(15);
/// A window that ends sooner is not worth a slice.
const LASTS_MIN: Duration = Duration::from_secs(2);

/// One that was closed before it was made is known as such for so long; whoever asked for it has given up long before.
const CLOSED_KEPT: Duration = Duration::from_hours(1);

/// What an enforcer holds from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// For so many calls.
    pub calls: u64,
    /// Which take so much together, at most.
    pub amounts: Amounts,
    /// For so long.
    pub lasts: Duration,
}

/// A call that was paid from a slice, as its record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw<'a> {
    /// In which task.
    pub task: TaskId,
    /// The name of the release.
    pub release: Uuid,
    /// The tool.
    pub tool: &'a str,
    /// From which slice, and how much.
    pub drawn: Drawn,
}

/// What came home of one journal.
#[derive(Debug, Clone, Default)]
pub struct Home<'a> {
    /// Calls that were paid from slices.
    pub draws: Vec<Draw<'a>>,
    /// Slices that ended, after that.
    pub closed: Vec<SliceClosed>,
    /// How releases ended.
    pub endings: Vec<(Uuid, Ending)>,
}

/// What there is to cut from.
pub(super) struct Cut<'a> {
    pub(super) budgets: &'a [Budget],
    pub(super) accounts: &'a mut [Account],
    pub(super) now_ms: u64,
}

impl Home<'_> {
    /// The tasks that it is about.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
        let drawn = self.draws.iter().map(|draw| draw.task);
        drawn.chain(self.closed.iter().map(|closed| closed.task))
    }
}

/// Holds a slice for further calls like this release, if there is enough to spare. The budgets are locked, and written by whoever asks.
pub(super) async fn cut(
    tx: &Transaction,
    (task, chain): (&Task, &Chain),
    (id, spending): (SliceId, &Spending),
    of: Cut<'_>,
) -> Result<Option<Slice>, DatabaseError> {
    let cost = |budget: &Budget| spending.cost.get(budget.meter).unwrap_or_default();
    let mut calls = CALLS_MAX;
    for (budget, account) in of.budgets.iter().zip(&*of.accounts) {
        if let Some(limit) = budget.limit {
            calls = calls.min(spared(limit, account.taken(), cost(budget)));
        }
    }
    // The release itself has been charged since the task was read.
    if let Some(limit) = task.limits.calls {
        calls = calls.min(spared(limit, task.calls_used + 1, 1));
    }
    let grants = counted(chain);
    for (grant, limit) in &grants {
        let used = store::delegation::calls_used(tx, grant).await?;
        calls = calls.min(spared(*limit, used, 1));
    }
    let ends_ms = of.budgets.iter().filter_map(|budget| budget.window_end).min();
    let left_ms = ends_ms.map_or(u64::MAX, |ends_ms| ends_ms.saturating_sub(of.now_ms));
    let lasts = LASTS_MAX.min(Duration::from_millis(left_ms));
    if calls < CALLS_MIN || lasts < LASTS_MIN {
        return Ok(None);
    }
    let mut slice = Slice {
        calls,
        amounts: Amounts::default(),
        lasts,
    };
    for (meter, cost) in spending.cost.iter() {
        slice
            .amounts
            .set(meter, cost.saturating_mul(calls).min(AMOUNT_MAX));
    }
    let grants: Vec<&Grant> = grants.iter().map(|(grant, _)| *grant).collect();
    let held = (id, task.id, task.limits.calls.is_some());
    if !store::slice::insert(tx, held, (&slice, &grants), spending).await? {
        // Its end came first.
        return Ok(None);
    }
    store::slice::charge_calls(tx, id, signed_calls(calls)).await?;
    for (budget, account) in of.budgets.iter().zip(of.accounts) {
        account.reserve(slice.amounts.get(budget.meter).unwrap_or_default());
    }
    let lines: Vec<Line> = of.budgets.iter().map(Budget::line).collect();
    let held = Spending {
        cost: slice.amounts,
        ..spending.clone()
    };
    store::spend::insert(tx, (task.id, id.uuid()), &lines, &held).await?;
    Ok(Some(slice))
}

/// How many calls of this cost an enforcer may hold of a budget.
const fn spared(limit: u64, taken: u64, cost: u64) -> u64 {
    let free = limit.saturating_sub(taken);
    if free == 0 || free.saturating_mul(FREE_MIN) < limit {
        return 0;
    }
    match (free / PART).checked_div(cost) {
        Some(calls) => calls,
        None => CALLS_MAX,
    }
}

/// The grants of a chain that have budgets of calls beside the task's.
fn counted(chain: &Chain) -> Vec<(&Grant, u64)> {
    let grants = chain.grants().skip(1);
    grants
        .filter_map(|grant| Some((grant, grant.limits.calls?)))
        .collect()
}

/// Takes in what one journal says of budgets: draws first, then ends of slices, then how calls ended. Whoever asks has locked the tasks.
pub async fn take_in(
    tx: &Transaction,
    journal: (&str, InstanceId, u64),
    home: &Home<'_>,
) -> Result<(), DatabaseError> {
    if !(home.draws.is_empty() && home.closed.is_empty()) {
        let drawn = home.draws.iter().map(|draw| draw.drawn.slice.uuid());
        let mut slices: Vec<Uuid> = drawn
            .chain(home.closed.iter().map(|closed| closed.slice.uuid()))
            .collect();
        slices.sort_unstable();
        slices.dedup();
        let uses: Vec<Uuid> = home.endings.iter().map(|(release, _)| *release).collect();
        let mut lines = store::slice::lines(tx, journal, (&slices, &uses)).await?;
        lines.extend(home.draws.iter().flat_map(of_task));
        lines.sort();
        lines.dedup();
        // All that is changed from here on, at once.
        let mut accounts = store::spend::lock(tx, &lines).await?;
        draw(tx, journal, &home.draws, (&slices, &lines, &mut accounts)).await?;
        store::spend::write(tx, &lines, &accounts).await?;
        end(tx, journal, &home.closed).await?;
    }
    super::settle(tx, journal, &home.endings).await
}

/// The budgets of the task of a draw, which are charged even if there is no slice.
fn of_task<'a>(draw: &'a Draw<'_>) -> impl Iterator<Item = Line> + 'a {
    draw.drawn.cost.iter().map(|(meter, _)| Line {
        key: key_of_task(draw.task, meter),
        window_start: 0,
        meter,
    })
}

/// Gives each call what it took from its slice; whatever the slice does not have is charged beside it.
async fn draw(
    tx: &Transaction,
    journal: (&str, InstanceId, u64),
    draws: &[Draw<'_>],
    (slices, lines, accounts): (&[Uuid], &[Line], &mut [Account]),
) -> Result<(), DatabaseError> {
    if draws.is_empty() {
        return Ok(());
    }
    let mut held = store::slice::reservations(tx, journal, slices).await?;
    let mut own = Vec::new();
    let mut calls: BTreeMap<(SliceId, TaskId), i64> = BTreeMap::new();
    for draw in draws {
        *calls.entry((draw.drawn.slice, draw.task)).or_default() += 1;
        for (line, beside) in split(draw, &mut held) {
            if let Ok(at) = lines.binary_search(&line) {
                accounts[at].reserve(beside);
                own.push((draw, line));
            }
        }
    }
    store::slice::insert_drawn(tx, journal, &own).await?;
    store::slice::write_left(tx, &held).await?;
    for ((slice, task), calls) in calls {
        store::slice::draw_calls(tx, journal, (slice, task), calls).await?;
    }
    Ok(())
}

/// The budgets that a draw is charged to, and how much of it the slice did not have there. What it had is taken from it.
fn split(draw: &Draw<'_>, held: &mut [Reservation]) -> Vec<(Line, u64)> {
    let mut charged: Vec<(Line, u64)> = Vec::new();
    let slice = draw.drawn.slice.uuid();
    for held in held.iter_mut().filter(|held| held.use_id == slice) {
        let cost = draw.drawn.cost.get(held.meter).unwrap_or_default();
        let part = cost.min(held.amount);
        held.amount -= part;
        charged.push((held.line.clone(), cost - part));
    }
    for line in of_task(draw) {
        if !charged.iter().any(|(known, _)| *known == line) {
            let cost = draw.drawn.cost.get(line.meter).unwrap_or_default();
            charged.push((line, cost));
        }
    }
    charged
}

/// What is left of slices whose end came home is free again; one that was not made yet never will be.
async fn end(
    tx: &Transaction,
    journal: (&str, InstanceId, u64),
    closed: &[SliceClosed],
) -> Result<(), DatabaseError> {
    let ids: Vec<Uuid> = closed.iter().map(|closed| closed.slice.uuid()).collect();
    let tasks: Vec<Uuid> = closed.iter().map(|closed| closed.task.uuid()).collect();
    let open = store::slice::reservations(tx, journal, &ids).await?;
    close(tx, (open, Held::Reserved), |_| End::Returned).await?;
    store::slice::give_calls_back(tx, journal, &ids).await?;
    store::slice::close(tx, journal, (&ids, &tasks)).await
}

/// The slices of earlier openings of a directory, whose journals are home: what was not drawn from them is free again, if nothing that
/// those recorded is missing. Whoever asks has locked their tasks and budgets.
pub(super) async fn give_up(
    tx: &Transaction,
    journal: (&str, InstanceId, u64),
    whole_since: Option<u64>,
) -> Result<(), DatabaseError> {
    for owner in store::slice::open_before(tx, journal).await? {
        let is_whole = whole_since.is_some_and(|whole_since| whole_since <= owner.incarnation);
        if is_whole && !owner.is_forked {
            let of_it = (journal.0, journal.1, owner.incarnation);
            let closed = SliceClosed {
                slice: owner.id,
                task: owner.task,
            };
            end(tx, of_it, &[closed]).await?;
        }
    }
    store::slice::close_before(tx, journal).await
}

/// Forgets slices that ended so long ago that nobody asks for them any more.
pub async fn forget_slices(database: &Database) -> Result<u64, DatabaseError> {
    let tx = database.begin("task.forget_slices").await?;
    let forgotten = store::slice::delete_closed(&tx, CLOSED_KEPT).await?;
    tx.commit().await?;
    Ok(forgotten)
}

fn signed_calls(calls: u64) -> i64 {
    i64::try_from(calls).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
