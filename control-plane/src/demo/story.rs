//! The scenes.

mod calls;
mod delegation;
mod outcome;
mod server;
mod stay;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use checkrein_proto::decision::v1::Verdict;
use checkrein_proto::hold::v1::Hold;
use checkrein_shared::action::Sha256;
use checkrein_shared::clock::{Clock, SystemClock};
use checkrein_shared::decision::Cause;
use checkrein_shared::key::SigningKey;
use tokio::time::{sleep, timeout};

use super::screen::Screen;
use super::script::{Call, FREEZE_RULE, Suite, UserTask};
use super::stage::{Programs, Stage};
use super::{DemoError, Tally};
use crate::cli::output::Style;

/// How long anything may take to come true.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// How often we look.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// What has been told so far.
#[derive(Debug)]
pub(super) struct Story {
    stage: Stage,
    screen: Screen,
    tally: Tally,
    /// Calls that an approver has released.
    approved: BTreeSet<String>,
    calls: u64,
    /// What the next call gives, as far as the story says.
    gives: &'static str,
}

/// A task with the grant that carries it.
#[derive(Debug, Clone)]
struct Work {
    task: String,
    grant: String,
    /// The key of whoever holds the grant, if it names one.
    key: Option<Arc<SigningKey>>,
    /// It was passed on to the clerk.
    is_clerks: bool,
}

