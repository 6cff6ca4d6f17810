//! What happened to holds, made into messages that wait for their channels.
//!
//! **Invariant**: a step of a hold and a channel make one message, however many replicas gather: the place in the log moves on
//! in the transaction that writes them, and a second event of the same name is no event.

use checkrein_shared::hold::{Remark, RemarkKind, State};
use checkrein_shared::id::{HoldId, NotificationId};
use tracing::warn;

use super::message::{Facts, rfc3339};
use super::store::{self, Notice};
use super::{Kind, Notifier};
use crate::database::{DatabaseError, Transaction};
use crate::hold::told::{Step, Told, remark_with, steps_after, told};

/// So many steps are looked at in one transaction, and so many deadlines.
pub(super) const STEPS_MAX: i64 = 200;
/// What happened longer ago is no news: notifications were off meanwhile.
const NEWS_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

impl Notifier {
    /// Makes messages of what happened since the last time. Returns how many steps and deadlines were looked at; 0: there was
    /// nothing, or another replica is at it.
    pub async fn gather(&self) -> Result<usize, DatabaseError> {
        let tx = self.database.begin("notification.gather").await?;
        let Some(from) = store::lock_cursor(&tx).await? else {
            store::begin_cursor(&tx).await?;
            tx.commit().await?;
            return Ok(0);
        };
        let steps = steps_after(&tx, from, STEPS_MAX).await?;
        if let Some(first) = steps.first()
            && first.revision > from + 1
        {
            let forgotten = first.revision - from - 1;
            warn!(forgotten, "steps of holds were forgotten before anybody was told");
        }
        for step in &steps {
            self.tell_step(&tx, step).await?;
        }
        if let Some(last) = steps.last() {
            store::move_cursor(&tx, last.revision).await?;
        }
        let near = store::near_deadlines(&tx, self.remind_before).await?;
        for hold in &near {
            self.remind(&tx, *hold).await?;
        }
        let revoked = store::revoked_standing(&tx, NEWS_MS_MAX).await?;
        for revoked in &revoked {
            self.tell_revoked(&tx, revoked).await?;
        }
        let further = self.tell_further(&tx).await?;
        tx.commit().await?;
        Ok(steps.len() + near.len() + revoked.len() + further)
    }

    async fn tell_step(&self, tx: &Transaction, step: &Step) -> Result<(), DatabaseError> {
        if self.clock.wall_ms().saturating_sub(step.happened_ms) > NEWS_MS_MAX {
            return Ok(());
        }
        let Some(about) = about(tx, step.hold).await? else {
            return Ok(());
        };
        let remark = remark_with(tx, step).await?;
        let kind = match &remark {
            Some(remark) => kind_of_remark(remark),
            None => kind_of(step.state, &about),
        };
        let Some(kind) = kind else {
            return Ok(());
        };
        let mut facts = facts(step.hold, &about, kind);
        match &remark {
            Some(remark) => (facts.by, facts.said) = (vec![remark.author.to_string()], said(remark)),
            None if step.state == State::Open => {}
            None => facts.said.clone_from(&step.reason),
        }
        let notice = |kind, facts| Notice {
            kind,
            hold: step.hold,
            ordinal: step.version,
            group: String::new(),
            facts,
            happened_ms: step.happened_ms,
        };
        if let (Kind::HoldApproved, Some(given)) = (kind, &about.given) {
            let mut standing = facts.clone();
            standing.standing = given.standing.to_string();
            standing.said = format!("up to {} times, until {}", given.times, rfc3339(given.until_ms));
            self.tell(tx, notice(Kind::StandingGiven, standing), &about)
                .await?;
        }
        self.tell(tx, notice(kind, facts), &about).await
    }

    async fn remind(&self, tx: &Transaction, hold: HoldId) -> Result<(), DatabaseError> {
        let Some(about) = about(tx, hold).await? else {
            return Ok(());
        };
        let mut facts = facts(hold, &about, Kind::HoldReminder);
        facts.note = last_resort(&about.glass);
        let notice = Notice {
            kind: Kind::HoldReminder,
            hold,
            ordinal: 0,
            group: String::new(),
            facts,
            happened_ms: self.clock.wall_ms(),
        };
        self.tell(tx, notice, &about).await
    }

    async fn tell_revoked(&self, tx: &Transaction, revoked: &store::Revoked) -> Result<(), DatabaseError> {
        let Some(about) = about(tx, revoked.hold).await? else {
            return Ok(());
        };
        let mut facts = facts(revoked.hold, &about, Kind::StandingRevoked);
        facts.by = vec![revoked.by.clone()];
        facts.said.clone_from(&revoked.reason);
        facts.standing = revoked.standing.to_string();
        let notice = Notice {
            kind: Kind::StandingRevoked,
            hold: revoked.hold,
            ordinal: 0,
            group: String::new(),
            facts,
            happened_ms: revoked.happened_ms,
        };
        self.tell(tx, notice, &about).await
    }

