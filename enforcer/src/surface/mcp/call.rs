//! A request that is decided: asked for, made, or held, and answered.
//!
//! **Invariant**: the server gets a call only after the gate permitted it, with the arguments that were decided, and once. Its outcome
//! is said before its result is passed on; a result of which the ledger could not be told stays here.

mod read;

use std::sync::Arc;
use std::time::Duration;

use checkrein_shared::action::Sha256;
use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::id::TaskId;
use checkrein_shared::policy::ResultSize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tracing::warn;

use super::answers::{self, INTERNAL, INVALID_PARAMS, Instead};
use super::forms::{self, Resumed, Shown};
use super::held::{Follower, HeldCall, Stage, Told};
use super::methods::Era;
use super::session::{Session, UnderWay};
use super::wire::{Answered, Id, Members, Message, shown};
use crate::gate::{Answer, CompleteError, Decided, Found, Held, Offer, Permit, Request, WAIT_MAX};
use crate::surface::again::Sameness;
pub(super) use read::Call;

/// After a call was given up, its answer is waited for so long, to record how it ended.
const GIVEN_UP_MAX: Duration = Duration::from_secs(5);
/// Whoever waits for people hears so often that it still waits.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// A hold that can't be waited for is asked about so often.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A request of the gate, and what belongs to it.
struct Asking {
    request: Request,
    note: Option<String>,
    /// As the server defined the tool when it was asked for.
    definition: Option<Sha256>,
    /// The task that it belongs to, if its grant is believed.
    task: Option<TaskId>,
    call: Call,
}

