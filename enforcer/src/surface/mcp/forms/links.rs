//! A link for the user of a client: to the page on which people answer what its call waits for, with a state by which the call comes back.
//!
//! **Invariant**: a state is a name and no permission: it finds the hold again that its call waits for. It is believed only if we signed it,
//! and only from the same caller, in the same task, for the same call, in time; that its hold is used once is the hold's own affair.
//! What a user says to the link decides nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_shared::SharedClock;
use checkrein_shared::key::SigningKey;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::answers::{Ending, INVALID_PARAMS, Instead, waiting};
use super::super::call::Call;
use super::super::held::HeldCall;
use super::super::methods::{ANSWERS, Era};
use super::super::wire::{Members, shown, text};
use super::{Resumed, member};
use crate::directory::write_durably;
use crate::gate::{Held, Offer};
use crate::surface::again::Sameness;

/// Where the key that signs states is kept, so that a call finds its hold again after a restart.
const FILE: &str = "mcp-state.key";
/// Begins every state that is of this form.
const FORM: &str = "checkrein-1";
/// Under which the link is asked for, and answered.
const APPROVAL: &str = "checkrein-approval";
/// What a call brings the server goes into its state, if it has at most so many bytes.
const BROUGHT_BYTES_MAX: usize = 64 << 10;
/// A client comes back so often, and is told then that its call waits.
const ROUNDS_MAX: u32 = 8;
/// A state is believed for so long after people could last have answered.
const LATE_MAX: Duration = Duration::from_hours(1);

/// Where links lead, and what signs their states.
#[derive(Debug)]
pub(in crate::surface::mcp) struct Links {
    console: String,
    key: SigningKey,
    clock: SharedClock,
}

/// What a state says.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    agent: String,
    task: String,
    method: String,
    tool: String,
    /// Of the canonical arguments, and what it brought the server beside them.
    arguments: String,
    brought: Vec<(String, String)>,
    call: String,
    hold: String,
    round: u32,
    until_ms: u64,
}

impl Links {
    /// Links into this console, their states signed by the key in this directory.
    pub(in crate::surface::mcp) fn open(
        console: &str,
        directory: &Path,
        clock: SharedClock,
    ) -> io::Result<Self> {
        let key = SigningKey::from_pkcs8(&kept(directory)?).map_err(io::Error::other)?;
        Ok(Self::new(console, key, clock))
    }

    pub(super) fn new(console: &str, key: SigningKey, clock: SharedClock) -> Self {
        Self {
            console: console.to_owned(),
            key,
            clock,
        }
    }

    /// The page on which people answer.
    pub(super) fn page(&self, held: &Held) -> Option<String> {
        let hold = held.decided.hold?;
        Some(format!("{}/holds/{hold}", self.console))
    }

    /// What a client is asked first: to show its user the link. None: it can't be.
    pub(super) fn question(&self, call: &Call, known: &HeldCall, held: &Held) -> Option<Ending> {
        let link = json!({
            "method": "elicitation/create",
            "params": { "mode": "url", "url": self.page(held)?, "message": words(&call.tool, held) },
        });
        let told = json!({
            "resultType": "input_required",
            "inputRequests": { APPROVAL: link },
            "requestState": self.state(call, known, held, 1)?,
        });
        Some(Ending::Result(told.to_string()))
    }

    /// What it is told when it has come back and people have not answered: to come back again. None: often enough.
    pub(super) fn again(&self, call: &Call, known: &HeldCall, held: &Held, round: u32) -> Option<Ending> {
        if round >= ROUNDS_MAX {
            return None;
        }
        let state = self.state(call, known, held, round + 1)?;
        let told = json!({ "resultType": "input_required", "requestState": state });
        Some(Ending::Result(told.to_string()))
    }

