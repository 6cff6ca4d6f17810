//! The calls the story makes, as operator, approver and agent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use checkrein_proto::decision::v1::decision_service_client::DecisionServiceClient;
use checkrein_proto::decision::v1::gate_service_client::GateServiceClient;
use checkrein_proto::decision::v1::{
    AuthorizeRequest, AuthorizeResponse, CompleteRequest, CountRequest, OutcomeResult, SearchRequest, Verdict,
};
use checkrein_proto::fleet::v1::ListRequest as FleetListRequest;
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::hold::v1::{Hold, ListRequest as HoldListRequest, VoteRequest};
use checkrein_proto::policy::v1::policy_service_client::PolicyServiceClient;
use checkrein_proto::policy::v1::{PackFile, PushRequest};
use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_proto::task::v1::{EndRequest, Limits, StartRequest};
use checkrein_shared::action::ActionIdentity;
use checkrein_shared::clock::SystemClock;
use checkrein_shared::decision::Cause;
use checkrein_shared::key::SigningKey;
use checkrein_shared::policy::PackSource;
use tokio::time::{sleep, timeout};

use super::{Call, LOOK_INTERVAL, Story, UserTask, WAIT_MAX, Work, unexpected};
use crate::cli::client::idempotency_key;
use crate::demo::DemoError;
use crate::demo::script;
use crate::demo::stage::AGENT;

/// How long a held call waits to be released.
const RELEASE_WAIT_MS: u64 = 10_000;
/// How long a task lives: longer than anybody watches.
const TASK_LIFE: Duration = Duration::from_hours(2);

impl Work {
    /// What its agent asks to do this call.
    pub(super) fn ask(
        &self,
        call: &Call,
        call_id: &str,
        wait_ms: u64,
    ) -> Result<AuthorizeRequest, DemoError> {
        Ok(AuthorizeRequest {
            proof: self.prove(call)?,
            grant: self.grant.clone(),
            tool: call.tool(),
            arguments: call.arguments().into_bytes().into(),
            call_id: call_id.to_owned(),
            wait_ms,
        })
    }
}

impl Story {
    /// Pushes the pack; returns its generation.
    pub(super) async fn push(&self, frozen: bool) -> Result<u64, DemoError> {
        self.push_pack(
            script::pack(frozen),
            if frozen { "freeze payments" } else { "banking" },
        )
        .await
    }

    /// Pushes any pack; returns its generation.
    pub(super) async fn push_pack(&self, source: PackSource, note: &str) -> Result<u64, DemoError> {
        let file = |(path, content): (String, Vec<u8>)| PackFile {
            path,
            content: content.into(),
        };
        let request = PushRequest {
            pack: source.name,
            files: source.files.into_iter().map(file).collect(),
            note: note.to_owned(),
            idempotency_key: idempotency_key(&SystemClock),
            validate_only: false,
        };
        let mut client = PolicyServiceClient::new(self.stage.operator.clone());
        let pushed = client.push(request).await?.into_inner();
        Ok(pushed
            .revision
            .map(|revision| revision.generation)
            .unwrap_or_default())
    }