/// Decides a request, and answers it.
pub(super) async fn answer(under_way: UnderWay, mut call: Call, mut line: String) {
    let session = Arc::clone(&under_way.session);
    let definition = match &call.own_name {
        // One that the server does not define is defined as nothing is.
        Some(name) => Some(session.definition(name).await.unwrap_or_default()),
        None => None,
    };
    let presented = under_way.presented().await;
    let offer = session.terms.gate.offer(&presented.grant);
    let is_unoffered = offer
        .as_ref()
        .is_some_and(|offer| offer.definition(&call.tool).is_none());
    let task = offer.as_ref().map(Offer::task);
    let resumed = match forms::resume(&session.terms.forms, &mut call, offer.as_ref()) {
        Ok(resumed) => resumed,
        Err(instead) => return under_way.answer(instead.answer(&under_way.id, call.shape)).await,
    };
    if resumed.is_some() {
        // What the client brought was for us.
        line = answers::request(&under_way.id, &call.method, &call.params);
    }
    let sameness = offer.and_then(|offer| {
        let (whose, arguments) = ((offer.agent(), offer.task()), call.arguments.as_bytes());
        // Another answer to the server is another call.
        Sameness::of(whose, &call.tool, arguments, &call.beside())
    });
    if let Some(list) = call.list
        && is_unoffered
    {
        let nothing = match under_way.era {
            Era::Handshake => format!(r#"{{"{list}":[]}}"#),
            Era::Stateless => format!(r#"{{"{list}":[],"ttlMs":0,"cacheScope":"private"}}"#),
        };
        let nothing = answers::result(&under_way.id, &nothing);
        return under_way.answer(nothing).await;
    }
    let name = resumed.as_ref().map(|resumed| &*resumed.call_id);
    let known = sameness.and_then(|sameness| session.terms.held.enter(&sameness, name));
    let mut request = Request::new(presented.grant, &*call.tool, call.arguments.as_bytes());
    if let Some(definition) = definition {
        request = request.definition(definition);
    }
    if let Some(known) = &known {
        request = request.call_id(&*known.call_id);
    }
    let asking = Asking {
        request,
        note: presented.note.or_else(|| undefined(definition)),
        definition,
        task,
        call,
    };
    decide(&under_way, asking, (known.as_ref(), resumed.as_ref()), line).await;
    if let Some(known) = known {
        session.terms.held.leave(known);
    }
}

/// What is to be said of a tool that its server does not define.
fn undefined(definition: Option<Sha256>) -> Option<String> {
    let is_undefined = definition == Some(Sha256::default());
    is_undefined.then(|| "the server defines no tool of this name, or two".to_owned())
}

async fn decide(
    under_way: &UnderWay,
    asking: Asking,
    (known, resumed): (Option<&Arc<HeldCall>>, Option<&Resumed>),
    line: String,
) {
    let session = &under_way.session;
    let call = asking.call.clone();
    if let Some(follower) = known.and_then(HeldCall::join) {
        return forms::wait(under_way, &call, follower, resumed).await;
    }
    let decided = tokio::select! {
        decided = session.terms.gate.authorize(asking.request.clone()) => decided,
        () = under_way.cancelled.cancelled() => return,
    };
    let instead = match (decided, known) {
        (Err(error), _) => Instead::failed(INVALID_PARAMS, error.to_string()),
        (Ok(Answer::Deny(denied)), known) => {
            if let Some(known) = known {
                // Whatever it waited for is over.
                session.terms.held.taken(known);
            }
            Instead::denied(&denied, asking.note.as_deref())
        }
        (Ok(Answer::Hold(held)), None) => Instead::pending(&held),
        (Ok(Answer::Hold(held)), Some(known)) => {
            let (follower, is_first) = known.wait(&held);
            if is_first {
                let looking = look_after(Arc::clone(session), Arc::clone(known), asking);
                session.tasks.spawn(looking);
            }
            return forms::wait(under_way, &call, follower, resumed).await;
        }
        // It was approved before it was asked for again.
        (Ok(Answer::Permit(permit)), Some(known)) if permit.decided().hold.is_some() => {
            let follower = known.make();
            let (session, known) = (Arc::clone(session), Arc::clone(known));
            let making = async move { known.ends(make_approved(&session, permit, &asking).await) };
            under_way.session.tasks.spawn(making);
            return forms::wait(under_way, &call, follower, resumed).await;
        }
        (Ok(Answer::Permit(permit)), _) => {
            if let Some(line) = make(under_way, permit, &asking, line).await {
                under_way.answer(line).await;
            }
            return;
        }
    };
    under_way.answer(instead.answer(&under_way.id, call.shape)).await;
}

/// Makes a permitted call under the client's own id, its line as it came; gives the answer, as it came too. None: nobody waits for
/// it.
async fn make(under_way: &UnderWay, permit: Permit, asking: &Asking, line: String) -> Option<String> {
    let (session, id) = (&under_way.session, &under_way.id);
    let shape = asking.call.shape;
    let decided = permit.decided().clone();
    if let Err(instead) = still_defined(session, asking).await {
        settle_failed(permit, "the tool changed before it was called").await;
        return Some(instead.answer(id, shape));
    }
    let mut reply = session.requests.reply(id);
    session.tell_server(line).await;
    let reply = tokio::select! {
        biased;
        reply = &mut reply => reply.ok(),
        () = under_way.cancelled.cancelled() => {
            given_up(session, (id, &asking.call), permit, &mut reply).await;
            return None;
        }
        stopped = permit.stopped() => {
            let why = format!("{}, while the call was made, and nobody knows how far it got", stopped.reason);
            given_up(session, (id, &asking.call), permit, &mut reply).await;
            return Some(Instead::lost(&why, &decided).answer(id, shape));
        }
    };
    let Some(permit) = forms::goes_on(session, (permit, asking.task), reply.as_deref()) else {
        return reply;
    };
    match settle(permit, reply.as_deref()).await {
        Err(why) => Some(Instead::lost(&why, &decided).answer(id, shape)),
        Ok(()) => Some(reply.unwrap_or_else(|| lost_server(&decided).answer(id, shape))),
    }
}

/// Waits with others for people and what comes after, and answers; gives what it still waits for, if its client is to be told so.
pub(super) async fn follow(
    under_way: &UnderWay,
    call: &Call,
    follower: &mut Follower,
    mut shown: Option<Shown>,
) -> Option<Held> {
    let session = &under_way.session;
    let until = Instant::now() + session.terms.patience;
    let mut progress = interval(PROGRESS_EVERY);
    progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut step = 0;
    loop {
        let told = match &follower.changes.borrow_and_update().stage {
            Stage::Ended(told) => Some(told.clone()),
            _ => None,
        };
        if let Some(told) = told {
            if under_way.is_waited_for() {
                // Before the answer, because the stream that this belongs to ends with it.
                if let Some(shown) = shown.take() {
                    shown.end(under_way).await;
                }
                session.terms.held.taken(&follower.call);
                under_way.answer(told.answer(&under_way.id, call.shape)).await;
            }
            return None;
        }
        let waits = follower.still_waits();
        tokio::select! {
            biased;
            _ = follower.changes.changed() => {}
            () = under_way.cancelled.cancelled() => {
                if let Some(shown) = shown.take() {
                    shown.end(under_way).await;
                }
                return None;
            }
            // Whoever asks next gets what comes of it.
            () = under_way.brought.left.cancelled() => return None,
            () = patience(session, until), if waits.is_some() => {
                if let Some(held) = follower.still_waits() {
                    return Some(held);
                }
            }
            _ = progress.tick() => {
                if let (Some(token), Some(held)) = (&call.token, &waits) {
                    step += 1;
                    session
                        .client.tell(Some(&under_way.id), answers::waits(token, step, held))
                        .await;
                }
            }
        }
    }
}

/// Resolves when a client is to be told that its call waits.
async fn patience(session: &Session, until: Instant) {
    tokio::select! {
        () = sleep_until(until) => {}
        () = session.leaving.cancelled() => {}
    }
}

/// Waits for people as long as anybody waits for them, and makes the call once they agree.
async fn look_after(session: Arc<Session>, known: Arc<HeldCall>, asking: Asking) {
    let request = asking.request.clone().wait(WAIT_MAX);
    let told = loop {
        let asked = async {
            let answer = session.terms.gate.authorize(request.clone()).await;
            if let Ok(Answer::Hold(held)) = &answer {
                known.goes_on(Stage::Waiting(held.clone()));
                sleep(ASK_AGAIN).await;
            }
            answer
        };
        let answer = tokio::select! {
            biased;
            answer = asked => answer,
            () = known.left() => {
                if known.rests() {
                    return;
                }
                continue;
            }
        };
        match answer {
            Ok(Answer::Hold(_)) => {}
            Ok(Answer::Deny(denied)) => break Told::Instead(Instead::denied(&denied, None)),
            Ok(Answer::Permit(permit)) => {
                known.goes_on(Stage::Making);
                break make_approved(&session, permit, &asking).await;
            }
            Err(error) => break Told::Instead(Instead::failed(INVALID_PARAMS, error.to_string())),
        }
    };
    known.ends(told);
}

/// Makes an approved call under an id of our own: whoever asked may have gone, and others may wait for it.
async fn make_approved(session: &Session, permit: Permit, asking: &Asking) -> Told {
    let decided = permit.decided().clone();
    if let Err(instead) = still_defined(session, asking).await {
        settle_failed(permit, "the tool changed before it was called").await;
        return Told::Instead(instead);
    }
    let call = &asking.call;
    let (id, mut reply) = session.requests.own();
    session
        .tell_server(answers::request(&id, &call.method, &call.params))
        .await;
    let reply = tokio::select! {
        biased;
        reply = &mut reply => reply.ok(),
        stopped = permit.stopped() => {
            let why = format!("{}, while the call was made, and nobody knows how far it got", stopped.reason);
            given_up(session, (&id, call), permit, &mut reply).await;
            session.requests.end(&id);
            return Told::Instead(Instead::lost(&why, &decided));
        }
    };
    session.requests.end(&id);
    let permit = forms::goes_on(session, (permit, asking.task), reply.as_deref());
    if let Some(permit) = permit
        && let Err(why) = settle(permit, reply.as_deref()).await
    {
        return Told::Instead(Instead::lost(&why, &decided));
    }
    let parsed = reply.as_deref().map(Message::parse);
    match parsed {
        Some(Ok(Message::Response {
            answer: Answered::Result(result),
            ..
        })) => Told::Result(result.get().to_owned()),
        Some(Ok(Message::Response {
            answer: Answered::Error(error),
            ..
        })) => Told::Error(error.get().to_owned()),
        _ => Told::Instead(lost_server(&decided)),
    }
}

/// Whether the server still defines the tool as it was decided.
async fn still_defined(session: &Session, asking: &Asking) -> Result<(), Instead> {
    let (Some(name), Some(decided)) = (&asking.call.own_name, asking.definition) else {
        return Ok(());
    };
    if session.definition(name).await == Some(decided) {
        return Ok(());
    }
    let words = format!(
        "the server changed the definition of `{}` before it was called; it was not called",
        shown(name)
    );
    Err(Instead::failed(INTERNAL, words))
}

/// Tells the server that nobody waits for its answer, and records how the call ended, if that comes to light in time.
async fn given_up(
    session: &Session,
    (id, call): (&Id, &Call),
    permit: Permit,
    reply: &mut oneshot::Receiver<String>,
) {
    session.tell_server(answers::cancelled(id)).await;
    // A subscription that is given up has no answer.
    let patience = match call.method.as_str() {
        "subscriptions/listen" => Duration::ZERO,
        _ => GIVEN_UP_MAX,
    };
    let late = timeout(patience, reply).await;
    let late = late.ok().and_then(Result::ok);
    if let Err(why) = settle(permit, late.as_deref()).await {
        warn!(why, "a call that was given up");
    }
}

/// Says how a call ended; why its result may not be passed on.
pub(super) async fn settle(permit: Permit, reply: Option<&str>) -> Result<(), String> {
    let Some(Ok(Message::Response { answer, .. })) = reply.map(Message::parse) else {
        let detail = "the server did not say how it ended";
        let completed = permit.complete(OutcomeResult::Unknown, detail).await;
        return completed.map_err(|error| why(&error));
    };
    let (raw, result, detail) = match answer {
        Answered::Error(error) => (error, OutcomeResult::Failed, "the server answered with an error"),
        Answered::Result(result) if is_error(result) => {
            (result, OutcomeResult::Failed, "the tool's result is an error")
        }
        Answered::Result(result) => (result, OutcomeResult::Done, ""),
    };
    let found = Found {
        size: Some(ResultSize {
            bytes: raw.get().len() as u64,
            rows: None,
        }),
        content: Some(raw.get().as_bytes().to_vec()),
        ..Found::default()
    };
    let completed = permit.complete_with(result, detail, &found).await;
    completed.map_err(|error| why(&error))
}

/// Records that a call was not made.
async fn settle_failed(permit: Permit, detail: &str) {
    if let Err(error) = permit.complete(OutcomeResult::Failed, detail).await {
        warn!(
            error = &error as &dyn std::error::Error,
            "an outcome can't be recorded"
        );
    }
}

fn why(error: &CompleteError) -> String {
    match error {
        CompleteError::Unlabelled(unlabelled) => {
            format!(
                "the call was made, and its result is withheld: {}",
                unlabelled.reason
            )
        }
        error => format!("the call was made, and its result is withheld: {error}"),
    }
}

fn lost_server(decided: &Decided) -> Instead {
    let why = "the server ended before it answered, and nobody knows whether the call was made";
    Instead::lost(why, decided)
}

/// Whether the server says of its result that it is an error.
fn is_error(result: &RawValue) -> bool {
    let members = Members::parse(result.get());
    members.is_ok_and(|members| members.get("isError").is_some_and(|is| is.get() == "true"))
}

#[cfg(test)]
mod tests;