impl Story {
    pub(super) fn new(stage: Stage, screen: Screen) -> Self {
        Self {
            stage,
            screen,
            tally: Tally::default(),
            approved: BTreeSet::new(),
            calls: 0,
            gives: "",
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    pub(super) fn end(self) -> Stage {
        self.stage
    }

    /// Tells it from the beginning to the end.
    pub(super) async fn tell(&mut self, programs: Option<&Programs>) -> Result<(), DemoError> {
        let suite = Suite::load().map_err(|error| unexpected("the suite", &error))?;
        self.push_policy().await?;
        self.real_work(&suite).await?;
        self.ask_a_person(&suite).await?;
        self.resist(&suite).await?;
        self.delegate(&suite).await?;
        self.add_up().await?;
        self.flip(&suite).await?;
        self.before_a_server(programs).await?;
        self.absence(&suite).await?;
        self.count().await
    }

    async fn push_policy(&mut self) -> Result<(), DemoError> {
        self.screen.title("An operator pushes a policy");
        let began = SystemClock.boot_ms();
        let generation = self.push(false).await?;
        self.until_all_run(generation).await?;
        let took_ms = SystemClock.boot_ms() - began;
        self.screen.say(&format!(
            "pack `banking` is generation {generation}; both enforcers run it {took_ms} ms later"
        ));
        Ok(())
    }

    async fn real_work(&mut self, suite: &Suite) -> Result<(), DemoError> {
        self.screen
            .title("An agent works: reads, and a payment to an account that the user named");
        let task = find(suite, "user_task_3")?;
        self.screen.step(&format!("alice: “{}”", task.prompt));
        let work = self.start(task).await?;
        for call in &task.calls {
            self.expect(0, &work, call, Verdict::Permit).await?;
        }
        self.end_task(&work).await?;
        self.screen
            .step("the other tasks of the suite that only read, through both enforcers");
        for task in suite
            .user_tasks
            .iter()
            .filter(|task| task.calls.iter().all(super::script::Call::reads))
        {
            let work = self.start(task).await?;
            for (at, call) in task.calls.iter().enumerate() {
                self.expect(at % 2, &work, call, Verdict::Permit).await?;
            }
            self.end_task(&work).await?;
        }
        Ok(())
    }

    async fn ask_a_person(&mut self, suite: &Suite) -> Result<(), DemoError> {
        self.screen
            .title("A payment to an account nobody named waits for a person");
        let task = find(suite, "user_task_0")?;
        self.screen.step(&format!("alice: “{}”", task.prompt));
        let work = self.start(task).await?;
        let (last, first) = task
            .calls
            .split_last()
            .ok_or_else(|| unexpected("calls", &"none"))?;
        for call in first {
            self.expect(0, &work, call, Verdict::Permit).await?;
        }
        let call_id = self.next_call_id();
        self.expect_as(0, &work, last, &call_id, Verdict::Hold).await?;
        let hold = self.waiting(&work).await?;
        self.show(&hold);
        self.screen.step(
            "he can read it in a browser, too: `checkrein console` prints a link that signs him in, once",
        );
        self.vote(&hold, true, "").await?;
        self.screen.say("bob approves exactly these bytes");
        self.expect_as(0, &work, last, &call_id, Verdict::Permit).await?;
        self.expect_as(0, &work, last, &call_id, Verdict::Deny).await?;
        self.screen
            .say("an approval is good for one release: the same call again is denied");
        self.end_task(&work).await
    }

    async fn resist(&mut self, suite: &Suite) -> Result<(), DemoError> {
        self.screen
            .title("What the agent reads tells it to do something else");
        let task = find(suite, "user_task_4")?;
        let injected = suite
            .injection("injection_task_5")
            .ok_or_else(|| unexpected("injection_task_5", &"none"))?;
        self.screen.step(&format!(
            "{} is hidden in what it reads while it works for alice",
            injected.id
        ));
        let work = self.start_with(task, vec!["banking/*".to_owned()]).await?;
        for call in &injected.calls {
            self.expect(1, &work, call, Verdict::Hold).await?;
            let hold = self.waiting(&work).await?;
            self.vote(&hold, false, "nobody asked for this").await?;
            self.screen
                .say("bob denies it; asked once more, the agent hears it again and no person does");
            self.expect(1, &work, call, Verdict::Deny).await?;
        }
        let other = suite
            .injection("injection_task_7")
            .ok_or_else(|| unexpected("injection_task_7", &"none"))?;
        for call in &other.calls {
            self.expect(1, &work, call, Verdict::Deny).await?;
        }
        self.end_task(&work).await
    }

    async fn flip(&mut self, suite: &Suite) -> Result<(), DemoError> {
        self.screen
            .title("A policy pushed in the middle of work flips a verdict everywhere");
        let task = find(suite, "user_task_4")?;
        let work = self.start(task).await?;
        let pay = task.calls.last().ok_or_else(|| unexpected("calls", &"none"))?;
        for at in 0..2 {
            self.expect(at, &work, pay, Verdict::Permit).await?;
        }
        let began = SystemClock.boot_ms();
        self.push(true).await?;
        for at in 0..2 {
            self.until_denied(at, &work, pay).await?;
        }
        self.tally.push_to_enforced_ms = SystemClock.boot_ms() - began;
        let took = self
            .screen
            .styled(Style::Strong, &format!("{} ms", self.tally.push_to_enforced_ms));
        self.screen.say(&format!(
            "from the push to both enforcers denying: {took}, check and tests included"
        ));
        let generation = self.push(false).await?;
        self.until_all_run(generation).await?;
        self.screen.step("thawed again");
        self.end_task(&work).await
    }

    async fn absence(&mut self, suite: &Suite) -> Result<(), DemoError> {
        self.screen
            .title("The control plane is killed; work that needs no one's word goes on");
        let task = find(suite, "user_task_4")?;
        let work = self.start(task).await?;
        let (pay, reads) = task
            .calls
            .split_last()
            .ok_or_else(|| unexpected("calls", &"none"))?;
        // A write that can be undone: to an address that the user named.
        let task = find(suite, "user_task_15")?;
        let moved = self.start(task).await?;
        let update = task.calls.first().ok_or_else(|| unexpected("calls", &"none"))?;
        self.stage.kill_control_plane().await?;
        let before = (self.tally.decisions_answered, self.tally.denied);
        for at in 0..2 {
            for call in reads {
                self.expect(at, &work, call, Verdict::Permit).await?;
            }
            self.expect(at, &moved, update, Verdict::Permit).await?;
            // A rule asks what the task has paid before, and nobody can say.
            self.expect_denied(at, &work, pay, Cause::LedgerUnknown).await?;
        }
        self.tally.answered_while_control_plane_down = self.tally.decisions_answered - before.0;
        self.tally.denied_while_control_plane_down = self.tally.denied - before.1;
        Ok(())
    }

    async fn count(&mut self) -> Result<(), DemoError> {
        self.screen.title("It comes back, and the journals come home");
        self.stage.restart_control_plane().await?;
        self.until_home().await?;
        let tally = &self.tally;
        let stored = format!(
            "{} decisions answered, {} stored",
            tally.decisions_answered, tally.decisions_stored
        );
        let style = if tally.is_whole() { Style::Good } else { Style::Bad };
        let lost = format!(
            "{} lost, {} twice",
            tally.decisions_lost, tally.decisions_duplicated
        );
        self.screen
            .say(&format!("{stored}: {}", self.screen.styled(style, &lost)));
        self.screen.step(
            "stored are also the holds behind each release; every row carries the hash of all before it",
        );
        Ok(())
    }

    /// The very bytes, as an approver sees them.
    fn show(&self, hold: &Hold) {
        let Some(action) = &hold.action else { return };
        let arguments = String::from_utf8_lossy(&action.arguments);
        self.screen.say(&format!(
            "bob sees: {} for {} wants {}",
            action.agent, action.user, action.tool
        ));
        self.screen.say(&format!(
            "          {}",
            self.screen.styled(Style::Strong, &arguments)
        ));
        let hash = Sha256::try_from(&*action.action_sha256).unwrap_or_default();
        self.screen.say(&format!("          sha256 {hash}"));
        self.screen.say(&format!("          because {}", hold.reason));
    }

    async fn until_denied(&mut self, at: usize, work: &Work, call: &Call) -> Result<(), DemoError> {
        let looking = async {
            loop {
                let call_id = self.next_call_id();
                let answer = self.ask(at, work, call, &call_id).await?;
                // No other denial is the new policy's.
                let frozen = answer.rules.iter().any(|rule| rule == FREEZE_RULE);
                if answer.verdict() == Verdict::Deny && frozen {
                    let name = self.stage.enforcers[at].name;
                    let why = format!("{}: {}", answer.rules.join(", "), answer.reason);
                    self.screen
                        .verdict("deny", &format!("{name}: {}", call.tool()), &why);
                    return Ok::<(), DemoError>(());
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        timeout(WAIT_MAX, looking)
            .await
            .map_err(|_| DemoError::TimedOut("the new policy"))?
    }

    fn next_call_id(&mut self) -> String {
        self.calls += 1;
        format!("call-{}", self.calls)
    }
}

fn find<'a>(suite: &'a Suite, id: &str) -> Result<&'a UserTask, DemoError> {
    suite.user_task(id).ok_or_else(|| unexpected(id, &"no such task"))
}

fn unexpected(expected: &str, found: &dyn std::fmt::Display) -> DemoError {
    DemoError::Unexpected {
        expected: expected.to_owned(),
        found: found.to_string(),
    }
}