    /// Until every enforcer has acked a generation.
    pub(super) async fn until_all_run(&self, generation: u64) -> Result<(), DemoError> {
        let looking = async {
            loop {
                let mut client = FleetServiceClient::new(self.stage.operator.clone());
                let fleet = client.list(FleetListRequest::default()).await?.into_inner();
                let runs = |enforcer: &checkrein_proto::fleet::v1::Enforcer| {
                    enforcer
                        .instances
                        .iter()
                        .any(|instance| instance.generation >= generation)
                };
                if fleet.enforcers.iter().all(runs) {
                    return Ok::<(), DemoError>(());
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        timeout(WAIT_MAX, looking)
            .await
            .map_err(|_| DemoError::TimedOut("the enforcers to run the policy"))?
    }

    /// Starts a task with the scope of the user's own work.
    pub(super) async fn start(&self, task: &UserTask) -> Result<Work, DemoError> {
        let tools: BTreeSet<String> = task.calls.iter().map(Call::tool).collect();
        self.start_with(task, tools.into_iter().collect()).await
    }

    /// Starts a task with another scope.
    pub(super) async fn start_with(&self, task: &UserTask, tools: Vec<String>) -> Result<Work, DemoError> {
        self.start_held(task, tools, None).await
    }

    /// Starts one whose grant can be passed on once, by whoever has this key.
    pub(super) async fn start_held(
        &self,
        task: &UserTask,
        tools: Vec<String>,
        key: Option<Arc<SigningKey>>,
    ) -> Result<Work, DemoError> {
        let holder_key = key.as_ref().map(|key| key.verifying().to_base64());
        let request = StartRequest {
            limits: Some(Limits {
                depth: u32::from(key.is_some()),
                ..Limits::default()
            }),
            holder_key: holder_key.unwrap_or_default(),
            user: "alice".to_owned(),
            agent: AGENT.to_owned(),
            tools,
            named: task.named(),
            intent: task.prompt.clone(),
            environment: "production".to_owned(),
            expires_in_ms: u64::try_from(TASK_LIFE.as_millis()).unwrap_or(u64::MAX),
            idempotency_key: idempotency_key(&SystemClock),
            scope: String::new(),
            data: None,
            budgets: Vec::new(),
        };
        let mut client = TaskServiceClient::new(self.stage.operator.clone());
        let started = client.start(request).await?.into_inner();
        let task = started.task.map(|task| task.task_id).unwrap_or_default();
        Ok(Work {
            task,
            grant: started.grant,
            key,
            is_clerks: false,
        })
    }

    pub(super) async fn end_task(&self, work: &Work) -> Result<(), DemoError> {
        let request = EndRequest {
            task_id: work.task.clone(),
            idempotency_key: idempotency_key(&SystemClock),
        };
        TaskServiceClient::new(self.stage.operator.clone())
            .end(request)
            .await?;
        Ok(())
    }

    /// Presents a call under a fresh name, and shows the verdict, which must be the one expected.
    pub(super) async fn expect(
        &mut self,
        at: usize,
        work: &Work,
        call: &Call,
        expected: Verdict,
    ) -> Result<(), DemoError> {
        let call_id = self.next_call_id();
        self.expect_as(at, work, call, &call_id, expected).await
    }

    /// Presents a call that must be permitted, and says that it gave this.
    pub(super) async fn expect_giving(
        &mut self,
        at: usize,
        work: &Work,
        call: &Call,
        content: &'static str,
    ) -> Result<(), DemoError> {
        self.gives = content;
        let presented = self.expect(at, work, call, Verdict::Permit).await;
        self.gives = "";
        presented
    }

    /// Presents a call that must be denied, and for this cause.
    pub(super) async fn expect_denied(
        &mut self,
        at: usize,
        work: &Work,
        call: &Call,
        cause: Cause,
    ) -> Result<(), DemoError> {
        let call_id = self.next_call_id();
        let answer = self.present(at, work, call, &call_id, Verdict::Deny).await?;
        if answer.cause == cause.as_str() {
            return Ok(());
        }
        Err(unexpected(cause.as_str(), &answer.cause))
    }

    /// Presents a call under this name, and shows the verdict, which must be the one expected.
    pub(super) async fn expect_as(
        &mut self,
        at: usize,
        work: &Work,
        call: &Call,
        call_id: &str,
        expected: Verdict,
    ) -> Result<(), DemoError> {
        self.present(at, work, call, call_id, expected).await.map(drop)
    }

    async fn present(
        &mut self,
        at: usize,
        work: &Work,
        call: &Call,
        call_id: &str,
        expected: Verdict,
    ) -> Result<AuthorizeResponse, DemoError> {
        let answer = self.ask(at, work, call, call_id).await?;
        let found = answer.verdict();
        let word = match found {
            Verdict::Permit if !answer.hold_id.is_empty() => "release",
            Verdict::Permit => "permit",
            Verdict::Hold => "hold",
            Verdict::Deny | Verdict::Unspecified => "deny",
        };
        let why = match found {
            Verdict::Permit => String::new(),
            _ if answer.rules.is_empty() => format!("{}: {}", answer.cause, answer.reason),
            _ => format!("rule {}: {}", answer.rules.join(", "), answer.reason),
        };
        let name = self.stage.enforcers[at].name;
        self.screen
            .verdict(word, &format!("{name}: {} {}", call.tool(), call.shown()), &why);
        if found == expected {
            return Ok(answer);
        }
        Err(unexpected(
            expected.as_str_name(),
            &format!("{} ({}: {})", found.as_str_name(), answer.cause, answer.reason),
        ))
    }

    /// Presents a call, counts the answer, and reports what became of it.
    pub(super) async fn ask(
        &mut self,
        at: usize,
        work: &Work,
        call: &Call,
        call_id: &str,
    ) -> Result<AuthorizeResponse, DemoError> {
        let enforcer = &self.stage.enforcers[at];
        let gate = if work.is_clerks {
            &enforcer.clerk
        } else {
            &enforcer.gate
        };
        let mut gate = GateServiceClient::new(gate.clone());
        let wait_ms = if self.is_approved(call_id) {
            RELEASE_WAIT_MS
        } else {
            0
        };
        let request = work.ask(call, call_id, wait_ms)?;
        let answer = gate.authorize(request).await?.into_inner();
        self.tally.decisions_answered += 1;
        self.tally.answered.insert(answer.decision_id.clone());
        match answer.verdict() {
            Verdict::Permit if answer.hold_id.is_empty() => self.tally.permitted += 1,
            Verdict::Permit => self.tally.released += 1,
            Verdict::Hold => self.tally.held += 1,
            Verdict::Deny | Verdict::Unspecified => self.tally.denied += 1,
        }
        if answer.verdict() == Verdict::Permit {
            let done = CompleteRequest {
                decision_id: answer.decision_id.clone(),
                result: OutcomeResult::Done.into(),
                content: self.gives.into(),
                ..CompleteRequest::default()
            };
            gate.complete(done).await?;
        }
        Ok(answer)
    }

    /// The hold that waits in a task.
    pub(super) async fn waiting(&self, work: &Work) -> Result<Hold, DemoError> {
        let request = HoldListRequest {
            task_id: work.task.clone(),
            ..HoldListRequest::default()
        };
        let mut client = HoldServiceClient::new(self.stage.approver.clone());
        let holds = client.list(request).await?.into_inner().holds;
        holds
            .into_iter()
            .next()
            .ok_or_else(|| unexpected("a hold", &"none"))
    }

    /// Votes for the bytes that were shown: the hash is computed from them, not taken over.
    pub(super) async fn vote(&mut self, hold: &Hold, approve: bool, reason: &str) -> Result<(), DemoError> {
        let shown = hold
            .action
            .clone()
            .ok_or_else(|| unexpected("an action", &"none"))?;
        let identity = ActionIdentity::try_from(shown).map_err(|error| unexpected("an action", &error))?;
        let request = VoteRequest {
            hold_id: hold.hold_id.clone(),
            approve,
            action_sha256: identity.sha256().to_bytes(),
            reason: reason.to_owned(),
            terms: None,
            idempotency_key: idempotency_key(&SystemClock),
        };
        HoldServiceClient::new(self.stage.approver.clone())
            .vote(request)
            .await?;
        if approve {
            self.approved.insert(hold.call_id.clone());
        }
        Ok(())
    }

    /// Until every answered decision is stored; then counts.
    pub(super) async fn until_home(&mut self) -> Result<(), DemoError> {
        let looking = async {
            loop {
                let stored = self.stored().await?;
                let missing = self.tally.answered.difference(&stored).count();
                if missing == 0 {
                    return Ok::<usize, DemoError>(0);
                }
                sleep(LOOK_INTERVAL).await;
            }
        };
        let lost = match timeout(WAIT_MAX, looking).await {
            Ok(result) => result?,
            Err(_) => self.tally.answered.difference(&self.stored().await?).count(),
        };
        self.tally.decisions_lost = u64::try_from(lost).unwrap_or(u64::MAX);
        let mut client = DecisionServiceClient::new(self.stage.operator.clone());
        let counted = client.count(CountRequest::default()).await?.into_inner();
        self.tally.decisions_stored = counted.decisions;
        self.tally.decisions_duplicated = counted.duplicates;
        Ok(())
    }

    /// The ids of every stored decision.
    async fn stored(&self) -> Result<BTreeSet<String>, DemoError> {
        let mut client = DecisionServiceClient::new(self.stage.operator.clone());
        let mut ids = BTreeSet::new();
        let mut page_token = String::new();
        loop {
            let request = SearchRequest {
                page_size: 1_000,
                page_token,
                ..SearchRequest::default()
            };
            let page = client.search(request).await?.into_inner();
            ids.extend(
                page.decisions
                    .into_iter()
                    .filter_map(|stored| Some(stored.decision?.decision_id)),
            );
            if page.next_page_token.is_empty() {
                return Ok(ids);
            }
            page_token = page.next_page_token;
        }
    }

    fn is_approved(&self, call_id: &str) -> bool {
        self.approved.contains(call_id)
    }
}