    /// Writes an event down, and a message for each channel that hears of it. The same event again is nothing.
    pub(super) async fn tell(
        &self,
        tx: &Transaction,
        mut notice: Notice,
        about: &Told,
    ) -> Result<(), DatabaseError> {
        notice.facts = notice.facts.tidied();
        // An event's id is told to nobody; it is made like all ids.
        let id = NotificationId::new(&*self.clock).uuid();
        if !store::insert_notice(tx, id, &notice).await? {
            return Ok(());
        }
        let groups = audience(notice.kind, about);
        let channels = self.couriers.iter().map(|courier| &courier.channel);
        for channel in channels.filter(|channel| channel.hears_of(notice.kind, &groups)) {
            for recipient in channel.recipients() {
                let message = NotificationId::new(&*self.clock);
                let whither = (id, &*channel.name, &*recipient);
                store::insert(tx, message, whither, self.clock.wall_ms()).await?;
            }
        }
        Ok(())
    }
}

/// What a hold is about, and who is asked by now: the groups that rules name, and the further ones that were told.
pub(super) async fn about(tx: &Transaction, hold: HoldId) -> Result<Option<Told>, DatabaseError> {
    let Some(mut about) = told(tx, hold).await? else {
        return Ok(None);
    };
    for group in store::further_groups(tx, hold).await? {
        if !about.groups.contains(&group) {
            about.groups.push(group);
        }
    }
    Ok(Some(about))
}

/// The groups that hear of an event: those that are asked; and those who may break the glass, once nobody answers until the
/// deadline is near, or somebody wants to break it.
fn audience(kind: Kind, about: &Told) -> Vec<String> {
    let mut groups = about.groups.clone();
    if kind == Kind::HoldReminder || about.is_glass_wanted {
        groups.extend_from_slice(&about.glass);
    }
    groups
}

/// Who can still let it happen when whoever is asked does not answer.
fn last_resort(glass: &[String]) -> String {
    if glass.is_empty() {
        return String::new();
    }
    format!(
        "if nobody answers, two of `{}` may break the glass",
        glass.join("` or `")
    )
}

/// What people are told when a hold gets there; none: nothing.
fn kind_of(state: State, about: &Told) -> Option<Kind> {
    match state {
        State::Open => Some(Kind::HoldOpened),
        State::Approved if about.standing.is_some() => Some(Kind::StandingUsed),
        State::Approved if !about.broke_glass.is_empty() => Some(Kind::HoldGlassBroken),
        State::Approved => Some(Kind::HoldApproved),
        State::Denied | State::Withdrawn => Some(Kind::HoldDenied),
        State::Expired => Some(Kind::HoldExpired),
        State::Cancelled => Some(Kind::HoldCancelled),
        State::Unknown => Some(Kind::HoldUnknown),
        State::Lapsed | State::Consumed | State::Done | State::Failed => None,
    }
}

/// What people are told when somebody says something of a hold; none: nothing.
const fn kind_of_remark(remark: &Remark) -> Option<Kind> {
    match remark.kind {
        RemarkKind::Question => Some(Kind::HoldAsked),
        RemarkKind::HandedOn { .. } => Some(Kind::HoldHandedOn),
        RemarkKind::Reply => None,
    }
}

fn said(remark: &Remark) -> String {
    match &remark.kind {
        RemarkKind::HandedOn { to } => format!("to {to}: {}", remark.text),
        RemarkKind::Question | RemarkKind::Reply => remark.text.clone(),
    }
}

pub(super) fn facts(hold: HoldId, about: &Told, kind: Kind) -> Facts {
    let by = match kind {
        Kind::HoldApproved => &about.approved_by[..],
        Kind::HoldGlassBroken => &about.broke_glass[..],
        Kind::HoldDenied => &about.denied_by[..],
        _ => &[],
    };
    let standing = about.standing.filter(|_| kind == Kind::StandingUsed);
    Facts {
        hold: hold.to_string(),
        task: about.task.to_string(),
        tool: about.tool.clone(),
        agent: about.agent.clone(),
        user: about.user.clone(),
        environment: about.environment.clone(),
        reason: about.reason.clone(),
        groups: about.groups.clone(),
        decide_by_ms: if kind.awaits_an_answer() {
            about.decide_by_ms
        } else {
            0
        },
        by: by.to_vec(),
        said: String::new(),
        standing: standing.map(|id| id.to_string()).unwrap_or_default(),
        note: String::new(),
    }
}
