//! What calls use up: held before they are released, settled when their end is known, and given back only if they were not made.
//!
//! ```text
//! confirm, consume --> reserve in every budget that bounds the call     in the transaction that lets it go
//! confirm --> slice: for further calls, which an enforcer then lets go itself
//! journal --> outcome: settled   deny after all: returned                exactly once, by the cursor
//! journal drained, and no word: unknown                                   until a person settles it
//! ```
//!
//! **Invariant**: no budget is overspent by what was foreseen, whatever happens at once or crashes; what is unknown never comes back by
//! itself.

pub(super) mod account;
pub(super) mod gone;
pub(super) mod queue;
pub(super) mod settle;
pub(super) mod slice;

use checkrein_shared::action::Sha256;
use checkrein_shared::decision::{Cause, OutcomeResult};
use checkrein_shared::grant::{Chain, Grant};
use checkrein_shared::id::{GrantId, InstanceId, SliceId, TaskId};
use checkrein_shared::ledger::{Amounts, Meter};
use checkrein_shared::policy::{self, Per};
use uuid::Uuid;

use self::account::{Account, End, Held, Room};
use self::slice::{Cut, Slice};
use super::presented::Objection;
use super::{Task, store};
use crate::database::{DatabaseError, Transaction};
use store::spend::{Line, Reservation};

/// What a release uses up at most, and whose journal will say how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// How much.
    pub cost: Amounts,
    /// The tool, for people.
    pub tool: String,
    /// The enforcer's name.
    pub enforcer: String,
    /// Its directory.
    pub instance: InstanceId,
    /// Which opening of it.
    pub incarnation: u64,
}

/// What the journal says of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was made, and used up this, as far as that is known.
    Made(OutcomeResult, Amounts),
    /// It was not made.
    NotMade,
}

/// What became of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reserved {
    /// All of it is held, or there is nothing to hold; and so is this slice for further calls.
    Whole(Option<Slice>),
    /// Calls under way stand in the way, in these budgets; they may give back enough. In a sentence.
    Busy(Vec<String>, String),
    /// It can't be had.
    Refused(Objection),
}

/// One budget that bounds a release.
struct Budget {
    key: String,
    window_start: u64,
    /// None: it has no windows.
    window_end: Option<u64>,
    meter: Meter,
    /// None: it is only counted.
    limit: Option<u64>,
    whose: String,
}

/// Holds what a release of a locked task takes, in every budget that bounds it, and a slice for further ones if that is wanted.
pub(super) async fn reserve(
    tx: &Transaction,
    (task, chain): (&Task, &Chain),
    (release, spending, is_new): (Uuid, &Spending, bool),
    slice: Option<SliceId>,
) -> Result<Reserved, DatabaseError> {
    if !is_new {
        return again(tx, (task.id, release), (spending, slice)).await;
    }
    if spending.cost.is_empty() && slice.is_none() {
        return Ok(Reserved::Whole(None));
    }
    let (budgets, now_ms) = bounding(tx, (task, chain), spending).await?;
    let lines: Vec<Line> = budgets.iter().map(Budget::line).collect();
    let mut accounts = store::spend::lock(tx, &lines).await?;
    let ahead = store::spend::waits_ahead(tx, release, &lines).await?;
    let mut busy = None;
    for (budget, account) in budgets.iter().zip(&mut accounts) {
        let amount = spending.cost.get(budget.meter).unwrap_or_default();
        let room = budget
            .limit
            .map_or(Room::Free, |limit| account.room(amount, limit));
        let is_behind = budget.limit.is_some() && ahead.contains(&budget.key);
        match room {
            Room::UsedUp => {
                return Ok(Reserved::Refused((
                    Cause::Budget,
                    budget.said(account, amount, USED_UP),
                )));
            }
            Room::Free if !is_behind => account.reserve(amount),
            Room::Free | Room::Busy => busy = busy.or_else(|| Some(budget.said(account, amount, BUSY))),
        }
    }
    if let Some(said) = busy {
        let bounded = budgets.iter().filter(|budget| budget.limit.is_some());
        return Ok(Reserved::Busy(
            bounded.map(|budget| budget.key.clone()).collect(),
            said,
        ));
    }
    let mut held = None;
    // Nobody gets more than it needs now while somebody waits.
    if let Some(id) = slice.filter(|_| ahead.is_empty()) {
        let of = Cut {
            budgets: &budgets,
            accounts: &mut accounts,
            now_ms,
        };
        held = slice::cut(tx, (task, chain), (id, spending), of).await?;
    }
    store::spend::write(tx, &lines, &accounts).await?;
    store::spend::insert(tx, (task.id, release), &lines, spending).await?;
    store::spend::leave(tx, release).await?;
    Ok(Reserved::Whole(held))
}

