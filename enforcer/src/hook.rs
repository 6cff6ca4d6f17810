//! `checkrein-enforcer hook`: a coding agent asks before it uses a tool, and says afterwards what came of it.
//!
//! An agent starts this for each of its tools' uses, gives it an event as JSON on standard input, and takes the answer from standard
//! output (`PreToolUse` and `PostToolUse` of Claude Code, and whoever speaks like it).
//!
//! **Invariant**: whatever goes wrong before a use, the answer is a denial that says so, in a form that the agent obeys: an exit with
//! any other code than 0 and 2 would let it go on.

mod event;

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use checkrein_proto::decision::v1::{AuthorizeResponse, CompleteRequest, OutcomeResult, ResultSize, Verdict};
use clap::Args;
use serde_json::json;

use crate::ask::Beside;
use crate::memory::Memory;
use event::{Ended, Event, Use};

/// An event may have at most this many bytes.
const EVENT_BYTES_MAX: u64 = 32 << 20;
/// So much of a result is looked through for values.
const CONTENT_BYTES_MAX: usize = 1 << 20;
/// All of it, beside the wait for people.
const WORK_MAX: Duration = Duration::from_secs(30);
/// What an agent takes for a no, with the words on standard error.
const BLOCKED: u8 = 2;
const UNASKED: &str = "Denied by Checkrein: the tool was NOT used, because nobody could be asked";
const UNTOLD: &str = "Checkrein: the tool was used, and what came of it could not be recorded";

#[derive(Debug, Args)]
pub(crate) struct Hook {
    #[command(flatten)]
    beside: Beside,
    /// What the catalog calls the agent's own tools: its `Bash` is `<name>/Bash`. Tools of MCP servers (`mcp__files__read_file`) are
    /// `files/read_file` whatever this is
    #[arg(long, default_value = "code")]
    name: String,
    /// Leave a permitted use to the agent's own settings and prompts, instead of allowing it
    #[arg(long)]
    defer: bool,
}

/// Reads the event, and answers.
pub(crate) fn run(hook: &Hook) -> ExitCode {
    let event = match read(std::io::stdin().lock()) {
        Ok(event) => event,
        Err(error) => return blocked(UNASKED, &error),
    };
    let failing = match event {
        Event::Before(_) => UNASKED,
        Event::After(..) => UNTOLD,
    };
    let answered = hook.within_bounds(event).and_then(|answer| {
        let Some(answer) = answer else { return Ok(()) };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        Ok(out.flush()?)
    });
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => blocked(failing, &error),
    }
}

fn blocked(words: &str, error: &anyhow::Error) -> ExitCode {
    eprintln!("{words}: {error:#}");
    ExitCode::from(BLOCKED)
}

fn read(from: impl Read) -> anyhow::Result<Event> {
    let mut text = String::new();
    let bytes = from.take(EVENT_BYTES_MAX + 1).read_to_string(&mut text);
    if bytes.context("can't read the event")? as u64 > EVENT_BYTES_MAX {
        bail!("the event is longer than {EVENT_BYTES_MAX} bytes");
    }
    Event::parse(&text)
}

impl Hook {
    fn within_bounds(&self, event: Event) -> anyhow::Result<Option<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let within = WORK_MAX + Duration::from_secs(self.beside.wait);
        let work = async { tokio::time::timeout(within, self.answer(event)).await };
        runtime.block_on(work).context("it took too long")?
    }

    async fn answer(&self, event: Event) -> anyhow::Result<Option<String>> {
        let memory = Memory::open(self.beside.state.as_deref())?;
        match event {
            Event::Before(used) => self.before(&used, &memory).await.map(Some),
            Event::After(used, ended) => {
                self.after(&used, ended, &memory).await?;
                Ok(None)
            }
        }
    }

    async fn before(&self, used: &Use, memory: &Memory) -> anyhow::Result<String> {
        let tool = used.tool(&self.name);
        let mut request = self.beside.request(&tool, &used.input).await?;
        let call = memory.call(&used.same())?;
        request.call_id.clone_from(&call.id);
        let mut gate = self.beside.gate().await?;
        let answer = gate.authorize(request).await?;
        if answer.verdict() == Verdict::Permit
            && let Some(one) = used.one()
        {
            memory.keep(&one, &answer.decision_id)?;
        }
        if answer.verdict() != Verdict::Hold && !answer.hold_id.is_empty() {
            // People answered: the same once more is another call.
            memory.over(&call)?;
        }
        Ok(self.words(&tool, &answer))
    }

    async fn after(&self, used: &Use, ended: Ended, memory: &Memory) -> anyhow::Result<()> {
        let permitted = used.one().map(|one| memory.take(&one)).transpose()?.flatten();
        let Some(decision_id) = permitted else {
            // It was asked about elsewhere, or nowhere: there is nothing to say it of.
            return Ok(());
        };
        let (result, detail) = match ended.failed {
            None => (OutcomeResult::Done, String::new()),
            Some(detail) => (OutcomeResult::Failed, detail),
        };
        let mut content = ended.response.into_bytes();
        let bytes = content.len() as u64;
        content.truncate(CONTENT_BYTES_MAX);
        let completed = CompleteRequest {
            decision_id,
            result: result.into(),
            detail,
            result_size: Some(ResultSize { bytes, rows: None }),
            content: content.into(),
            ..CompleteRequest::default()
        };
        self.beside.gate().await?.complete(completed).await
    }

    /// The answer as the agent reads it.
    fn words(&self, tool: &str, answer: &AuthorizeResponse) -> String {
        let rules = match answer.rules.as_slice() {
            [] => String::new(),
            rules => format!(" (rules: {})", rules.join(", ")),
        };
        let record = format!("decision {}", answer.decision_id);
        let (decision, reason) = match answer.verdict() {
            Verdict::Permit if self.defer => return "{}".to_owned(),
            Verdict::Permit => ("allow", format!("permitted by policy: {record}")),
            Verdict::Hold => (
                "deny",
                format!(
                    "`{tool}` waits for approval by {}: {}{rules}. It was NOT done. Use it again with the same input later to find the \
                     answer; do not try another way. Hold {}, {record}.",
                    answer.groups.join(", "),
                    answer.reason,
                    answer.hold_id
                ),
            ),
            Verdict::Deny | Verdict::Unspecified => (
                "deny",
                format!(
                    "`{tool}` was denied by policy: {}{rules}. It was NOT done; do not try another way. {record}.",
                    answer.reason
                ),
            ),
        };
        json!({
            "hookSpecificOutput": {
                "hookEventName": "PreToolUse",
                "permissionDecision": decision,
                "permissionDecisionReason": reason,
            }
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests;
