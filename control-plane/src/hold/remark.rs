//! What people say of a hold before they answer it: they ask, reply, or hand it on to somebody else.
//!
//! **Invariant**: a remark changes nothing that decides: not who may answer, not whose word counts, not until when. It is said
//! while the hold is open, of the bytes that were shown, by who may answer it or by an operator.

use checkrein_shared::action::Sha256;
use checkrein_shared::hold::{Hold, Person, REMARKS_MAX, Remark, RemarkKind, State, Step, asks};
use checkrein_shared::id::HoldId;
use checkrein_shared::identity::{Role, SpiffeId};

use super::group::Moment;
use super::{HoldError, Holds, announce, step, store, sweep};
use crate::database::{DatabaseError, Transaction};

/// Somebody says something of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Say {
    /// Of which.
    pub hold: HoldId,
    /// Who.
    pub author: SpiffeId,
    /// What for.
    pub kind: RemarkKind,
    /// The hash of what they were shown.
    pub shown: Sha256,
    /// In their words; never empty.
    pub text: String,
    /// Which request it is.
    pub key: String,
}

impl Holds {
    /// Keeps a remark with its hold, and tells of it whoever looks at the hold or waits for it. The same request again changes
    /// nothing.
    pub async fn say(&self, say: &Say) -> Result<Hold, HoldError> {
        let tx = self.database.begin("hold.say").await?;
        let gone = || HoldError::NotFound(say.hold);
        let held = store::lock(&tx, say.hold).await?.ok_or_else(gone)?;
        if store::is_said(&tx, say).await? {
            return Ok(held.hold);
        }
        if held.hold.action_sha256 != say.shown {
            return Err(HoldError::OtherBytes(say.hold));
        }
        if held.hold.state != State::Open {
            return Err(HoldError::NotOpen(say.hold, held.hold.state));
        }
        if held.is_late {
            let (state, said) = (held.hold.state, sweep::said(held.hold.state));
            step(&tx, say.hold, state.after(Step::Expire)?, said).await?;
            tx.commit().await?;
            return Err(HoldError::TooLate(say.hold));
        }
        may_say(&tx, &held.hold, say).await?;
        store::insert_remark(&tx, say, &held.hold).await?;
        let hold = store::find(&tx, say.hold).await?.ok_or_else(gone)?;
        announce(&tx, say.hold, &asked(&hold.remarks)).await?;
        tx.commit().await?;
        Ok(hold)
    }
}

/// The remark after which the hold had this version; none: it was something else that changed it.
pub(super) async fn at(
    tx: &Transaction,
    hold: HoldId,
    version: u64,
) -> Result<Option<Remark>, DatabaseError> {
    store::remark_at(tx, hold, version).await
}

async fn may_say(tx: &Transaction, hold: &Hold, say: &Say) -> Result<(), HoldError> {
    let moment = Moment::read(tx, hold, &hold.requirements).await?;
    if say.author.role() != Some(Role::Operator) {
        moment.may_answer(&say.author)?;
    }
    match &say.kind {
        RemarkKind::HandedOn { to } if Person::of(to) == Person::of(&say.author) => {
            return Err(HoldError::ToOneself(to.clone()));
        }
        RemarkKind::HandedOn { to } if moment.may_answer(to).is_err() => {
            return Err(HoldError::NotToThem {
                to: to.clone(),
                may: others(&moment, &say.author),
            });
        }
        RemarkKind::Reply if Remark::unanswered(&hold.remarks).is_none() => {
            return Err(HoldError::NothingAsked(say.hold));
        }
        RemarkKind::Question | RemarkKind::Reply | RemarkKind::HandedOn { .. } => {}
    }
    if hold.remarks.len() >= REMARKS_MAX {
        return Err(HoldError::TooManyRemarks(say.hold));
    }
    Ok(())
}

/// Who else may answer, in words.
fn others(moment: &Moment<'_>, author: &SpiffeId) -> String {
    let mut people = moment.people();
    people.retain(|person| Person::of(person) != Person::of(author));
    if people.is_empty() {
        return "nobody else may".to_owned();
    }
    let people: Vec<String> = people.iter().map(|person| format!("`{person}`")).collect();
    format!("hand it on to one of {}", people.join(", "))
}

/// What the agent is told while nobody has said anything to the last question.
fn asked(remarks: &[Remark]) -> String {
    let question = Remark::unanswered(remarks);
    question.map_or_else(String::new, |one| asks(one.author.as_str(), &one.text))
}
