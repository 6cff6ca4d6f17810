//! `tasks/get`, `tasks/update` and `tasks/cancel`: how a call goes on that came to a task.
//!
//! **Invariant**: the result of a call of the server's that came to a task goes to its client only once its end is recorded and the ledger
//! was told of it, as that of every other call; and it is not given once what it was permitted under has ended.

use std::sync::Arc;

use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::id::TaskId;
use futures_util::FutureExt;
use serde_json::json;
use tracing::warn;

use super::super::answers::{self, Ending, INVALID_PARAMS, Instead, MISSING_CAPABILITY, Shape};
use super::super::call::settle;
use super::super::held::Stage;
use super::super::session::UnderWay;
use super::super::tools::asked;
use super::super::wire::{Members, Message, text};
use super::tasks::{Kind, Running, Task, Tasks, locked, named_by};
use super::{TASKS, Takes};
use crate::gate::Permit;

/// What is asked about a task.
struct About<'a> {
    under_way: &'a UnderWay,
    tasks: &'a Tasks,
    method: &'a str,
    params: &'a Members<'a>,
    shown: Option<TaskId>,
}

/// Answers what a client asks about a task.
pub(in crate::surface::mcp) async fn about_task(under_way: UnderWay, line: String) {
    if let Some(told) = told(&under_way, &line).await {
        under_way.answer(told).await;
    }
}

/// The answer; none: nobody waits for it.
async fn told(under_way: &UnderWay, line: &str) -> Option<String> {
    let id = &under_way.id;
    let refused = |code, words: &str| Some(answers::error(Some(id), code, words, None));
    let (method, params) = match Message::parse(line) {
        Ok(Message::Request { method, params, .. }) => (method, params?),
        _ => return None,
    };
    let params = match Members::parse(params.get()) {
        Ok(params) => params,
        Err(error) => return refused(INVALID_PARAMS, &format!("`params`: {error}")),
    };
    if !params.get("_meta").is_some_and(|meta| Takes::of(meta).tasks) {
        let data = json!({ "requiredCapabilities": { "extensions": { TASKS: {} } } });
        let words = format!("only a client that takes `{TASKS}` has tasks");
        return Some(answers::error(Some(id), MISSING_CAPABILITY, &words, Some(&data)));
    }
    let presented = under_way.presented().await;
    let offer = under_way.session.terms.gate.offer(&presented.grant);
    let shown = offer.map(|offer| offer.task());
    let unknown = "there is no such task of yours here; the same call finds what people said of it";
    let Some(tasks) = &under_way.session.terms.forms.tasks else {
        return refused(INVALID_PARAMS, unknown);
    };
    let name = params.get("taskId").and_then(text).unwrap_or_default();
    let Some(task) = tasks.of(&name, shown) else {
        return refused(INVALID_PARAMS, unknown);
    };
    let about = About {
        under_way,
        tasks,
        method: &method,
        params: &params,
        shown,
    };
    match &task.kind {
        Kind::Held(_) => about.ours(&task).await,
        Kind::Servers(running) => about.servers(&task, running, line).await,
    }
}

impl About<'_> {
    /// Of a call that people look at.
    async fn ours(&self, task: &Arc<Task>) -> Option<String> {
        let Kind::Held(waiting) = &task.kind else {
            return None;
        };
        let id = &self.under_way.id;
        if let Stage::Ended(told) = waiting.call.stage()
            && let Ending::Result(result) = told.ending(Shape::Tool)
            && let Some(name) = named_by(&result)
        {
            // It was approved, and the server made a task of it: that goes by our name.
            let Some(servers) = self.tasks.of(&name, self.shown) else {
                let words = "the server's task for this call is not known any more";
                return Some(answers::error(Some(id), INVALID_PARAMS, words, None));
            };
            let Kind::Servers(running) = &servers.kind else {
                return None;
            };
            let theirs = self.params.with("taskId", &json!(name).to_string());
            let asked = answers::request(id, self.method, &theirs);
            let told = self.servers(&servers, running, &asked).await?;
            return Some(renamed(&told, &task.name).unwrap_or(told));
        }
        match self.method {
            "tasks/get" => {
                if matches!(waiting.call.stage(), Stage::Ended(_)) {
                    self.under_way.session.terms.held.taken(&waiting.call);
                }
                Some(answers::result(id, &self.tasks.told(task)))
            }
            "tasks/cancel" => {
                waiting.leave();
                Some(answers::result(id, r#"{"resultType":"complete"}"#))
            }
            // Nothing was asked of its client.
            _ => Some(answers::result(id, r#"{"resultType":"complete"}"#)),
        }
    }

    /// Of a call that the server goes on with.
    async fn servers(&self, task: &Task, running: &Running, line: &str) -> Option<String> {
        let (session, id) = (&self.under_way.session, &self.under_way.id);
        // One at a time: its end is recorded once.
        let mut permit = running.permit.lock().await;
        if let Some(stopped) = permit.as_ref().and_then(|permit| permit.stopped().now_or_never()) {
            let why = format!(
                "{}, while the call was made, and nobody knows how far it got",
                stopped.reason
            );
            let meta = self.params.get("_meta").map_or("{}", |meta| meta.get());
            let theirs = format!(r#"{{"taskId":{},"_meta":{meta}}}"#, json!(task.name));
            session.ask_server("tasks/cancel", &theirs).await;
            unknown(permit.take()).await;
            let lost = Instead::lost(&why, &running.decided).ending(Shape::Plain);
            *locked(&running.end) = Some(lost);
        }
        if self.method != "tasks/get" {
            drop(permit);
            return asked(self.under_way, line.to_owned()).await;
        }
        let end = locked(&running.end).clone();
        if let Some(end) = end {
            return Some(end.answer(id));
        }
        let reply = asked(self.under_way, line.to_owned()).await?;
        let Some((result, outcome)) = ended(&reply) else {
            return Some(reply);
        };
        let end = match permit.take() {
            Some(permit) => match settle(permit, Some(&outcome)).await {
                Ok(()) => Ending::Result(result),
                Err(why) => Instead::lost(&why, &running.decided).ending(Shape::Plain),
            },
            None => Ending::Result(result),
        };
        *locked(&running.end) = Some(end.clone());
        Some(end.answer(id))
    }
}

/// Records that nobody knows how a call ended.
async fn unknown(permit: Option<Permit>) {
    let Some(permit) = permit else { return };
    let detail = "what it was permitted under ended while the server went on with it";
    if let Err(error) = permit.complete(OutcomeResult::Unknown, detail).await {
        warn!(
            error = &error as &dyn std::error::Error,
            "an outcome can't be recorded"
        );
    }
}

/// What the server says of a task that has ended, and the answer that its call would have had.
fn ended(reply: &str) -> Option<(String, String)> {
    let (id, result) = Message::result(reply)?;
    let members = Members::parse(result.get()).ok()?;
    let outcome = match members.get("status").and_then(text)?.as_str() {
        "completed" => answers::result(&id, members.get("result").map_or("{}", |result| result.get())),
        "failed" => answers::error_of(&id, members.get("error").map_or("{}", |error| error.get())),
        // Nobody knows how far it got.
        "cancelled" => String::new(),
        _ => return None,
    };
    Some((result.get().to_owned(), outcome))
}

/// An answer in which a task has another name.
fn renamed(reply: &str, name: &str) -> Option<String> {
    let (id, result) = Message::result(reply)?;
    let members = Members::parse(result.get()).ok()?;
    members.get("taskId")?;
    Some(answers::result(
        &id,
        &members.with("taskId", &json!(name).to_string()),
    ))
}
