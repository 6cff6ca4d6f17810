//! Drives runs, several at once, through whoever decides.

use anyhow::{Context, Result, ensure};
use checkrein_shared::decision::Verdict;
use tokio::task::JoinSet;

use super::plan::Run;

/// The verdicts of every run, in the order of the runs. `decide` starts the run's task, asks for each step in order and ends
/// the task; at most `at_once` runs are in its hands at a time.
pub async fn drive<D, F>(runs: &[Run], at_once: usize, decide: D) -> Result<Vec<Vec<Verdict>>>
where
    D: Fn(Run) -> F,
    F: Future<Output = Result<Vec<Verdict>>> + Send + 'static,
{
    let mut verdicts = vec![Vec::new(); runs.len()];
    let mut waiting = runs.iter().enumerate();
    let mut running = JoinSet::new();
    loop {
        for (at, run) in waiting.by_ref().take(at_once.max(1) - running.len()) {
            let decided = decide(run.clone());
            running.spawn(async move { (at, decided.await) });
        }
        let Some(joined) = running.join_next().await else {
            return Ok(verdicts);
        };
        let (at, decided) = joined?;
        let run = &runs[at];
        verdicts[at] = decided.with_context(|| format!("replaying {}", run.setting))?;
        let (answers, calls) = (verdicts[at].len(), run.steps.len());
        ensure!(
            answers == calls,
            "{}: {answers} verdicts for {calls} calls",
            run.setting
        );
    }
}
