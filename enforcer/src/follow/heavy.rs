//! A value that takes long to free: it is freed where blocking is allowed, whoever lets go of it.

use tokio::runtime::Handle;

/// Holds a value until it is taken. Not taken, it is freed on a thread that may take its time.
#[derive(Debug)]
pub(super) struct Heavy<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Heavy<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(Some(value))
    }

    /// The value; whoever takes it frees it. None only once taken.
    pub(super) fn take(&mut self) -> Option<T> {
        self.0.take()
    }
}

impl<T: Send + 'static> Drop for Heavy<T> {
    fn drop(&mut self) {
        let (Some(value), Ok(runtime)) = (self.0.take(), Handle::try_current()) else {
            return;
        };
        drop(runtime.spawn_blocking(move || drop(value)));
    }
}

#[cfg(test)]
mod tests;
