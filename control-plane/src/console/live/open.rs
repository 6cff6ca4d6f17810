//! How many pages may be open at once.
//!
//! **Invariant**: there is a bound for all of a replica, and a lower one for each person: nobody's tabs, nor a browser that never
//! lets go of them, keep others from hearing of what waits. A place is free again when it is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use checkrein_shared::identity::SpiffeId;
use thiserror::Error;
use tonic::Status;

/// Pages of one replica; beyond, a page is told to look again by itself.
const PAGES_MAX: usize = 1_024;
/// Pages of one person at one replica.
const PAGES_OF_ONE_MAX: usize = 32;

/// Somebody, in each role they have.
type Person = Arc<[SpiffeId]>;

/// There are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(in crate::console) enum TooMany {
    /// Of this person.
    #[error("{PAGES_OF_ONE_MAX} of your pages are open here; close one, or load this one again now and then")]
    OfOne,
    /// Of everybody.
    #[error("too many pages are open; load this one again now and then")]
    OfAll,
}

/// Counts pages that are open.
#[derive(Debug, Clone, Default)]
pub(in crate::console) struct OpenPages(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    of_all: usize,
    by_person: HashMap<Person, usize>,
}

/// The place of one page.
#[derive(Debug)]
pub(in crate::console) struct Place {
    pages: OpenPages,
    person: Person,
}

impl OpenPages {
    /// A place for one more page of this person.
    pub(in crate::console) fn open(&self, person: &Person) -> Result<Place, TooMany> {
        let mut pages = self.lock();
        if pages.of_all >= PAGES_MAX {
            return Err(TooMany::OfAll);
        }
        let of_one = pages.by_person.entry(person.clone()).or_default();
        if *of_one >= PAGES_OF_ONE_MAX {
            return Err(TooMany::OfOne);
        }
        *of_one += 1;
        pages.of_all += 1;
        Ok(Place {
            pages: self.clone(),
            person: person.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut pages = self.pages.lock();
        pages.of_all -= 1;
        if let Some(of_one) = pages.by_person.get_mut(&self.person) {
            *of_one -= 1;
            if *of_one == 0 {
                pages.by_person.remove(&self.person);
            }
        }
    }
}

impl From<TooMany> for Status {
    fn from(error: TooMany) -> Self {
        Self::resource_exhausted(error.to_string())
    }
}

#[cfg(test)]
mod tests;
