//! A bounded resource that the callers share, so that one of them cannot take all of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::callers::Owner;

/// The part of a resource that stays free for callers that have less than their equal part: a quarter.
const FREE_FRACTION: usize = 4;

/// A resource with a maximum: places, bytes, or work in the background. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SharedResource {
    max: usize,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug)]
struct Used {
    whole: usize,
    /// By owner.
    parts: Vec<usize>,
}

/// What one request has of a resource. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Grant {
    resource: SharedResource,
    owner: Owner,
    amount: usize,
}

impl SharedResource {
    /// A resource for a number of callers.
    pub(super) fn new(max: usize, callers: usize) -> Self {
        let used = Used { whole: 0, parts: vec![0; callers.max(1)] };
        Self { max, used: Arc::new(Mutex::new(used)) }
    }

    /// The whole of the resource.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// What this caller could still take.
    pub(super) fn free(&self, owner: Owner) -> usize {
        let used = self.lock();
        let part = used.parts.get(owner.0).copied().unwrap_or_default();
        let equal_part = self.max / used.parts.len();
        let (free, reserve) = (self.max.saturating_sub(used.whole), self.reserve(&used));
        free.saturating_sub(reserve).max(equal_part.saturating_sub(part).min(free))
    }

    /// What only callers below their equal part may take. For a single caller nothing is reserved.
    fn reserve(&self, used: &Used) -> usize {
        if used.parts.len() > 1 { self.max / FREE_FRACTION } else { 0 }
    }

    /// Takes an amount; `None` if the caller cannot have it now.
    pub(super) fn take(&self, owner: Owner, amount: usize) -> Option<Grant> {
        let mut grant = Grant { resource: self.clone(), owner, amount: 0 };
        grant.grow(amount).then_some(grant)
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    /// Takes more; false if the caller cannot have it now.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        if more > self.resource.free(self.owner) {
            return false;
        }
        let mut used = self.resource.lock();
        // Between the look and the lock another request may have taken the last of it.
        if used.whole.saturating_add(more) > self.resource.max {
            return false;
        }
        used.whole += more;
        if let Some(part) = used.parts.get_mut(self.owner.0) {
            *part += more;
        }
        self.amount += more;
        true
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let mut used = self.resource.lock();
        used.whole = used.whole.saturating_sub(self.amount);
        if let Some(part) = used.parts.get_mut(self.owner.0) {
            *part = part.saturating_sub(self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Owner = Owner(0);
    const BOB: Owner = Owner(1);

    #[test]
    fn a_single_caller_has_all_of_it() {
        let places = SharedResource::new(8, 1);
        let grants: Vec<_> = (0..9).map_while(|_| places.take(ALICE, 1)).collect();
        assert_eq!((grants.len(), places.free(ALICE)), (8, 0));
        drop(grants);
        assert_eq!(places.free(ALICE), 8);
    }

    #[test]
    fn one_caller_cannot_take_what_the_others_need() {
        let places = SharedResource::new(8, 2);
        let greedy: Vec<_> = (0..9).map_while(|_| places.take(ALICE, 1)).collect();
        assert_eq!(greedy.len(), 6, "three quarters");
        let modest: Vec<_> = (0..9).map_while(|_| places.take(BOB, 1)).collect();
        assert_eq!(modest.len(), 2, "all that is free");
        assert!(places.take(ALICE, 1).is_none() && places.take(BOB, 1).is_none());
        drop(greedy);
        let modest_more: Vec<_> = (0..9).map_while(|_| places.take(BOB, 1)).collect();
        assert_eq!(modest_more.len(), 4, "no more than three quarters either");
    }

    #[test]
    fn an_amount_is_taken_as_a_whole_or_not_at_all() {
        let bytes = SharedResource::new(100, 1);
        let mut grant = bytes.take(ALICE, 60).expect("it is free");
        assert!(!grant.grow(41) && bytes.take(ALICE, 41).is_none());
        assert_eq!(bytes.free(ALICE), 40);
        assert!(grant.grow(40) && bytes.take(ALICE, 1).is_none());
        assert!(bytes.take(ALICE, 0).is_some());
    }
}