    fn state(&self, call: &Call, known: &HeldCall, held: &Held, round: u32) -> Option<String> {
        let brought: usize = call.brought.iter().map(|(_, value)| value.len()).sum();
        if brought > BROUGHT_BYTES_MAX {
            return None;
        }
        let same = &known.sameness;
        let late_ms = u64::try_from(LATE_MAX.as_millis()).unwrap_or(u64::MAX);
        let said = Said {
            agent: same.agent.to_string(),
            task: same.task.to_string(),
            method: call.method.clone(),
            tool: same.tool.clone(),
            arguments: same.arguments.to_string(),
            brought: call.brought.clone(),
            call: known.call_id.clone(),
            hold: held.decided.hold?.to_string(),
            round,
            until_ms: held.decide_by_ms.saturating_add(late_ms),
        };
        let said = URL_SAFE_NO_PAD.encode(serde_json::to_string(&said).ok()?);
        let signed = format!("{}{said}", self.ours());
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        Some(format!("{signed}.{signature}"))
    }

    /// Begins the states that this key has signed, or is said to have.
    pub(super) fn ours(&self) -> String {
        format!("{FORM}.{}.", self.key.id().0)
    }

    fn opened(&self, state: &str) -> Option<Said> {
        let (signed, signature) = state.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.key.verifying().verify(signed.as_bytes(), &signature).ok()?;
        let said = URL_SAFE_NO_PAD.decode(signed.strip_prefix(&self.ours())?).ok()?;
        serde_json::from_slice(&said).ok()
    }

    /// Takes up a call that brings a state of ours: then it is the call that it was. One that brings another's is the server's affair.
    pub(super) fn resume(&self, call: &mut Call, offer: Option<&Offer>) -> Result<Option<Resumed>, Instead> {
        let given = |name: &str| call.brought.iter().find(|(member, _)| member == name);
        let state: Option<String> = given("requestState").and_then(|(_, raw)| serde_json::from_str(raw).ok());
        let Some(state) = state.filter(|state| state.starts_with(&self.ours())) else {
            return Ok(None);
        };
        let goes_on = given("inputResponses").is_none_or(|(_, raw)| is_accepted(raw));
        let said = self.opened(&state).ok_or_else(|| refused("was not given here"))?;
        if said.until_ms < self.clock.wall_ms() {
            return Err(refused("is too old"));
        }
        if said.method != call.method || said.tool != call.tool {
            return Err(refused("was given for another call"));
        }
        call.brought.clone_from(&said.brought);
        // Without a grant that is believed it is denied, and the record says so.
        if let Some(offer) = offer {
            let (agent, task) = (offer.agent(), offer.task());
            if said.agent != agent.to_string() || said.task != task.to_string() {
                return Err(refused("was given to another caller, or in another task"));
            }
            let same = Sameness::of(
                (agent, task),
                &call.tool,
                call.arguments.as_bytes(),
                &call.beside(),
            );
            if same.map(|same| same.arguments.to_string()) != Some(said.arguments) {
                return Err(refused("was given for other arguments"));
            }
        }
        let params = Members::parse(&call.params)
            .map_err(|error| Instead::failed(INVALID_PARAMS, error.to_string()))?;
        let params = params.without(&ANSWERS, &said.brought);
        call.params = params;
        Ok(Some(Resumed {
            call_id: said.call,
            round: said.round,
            goes_on,
        }))
    }
}

/// What is said to the user of a client beside the link.
pub(super) fn words(tool: &str, held: &Held) -> String {
    format!(
        "`{}` is {}: {}. The page shows exactly what is asked for and who may answer. Opening it approves nothing.",
        shown(tool),
        waiting(held),
        held.decided.reason.trim_end_matches('.')
    )
}

/// Whether the answer to this call may be a question.
pub(super) fn may_ask(call: &Call) -> bool {
    call.takes.links && Era::Stateless.answers_within(&call.method)
}

fn refused(why: &str) -> Instead {
    let words = format!("this `requestState` {why}; make the call again without it");
    Instead::failed(INVALID_PARAMS, words)
}

/// Whether a user was willing to open the link.
fn is_accepted(responses: &str) -> bool {
    let action = || {
        let responses = Members::parse(responses).ok()?;
        text(member(responses.get(APPROVAL)?, "action")?)
    };
    action().as_deref() == Some("accept")
}

/// The key that was made before, or a new one.
fn kept(directory: &Path) -> io::Result<Vec<u8>> {
    match fs::read(directory.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let made = SigningKey::generate().map_err(io::Error::other)?;
    write_durably(directory, FILE, &made)?;
    Ok(made)
}
