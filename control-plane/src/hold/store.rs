//! Holds in Postgres, whose clock decides what is late.

mod before;
mod glass;
mod group;
pub(super) mod numbers;
mod read;
mod remark;
pub(super) mod standing;
mod told;
mod whole;
mod write;

pub(super) use before::{Before, before};
pub(super) use glass::{record_break, record_review, set_broken};
pub(super) use group::{absences, come_back, go, groups, lock_absences, owners, removed, share_absences};
pub(super) use read::{
    Filter, Listed, count_open, denial_of, denial_of_class, events_after, find, find_all, find_by_key, list,
    lock, lock_late, lock_of_enforcer, lock_released_before, lock_waiting_of_class, lock_waiting_of_task,
    standing, task_of,
};
pub(super) use remark::{insert_remark, is_said, remark_at};
pub(super) use told::{glass_requests, sketches, steps_after, told};
pub(super) use write::{
    amend_waiting, approve, bump_version, consume, delete_events, insert, insert_event, record_vote,
    set_denial, set_state,
};
