//! What this enforcer knows of the ledgers of tasks. The ledger itself is the control plane's; here is a view of it.
//!
//! Comes from every answer of the control plane that carries one; goes to the gate, which judges by it.
//!
//! **Invariant**: a view is replaced by a newer one only. What was forgotten is unknown, and unknown is never taken for empty.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use checkrein_shared::id::TaskId;
use checkrein_shared::label::Label;
use checkrein_shared::ledger::Ledger;

/// The views of so many tasks are remembered, those that were asked for last; of any other the control plane is asked again.
const VIEWS_MAX: usize = 65_536;

/// What is known of each task.
#[derive(Debug, Default)]
pub(crate) struct Ledgers {
    views: Mutex<Views>,
}

/// What is known of one.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// A task begins another when a person has lifted a label: what was known before is not known any more.
    epoch: u64,
    pub(crate) ledger: Arc<Ledger>,
    /// When the control plane was asked that gave it, on the boot clock.
    pub(crate) asked_boot_ms: u64,
}

/// Two generations: what was not asked for while the young one filled is forgotten with the old.
#[derive(Debug, Default)]
struct Views {
    young: HashMap<TaskId, View>,
    old: HashMap<TaskId, View>,
}

impl Ledgers {
    /// What is known of a task in this epoch of it.
    pub(crate) fn view(&self, task: TaskId, epoch: u64) -> Option<View> {
        self.views()
            .find(task)
            .filter(|view| view.epoch == epoch)
            .cloned()
    }

    /// Of these labels, those that the task is not known to carry.
    pub(crate) fn lacks(&self, task: TaskId, epoch: u64, labels: &BTreeSet<Label>) -> BTreeSet<Label> {
        match self.views().find(task).filter(|view| view.epoch == epoch) {
            Some(view) => view.ledger.lacks(labels),
            None => labels.clone(),
        }
    }

    /// Takes in what the control plane said when it was asked at this moment.
    pub(crate) fn learn(&self, task: TaskId, epoch: u64, ledger: Arc<Ledger>, asked_boot_ms: u64) {
        let mut views = self.views();
        let next = match views.find(task) {
            // Answers may overtake each other.
            Some(known) if (known.epoch, known.ledger.revision) > (epoch, ledger.revision) => View {
                asked_boot_ms: known.asked_boot_ms.max(asked_boot_ms),
                ..known.clone()
            },
            _ => View {
                epoch,
                ledger,
                asked_boot_ms,
            },
        };
        views.put(task, next);
    }

    fn views(&self) -> MutexGuard<'_, Views> {
        // Nothing in here panics halfway.
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// What the control plane has just said, to be judged by and not kept.
    pub(crate) fn given(ledger: &Arc<Ledger>, asked_boot_ms: u64) -> Self {
        Self {
            epoch: 0,
            ledger: Arc::clone(ledger),
            asked_boot_ms,
        }
    }
}

impl Views {
    fn find(&mut self, task: TaskId) -> Option<&View> {
        if let Some(view) = self.old.remove(&task) {
            self.put(task, view);
        }
        self.young.get(&task)
    }

    fn put(&mut self, task: TaskId, view: View) {
        if self.young.len() >= VIEWS_MAX / 2 && !self.young.contains_key(&task) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(task, view);
    }
}

#[cfg(test)]
mod tests;
