//! The scene in which an agent passes work on, and the work ends for both at once.

use std::sync::Arc;
use std::time::Duration;

use checkrein_proto::decision::v1::Verdict;
use checkrein_shared::action::Arguments;
use checkrein_shared::clock::{Clock, SystemClock};
use checkrein_shared::decision::Cause;
use checkrein_shared::grant::{Narrowing, NotNarrowed, OwnGrant, Scope};
use checkrein_shared::key::SigningKey;
use tokio::time::{sleep, timeout};

use super::{Call, LOOK_INTERVAL, Story, Suite, WAIT_MAX, Work, find, unexpected};
use crate::cli::output::Style;
use crate::demo::DemoError;
use crate::demo::stage::CLERK;

/// How long the clerk may work.
const CLERK_LIFE: Duration = Duration::from_mins(1);

impl Work {
    /// Proves that whoever makes this call has the key that the grant names; nothing, if it names none.
    pub(super) fn prove(&self, call: &Call) -> Result<String, DemoError> {
        let Some(key) = &self.key else {
            return Ok(String::new());
        };
        let arguments = call.arguments();
        let arguments =
            Arguments::parse(arguments.as_bytes()).map_err(|error| unexpected("arguments", &error))?;
        OwnGrant::read(&self.grant)
            .map_err(NotNarrowed::from)
            .and_then(|own| own.prove(&call.tool(), &arguments, key, &SystemClock))
            .map_err(|error| unexpected("a proof", &error))
    }

    /// Narrows it, offline, for whoever has that key.
    pub(super) fn pass_on(
        &self,
        (narrowing, key): (Narrowing, Arc<SigningKey>),
    ) -> Result<Self, NotNarrowed> {
        let own_key = self.key.as_ref().ok_or(NotNarrowed::Key)?;
        let grant = OwnGrant::read(&self.grant)?.pass_on(narrowing, own_key, &SystemClock)?;
        Ok(Self {
            task: self.task.clone(),
            grant,
            key: Some(key),
            is_clerks: true,
        })
    }
}

impl Story {
    pub(super) async fn delegate(&mut self, suite: &Suite) -> Result<(), DemoError> {
        self.screen
            .title("The agent passes work on, and all of it ends with the task");
        let task = find(suite, "user_task_4")?;
        let (pay, reads) = task
            .calls
            .split_last()
            .ok_or_else(|| unexpected("calls", &"none"))?;
        let read = reads.first().ok_or_else(|| unexpected("calls", &"none"))?;
        let work = self
            .start_held(task, vec![read.tool(), pay.tool()], Some(new_key()?))
            .await?;
        let clerks = work
            .pass_on(for_clerk(read)?)
            .map_err(|error| unexpected("a narrower grant", &error))?;
        self.screen.step(&format!(
            "the assistant signs a grant for the clerk, offline: {} and nothing else, for a minute",
            read.tool()
        ));
        self.expect(1, &clerks, read, Verdict::Permit).await?;
        self.expect_denied(1, &clerks, pay, Cause::OutOfScope).await?;
        match clerks.pass_on(for_clerk(pay)?) {
            Err(NotNarrowed::Widened(dimension)) => {
                self.screen
                    .say(&format!("the clerk can't pass more on: {dimension}"));
            }
            other => return Err(unexpected("no grant for more", &format!("{other:?}"))),
        }
        let stolen = Work {
            key: None,
            ..work.clone()
        };
        self.expect_denied(0, &stolen, pay, Cause::InvalidProof).await?;
        self.screen
            .say("whoever has the grant and not its key pays nothing; with a proof for this very call it goes through");
        self.expect(0, &work, pay, Verdict::Permit).await?;
        let began = SystemClock.boot_ms();
        self.end_task(&work).await?;
        self.until_over(0, &work, read).await?;
        self.until_over(1, &clerks, read).await?;
        self.tally.end_to_refused_ms = SystemClock.boot_ms() - began;
        let took = self
            .screen
            .styled(Style::Strong, &format!("{} ms", self.tally.end_to_refused_ms));
        self.screen.say(&format!(
            "from the end of the task to both agents being refused: {took}"
        ));
        Ok(())
    }

    /// Until a call is refused because its task is over.
    async fn until_over(&mut self, at: usize, work: &Work, call: &Call) -> Result<(), DemoError> {
        let looking = async {
            loop {
                let call_id = self.next_call_id();
                let answer = self.ask(at, work, call, &call_id).await?;
                if answer.cause == Cause::TaskEnded.as_str() {
                    let name = self.stage.enforcers[at].name;
                    self.screen
                        .verdict("deny", &format!("{name}: {}", call.tool()), &answer.reason);
                    return Ok::<(), DemoError>(());
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        timeout(WAIT_MAX, looking)
            .await
            .map_err(|_| DemoError::TimedOut("the end of the task to reach its agents"))?
    }
}

/// A call's tool and nothing else, for a while, with a key of the clerk's own.
pub(super) fn for_clerk(call: &Call) -> Result<(Narrowing, Arc<SigningKey>), DemoError> {
    let clerk = CLERK.parse().map_err(|error| unexpected("an agent", &error))?;
    let scope = Scope::parse([call.tool()]).map_err(|error| unexpected("a scope", &error))?;
    let key = new_key()?;
    let narrowing = Narrowing {
        scope: Some(scope),
        expires_in: Some(CLERK_LIFE),
        holder: Some(key.verifying()),
        ..Narrowing::to(clerk)
    };
    Ok((narrowing, key))
}

pub(super) fn new_key() -> Result<Arc<SigningKey>, DemoError> {
    let key = SigningKey::generate().and_then(|key| SigningKey::from_pkcs8(&key));
    key.map(Arc::new).map_err(|error| unexpected("a key", &error))
}
