//! The scene in which whoever watches is asked: actions wait, and are answered in the console.
//!
//! **Invariant**: an agent's call ends as the person at the page says; nothing here votes.

use std::time::Duration;

use checkrein_proto::decision::v1::gate_service_client::GateServiceClient;
use checkrein_proto::decision::v1::{
    AuthorizeRequest, AuthorizeResponse, CompleteRequest, OutcomeResult, Verdict,
};
use checkrein_proto::fleet::v1::SignInRequest;
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::Channel;

use super::{Call, Story, Suite, Work, find, unexpected};
use crate::cli::output::Style;
use crate::demo::DemoError;
use crate::demo::typed::Lines;

/// A demo that was forgotten ends by itself.
const STAY_MAX: Duration = Duration::from_hours(1);

/// The calls that wait, and what each of them is told.
type Waiting = JoinSet<Result<(Call, AuthorizeResponse), Status>>;

impl Story {
    /// Has actions wait for a person, says where to answer them and what comes of it, until standard input ends.
    pub(in crate::demo) async fn stay(&mut self) -> Result<(), DemoError> {
        self.screen.title("Your turn: answer in a browser");
        let staying = async {
            let suite = Suite::load().map_err(|error| unexpected("the suite", &error))?;
            let mut waiting = self.put_before_people(&suite).await?;
            self.show_link().await?;
            let mut typed = Lines::of_standard_input()?;
            loop {
                tokio::select! {
                    line = typed.next() => {
                        if line.is_none() {
                            return Ok(());
                        }
                        if waiting.is_empty() {
                            waiting = self.put_before_people(&suite).await?;
                        }
                        self.show_link().await?;
                    }
                    Some(answered) = waiting.join_next() => self.show_answer(answered, waiting.is_empty())?,
                }
            }
        };
        timeout(STAY_MAX, staying).await.unwrap_or_else(|_| {
            self.screen.say("an hour is over, and so is the demo");
            Ok(())
        })
    }

    /// A bill that the user asked to have paid, an address that a letter gives, and what somebody hid in what the agent read.
    async fn put_before_people(&mut self, suite: &Suite) -> Result<Waiting, DemoError> {
        let hijacked = suite
            .injection("injection_task_5")
            .ok_or_else(|| unexpected("injection_task_5", &"none"))?;
        let mut waiting = Waiting::new();
        for (task, other) in [
            ("user_task_0", None),
            ("user_task_13", None),
            ("user_task_4", Some(&hijacked.calls)),
        ] {
            let task = find(suite, task)?;
            let call = other.unwrap_or(&task.calls).last();
            let call = call.ok_or_else(|| unexpected("calls", &"none"))?;
            self.screen.step(&format!("alice: “{}”", task.prompt));
            if other.is_some() {
                self.screen
                    .step("and something else is hidden in what the agent reads for it");
            }
            let work = self.start_with(task, vec!["banking/*".to_owned()]).await?;
            self.ask_people(&work, call, &mut waiting).await?;
        }
        Ok(waiting)
    }

    async fn ask_people(&mut self, work: &Work, call: &Call, waiting: &mut Waiting) -> Result<(), DemoError> {
        let call_id = self.next_call_id();
        self.expect_as(0, work, call, &call_id, Verdict::Hold).await?;
        let wait_ms = u64::try_from(STAY_MAX.as_millis()).unwrap_or(u64::MAX);
        let (gate, request) = (
            self.stage.enforcers[0].gate.clone(),
            work.ask(call, &call_id, wait_ms)?,
        );
        let call = call.clone();
        waiting.spawn(async move { Ok((call, answer(gate, request).await?)) });
        Ok(())
    }

    async fn show_link(&self) -> Result<(), DemoError> {
        let mut client = FleetServiceClient::new(self.stage.approver.clone());
        let link = client.sign_in(SignInRequest {}).await?.into_inner();
        self.screen
            .say("open this within a minute; it signs you in as bob, once:");
        self.screen.say(&format!(
            "\n    {}\n",
            self.screen.styled(Style::Strong, &link.url)
        ));
        self.screen
            .step("Enter prints another link; Ctrl-C ends the demo, and leaves nothing running");
        Ok(())
    }

    fn show_answer(
        &self,
        answered: Result<Result<(Call, AuthorizeResponse), Status>, JoinError>,
        is_last: bool,
    ) -> Result<(), DemoError> {
        let (call, answer) = answered.map_err(std::io::Error::other)??;
        let (word, why) = match answer.verdict() {
            Verdict::Permit => ("release", String::new()),
            _ => ("deny", format!("{}: {}", answer.cause, answer.reason)),
        };
        let name = self.stage.enforcers[0].name;
        self.screen
            .verdict(word, &format!("{name}: {} {}", call.tool(), call.shown()), &why);
        if is_last {
            self.screen
                .step("nothing waits any more; Enter has the agent ask again");
        }
        Ok(())
    }
}

/// What the agent is told in the end. What it may do, it does.
async fn answer(gate: Channel, request: AuthorizeRequest) -> Result<AuthorizeResponse, Status> {
    let mut gate = GateServiceClient::new(gate);
    let answer = gate.authorize(request).await?.into_inner();
    if answer.verdict() == Verdict::Permit {
        let done = CompleteRequest {
            decision_id: answer.decision_id.clone(),
            result: OutcomeResult::Done.into(),
            ..CompleteRequest::default()
        };
        gate.complete(done).await?;
    }
    Ok(answer)
}
