//! How a client is told that its call waits for people: by a task that it asks about, by a link for its user, or by an answer that takes
//! its time.
//!
//! **Invariant**: a form says what is decided elsewhere. Nothing that a client or its user answers in one is taken for an approval, and
//! whatever form a call waits in, it is made once.

mod about;
mod links;
mod shown;
mod tasks;

use std::path::PathBuf;
use std::sync::Arc;

use checkrein_shared::SharedClock;
use checkrein_shared::id::TaskId;
use serde_json::value::RawValue;
use tracing::warn;

use super::answers::{self, Instead, Shape};
use super::call::{Call, follow};
use super::held::Follower;
use super::session::{Session, UnderWay};
use super::stateless::SAYS_CAPABILITIES;
use super::tools::asked;
use super::wire::{Members, Message};
use crate::gate::{Held, Offer, Permit};
pub(super) use about::about_task;
pub(super) use links::Links;
pub(super) use shown::Shown;
pub(super) use tasks::Tasks;

/// The extension by which a call may come to a task.
const TASKS: &str = "io.modelcontextprotocol/tasks";

/// What a client can be given, if it takes it.
#[derive(Debug, Clone, Default)]
pub(super) struct Forms {
    /// The tasks of this caller.
    pub(super) tasks: Option<Arc<Tasks>>,
    /// Links to where people answer.
    pub(super) links: Option<Arc<Links>>,
}

/// What a client says that it takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Takes {
    pub(super) tasks: bool,
    pub(super) links: bool,
}

/// A call that comes back with what it was given when it began to wait.
#[derive(Debug)]
pub(super) struct Resumed {
    /// By which the control plane finds its hold again.
    pub(super) call_id: String,
    /// How often it has come back.
    round: u32,
    /// Its user was shown the link, or nobody was asked to this time.
    goes_on: bool,
}

impl Forms {
    /// For one client, with links to this console, whose key is in this directory. Without the key there are no links.
    pub(super) fn of(clock: SharedClock, console: Option<&(String, PathBuf)>) -> Self {
        let links = console.and_then(|(url, directory)| {
            let links = Links::open(url, directory, Arc::clone(&clock));
            links
                .map_err(|error| warn!(%error, "the key for links can't be kept; clients are given none"))
                .ok()
        });
        Self {
            tasks: Some(Arc::new(Tasks::new(clock))),
            links: links.map(Arc::new),
        }
    }

    /// For the same client at another server: it has tasks of its own there.
    pub(super) fn of_another(&self, clock: SharedClock) -> Self {
        Self {
            tasks: Some(Arc::new(Tasks::new(clock))),
            links: self.links.clone(),
        }
    }
}

impl Takes {
    /// What the `_meta` of a request says of its client.
    pub(super) fn of(meta: &RawValue) -> Self {
        member(meta, SAYS_CAPABILITIES).map_or_else(Self::default, Self::among)
    }

    /// What the parameters of `initialize` say of a client.
    pub(super) fn at_first(params: Option<&RawValue>) -> Self {
        let capabilities = params.and_then(|params| member(params, "capabilities"));
        capabilities.map_or_else(Self::default, Self::among)
    }

    fn among(capabilities: &RawValue) -> Self {
        let says = |group: &str, name: &str| {
            let said = member(capabilities, group).and_then(|group| member(group, name));
            said.is_some_and(|said| said.get().starts_with('{'))
        };
        Self {
            tasks: says("extensions", TASKS),
            links: says("elicitation", "url"),
        }
    }
}

fn member<'a>(object: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    Members::parse(object.get()).ok()?.get(name)
}

/// Takes up a call that comes back with what it was given: then it is the call that it was.
pub(super) fn resume(
    forms: &Forms,
    call: &mut Call,
    offer: Option<&Offer>,
) -> Result<Option<Resumed>, Instead> {
    match &forms.links {
        Some(links) => links.resume(call, offer),
        None => Ok(None),
    }
}

/// Has a client wait in the best form that it takes.
pub(super) async fn wait(
    under_way: &UnderWay,
    call: &Call,
    mut follower: Follower,
    resumed: Option<&Resumed>,
) {
    let forms = &under_way.session.terms.forms;
    let waits = follower.still_waits();
    if call.takes.tasks
        && call.shape == Shape::Tool
        && under_way.is_waited_for()
        && let (Some(tasks), Some(held)) = (&forms.tasks, &waits)
    {
        match tasks.begin(follower, held) {
            Ok(handle) => {
                return under_way.answer(answers::result(&under_way.id, &handle)).await;
            }
            Err(back) => follower = back,
        }
    }
    let links = forms.links.as_ref().filter(|_| links::may_ask(call));
    if let (Some(links), Some(held)) = (links, &waits) {
        let first = match resumed {
            None => links.question(call, &follower.call, held),
            Some(resumed) if resumed.goes_on => None,
            Some(_) => Some(pending(forms, held).ending(call.shape)),
        };
        if let Some(first) = first {
            return under_way.answer(first.answer(&under_way.id)).await;
        }
    }
    let shown = Shown::to(under_way, &follower).await;
    let Some(held) = follow(under_way, call, &mut follower, shown).await else {
        return;
    };
    let again = links
        .zip(resumed)
        .and_then(|(links, resumed)| links.again(call, &follower.call, &held, resumed.round));
    let told = again.unwrap_or_else(|| pending(forms, &held).ending(call.shape));
    under_way.answer(told.answer(&under_way.id)).await;
}

/// That a call waits, and where people answer it.
fn pending(forms: &Forms, held: &Held) -> Instead {
    let page = forms.links.as_ref().and_then(|links| links.page(held));
    Instead::pending(held).at(page)
}

/// Takes up a call that came to a task of the server's: it has not ended. Gives the permit back, if it has.
pub(super) fn goes_on(
    session: &Session,
    (permit, of): (Permit, Option<TaskId>),
    reply: Option<&str>,
) -> Option<Permit> {
    let (Some(tasks), Some(id)) = (&session.terms.forms.tasks, reply.and_then(tasks::named_in)) else {
        return Some(permit);
    };
    let Some(of) = of else { return Some(permit) };
    let back = tasks.take_up(&id, of, permit);
    if back.is_some() {
        warn!("there is no room for another task of the server's; how it ends is not recorded");
    }
    back
}

/// Has the server say what it is and can, and says beside it that calls may come to tasks.
pub(super) async fn discover(under_way: UnderWay, line: String) {
    let Some(reply) = asked(&under_way, line).await else {
        return;
    };
    let told = discovered(&reply).map_or(reply.clone(), |result| answers::result(&under_way.id, &result));
    under_way.answer(told).await;
}

/// What the server said, and that calls may come to tasks; none: it says so itself, or can't be understood.
fn discovered(reply: &str) -> Option<String> {
    let (_, result) = Message::result(reply)?;
    let result = Members::parse(result.get()).ok()?;
    let capabilities = Members::parse(result.get("capabilities")?.get()).ok()?;
    let extensions = match capabilities.get("extensions") {
        Some(extensions) => {
            let extensions = Members::parse(extensions.get()).ok()?;
            if extensions.get(TASKS).is_some() {
                return None;
            }
            extensions.with(TASKS, "{}")
        }
        None => format!(r#"{{"{TASKS}":{{}}}}"#),
    };
    Some(result.with("capabilities", &capabilities.with("extensions", &extensions)))
}

#[cfg(test)]
mod tests;