/// Every budget that bounds a release, in the order in which they are locked, and the time.
async fn bounding(
    tx: &Transaction,
    (task, chain): (&Task, &Chain),
    spending: &Spending,
) -> Result<(Vec<Budget>, u64), DatabaseError> {
    let mut budgets = budgets(task, chain, &spending.cost);
    let (of_packs, now_ms) = store::spend::of_packs(tx).await?;
    budgets.extend(
        of_packs
            .iter()
            .filter_map(|set| of_pack(set, chain, spending, now_ms)),
    );
    budgets.sort_by_key(Budget::line);
    Ok((budgets, now_ms))
}

const USED_UP: &str = "do not try again in another way; tell the user";
const BUSY: &str =
    "what is left is held by calls under way, which gave back too little in time; try again later";

/// A release that was named before goes ahead only if all that it takes is still held; with the slice that it was given, if it was.
async fn again(
    tx: &Transaction,
    (task, release): (TaskId, Uuid),
    (spending, slice): (&Spending, Option<SliceId>),
) -> Result<Reserved, DatabaseError> {
    let held = store::spend::of_use(tx, task, release).await?;
    let is_held = |meter: Meter, amount: u64| {
        let mut of_meter = held.iter().filter(|held| held.meter == meter).peekable();
        of_meter.peek().is_some()
            && of_meter.all(|held| held.held == Some(Held::Reserved) && held.amount == amount)
    };
    if spending.cost.iter().all(|(meter, amount)| is_held(meter, amount)) {
        let journal = (&*spending.enforcer, spending.instance, spending.incarnation);
        let given = match slice {
            Some(id) => store::slice::given(tx, journal, (id, task)).await?,
            None => None,
        };
        return Ok(Reserved::Whole(given));
    }
    let reason = "what this release takes is not held for it any more; present the call again";
    Ok(Reserved::Refused((Cause::Budget, reason.to_owned())))
}

/// Ends what is held for the releases of one journal, as it says. What has ended already stays as it is.
async fn settle(
    tx: &Transaction,
    journal: (&str, InstanceId, u64),
    endings: &[(Uuid, Ending)],
) -> Result<(), DatabaseError> {
    if endings.is_empty() {
        return Ok(());
    }
    let uses: Vec<Uuid> = endings.iter().map(|(id, _)| *id).collect();
    let open = store::spend::open_of(tx, journal, &uses).await?;
    close(tx, (open, Held::Reserved), |reservation| {
        let ending = endings.iter().find(|(id, _)| *id == reservation.use_id);
        match ending.map(|(_, ending)| ending) {
            Some(Ending::NotMade) => End::Returned,
            Some(Ending::Made(OutcomeResult::Done | OutcomeResult::Failed, spent)) => {
                End::Settled(spent.get(reservation.meter).unwrap_or(reservation.amount))
            }
            Some(Ending::Made(OutcomeResult::Unknown, _)) | None => End::Unknown,
        }
    })
    .await
}

/// What is held for releases of earlier openings of a directory, whose journals are home: no word of them will come. Of this opening
/// and all after it, those journals miss nothing; none: that is said of no opening. Whoever asks has locked the tasks of
/// [slices](lock_slices_before).
pub async fn give_up(
    tx: &Transaction,
    journal: (&str, InstanceId, u64),
    whole_since: Option<u64>,
) -> Result<(), DatabaseError> {
    let open = store::spend::open_before(tx, journal).await?;
    let mut lines: Vec<Line> = open.iter().map(|reservation| reservation.line.clone()).collect();
    lines.sort();
    lines.dedup();
    // All that is changed from here on, at once.
    store::spend::lock(tx, &lines).await?;
    slice::give_up(tx, journal, whole_since).await?;
    // Again: what is left of a slice may have been given back meanwhile.
    let open = store::spend::open_before(tx, journal).await?;
    close(tx, (open, Held::Reserved), |_| End::Unknown).await
}

/// Locks the tasks for whose calls earlier openings of a directory hold slices: before holds and budgets, like everybody.
pub async fn lock_slices_before(
    tx: &Transaction,
    journal: (&str, InstanceId, u64),
) -> Result<(), DatabaseError> {
    let held = store::slice::open_before(tx, journal).await?;
    let tasks = held.iter().map(|owner| owner.task).collect();
    super::ledger::lock_all(tx, tasks).await
}

