//! Drives what is to be replayed, several at once, through whoever decides.

use std::fmt::Display;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

/// What came of each, in the order they were given in. `decide` starts the task of one, asks for each of its calls in order
/// and ends the task; at most `at_once` are in its hands at a time.
pub async fn drive<T, V, D, F>(all: &[T], at_once: usize, decide: D) -> Result<Vec<V>>
where
    T: Clone + Display,
    V: Default + Send + 'static,
    D: Fn(T) -> F,
    F: Future<Output = Result<V>> + Send + 'static,
{
    let mut decisions: Vec<V> = all.iter().map(|_| V::default()).collect();
    let mut waiting = all.iter().enumerate();
    let mut running = JoinSet::new();
    loop {
        for (at, one) in waiting.by_ref().take(at_once.max(1) - running.len()) {
            let decided = decide(one.clone());
            running.spawn(async move { (at, decided.await) });
        }
        let Some(joined) = running.join_next().await else {
            return Ok(decisions);
        };
        let (at, decided) = joined?;
        decisions[at] = decided.with_context(|| format!("replaying {}", all[at]))?;
    }
}