/// Ends reservations that are held like this, each once: they are looked at again when their budgets are locked.
pub(super) async fn close(
    tx: &Transaction,
    (found, expected): (Vec<Reservation>, Held),
    end: impl Fn(&Reservation) -> End,
) -> Result<(), DatabaseError> {
    let mut lines: Vec<Line> = found.iter().map(|reservation| reservation.line.clone()).collect();
    lines.sort();
    lines.dedup();
    if lines.is_empty() {
        return Ok(());
    }
    let mut accounts = store::spend::lock(tx, &lines).await?;
    let mut ended = Vec::new();
    for reservation in store::spend::still_held(tx, &found).await? {
        let (Some(held), Ok(at)) = (reservation.held, lines.binary_search(&reservation.line)) else {
            continue;
        };
        if held != expected {
            continue;
        }
        let end = end(&reservation);
        accounts[at].close(held, reservation.amount, end);
        ended.push((reservation, end));
    }
    store::spend::write(tx, &lines, &accounts).await?;
    store::spend::end(tx, &ended).await
}

/// Every budget that bounds this release, sorted by key; of the task also those that are only counted.
fn budgets(task: &Task, chain: &Chain, cost: &Amounts) -> Vec<Budget> {
    let mut budgets = Vec::new();
    for (meter, _) in cost.iter() {
        budgets.push(Budget {
            key: key_of_task(task.id, meter),
            window_start: 0,
            window_end: None,
            meter,
            limit: task.limits.spend.get(meter),
            whose: "the task".to_owned(),
        });
        for grant in chain.grants().skip(1) {
            if let Some(limit) = grant.limits.spend.get(meter) {
                budgets.push(Budget {
                    key: key_of_grant(grant, meter),
                    window_start: 0,
                    window_end: None,
                    meter,
                    limit: Some(limit),
                    whose: format!("the grant `{}`", grant.id),
                });
            }
        }
    }
    budgets
}

/// A budget that a pack sets, if it bounds this release.
fn of_pack(
    (pack, set): &(String, policy::Budget),
    chain: &Chain,
    spending: &Spending,
    now_ms: u64,
) -> Option<Budget> {
    spending.cost.get(set.meter)?;
    let (root, leaf) = (chain.root(), chain.leaf());
    let subject = match set.per {
        Per::User => root.user.clone(),
        Per::Agent => leaf.agent.to_string(),
        Per::Tool => spending.tool.clone(),
        Per::Task => root.task.to_string(),
    };
    set.counts(&spending.tool).then(|| Budget {
        key: format!("pack {pack}/{} {} {subject}", set.name, set.meter.as_str()),
        window_start: set.window_start(now_ms),
        window_end: set
            .window_ms
            .map(|window_ms| set.window_start(now_ms).saturating_add(window_ms)),
        meter: set.meter,
        limit: Some(set.limit),
        whose: format!(
            "by budget `{}` of pack `{pack}`, {} `{subject}`",
            set.name,
            set.per.as_str()
        ),
    })
}

/// The budget of a task.
pub(super) fn key_of_task(task: TaskId, meter: Meter) -> String {
    format!("task {} {}", task.uuid(), meter.as_str())
}

/// Of a grant that was passed on: whoever passes one on chooses its id, and shall not use up the budget of another's.
fn key_of_grant(grant: &Grant, meter: Meter) -> String {
    let parent = grant.link.map(|link| link.parent).unwrap_or_default();
    key_of_link((grant.task, grant.id, parent), meter)
}

/// The same, by what makes a grant that was passed on the one it is.
pub(super) fn key_of_link((task, grant, parent): (TaskId, GrantId, Sha256), meter: Meter) -> String {
    format!(
        "grant {} {} {} {}",
        task.uuid(),
        grant.uuid(),
        parent.to_base64(),
        meter.as_str()
    )
}

impl Budget {
    fn line(&self) -> Line {
        Line {
            key: self.key.clone(),
            window_start: self.window_start,
            meter: self.meter,
        }
    }

    fn said(&self, account: &Account, amount: u64, then: &str) -> String {
        let text = |amount: u64| self.meter.text(amount);
        format!(
            "{} may use up {} {}: {} are spent, {} are held by calls under way, {} by calls whose end nobody knows, and this one takes {}; {then}",
            self.whose,
            text(self.limit.unwrap_or_default()),
            self.meter.as_str(),
            text(account.spent),
            text(account.reserved),
            text(account.unknown),
            text(amount),
        )
    }
}
