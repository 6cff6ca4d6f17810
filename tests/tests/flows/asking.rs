//! What whoever holds an enforcer's certificate could ask, without the enforcer: its words, its order and its moments are ours.

use std::time::Duration;

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::open_response::Result as Opened;
use checkrein_proto::task::v1::{StartResponse, Task};
use checkrein_shared::SystemClock;
use checkrein_shared::action::{ActionIdentity, MaskedArguments, Sha256};
use checkrein_shared::id::{DecisionId, InstanceId};
use checkrein_shared::identity::Role;
use checkrein_shared::policy::PackSource;
use checkrein_tests::{Person, WAIT_MAX, World, payments};
use tokio_postgres::Client;
use tonic::Status;

pub(crate) const AGENT: &str = "spiffe://acme.example/agent/billing";

/// A task, and an enforcer's certificate to ask with.
pub(crate) struct Asking {
    pub(crate) world: World,
    pub(crate) operator: Person,
    pub(crate) edge: Person,
    pub(crate) task: Task,
    /// The task as it was started, with its grant.
    pub(crate) started: StartResponse,
    pub(crate) generation: u64,
    pub(crate) instance: InstanceId,
}

impl Asking {
    pub(crate) async fn set() -> Self {
        Self::set_with(&payments().unwrap()).await
    }

    /// The same under another policy.
    pub(crate) async fn set_with(pack: &PackSource) -> Self {
        Self::set_in(World::start().await.unwrap(), pack).await
    }

    /// The same in a world that is there.
    pub(crate) async fn set_in(world: World, pack: &PackSource) -> Self {
        world.register("edge", &[], &[AGENT]).await.unwrap();
        let generation = world.push(pack).await.unwrap();
        let operator = world.operator().await.unwrap();
        let started = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
        Self {
            edge: world.person(Role::Enforcer, "edge", 0).await.unwrap(),
            task: started.task.clone().unwrap(),
            started,
            instance: InstanceId::new(&SystemClock),
            world,
            operator,
            generation,
        }
    }

    /// Opens a hold that one of `treasury` can answer.
    pub(crate) async fn held(&self, call_id: &str, recipient: &str) -> wire::Hold {
        self.opened(open(&self.started, call_id, recipient)).await
    }

    pub(crate) async fn opened(&self, request: wire::OpenRequest) -> wire::Hold {
        match self.edge.holds().open(request).await.unwrap().into_inner().result {
            Some(Opened::Hold(hold)) => hold,
            refused => panic!("not held: {refused:?}"),
        }
    }

    /// Says yes as bob.
    pub(crate) async fn approve(&self, hold: &wire::Hold) -> Result<wire::Hold, Status> {
        self.world.approver("bob").await.unwrap().vote(hold, true).await
    }

    /// Says no as bob.
    pub(crate) async fn deny(&self, hold: &wire::Hold) -> Result<wire::Hold, Status> {
        self.world.approver("bob").await.unwrap().vote(hold, false).await
    }

    pub(crate) fn consume_request(&self, hold: &wire::Hold) -> wire::ConsumeRequest {
        wire::ConsumeRequest {
            attempt_id: String::new(),
            cost: Vec::new(),
            presented: self.started.grant.clone(),
            proof_id: String::new(),
            hold_id: hold.hold_id.clone(),
            action_sha256: hold.action.clone().unwrap().action_sha256,
            generation: self.generation,
            requirements: hold.requirements.clone(),
            instance_id: self.instance.to_string(),
            incarnation: 1,
            ledger_revision: None,
            reversibility: 4,
        }
    }

    pub(crate) async fn consume(
        &self,
        request: wire::ConsumeRequest,
    ) -> Result<wire::consume_response::Result, Status> {
        let answered = self.edge.holds().consume(request).await?;
        Ok(answered.into_inner().result.unwrap())
    }

    pub(crate) async fn state(&self, hold: &wire::Hold) -> wire::State {
        self.shown(hold).await.state()
    }

    /// The hold as it stands.
    pub(crate) async fn shown(&self, hold: &wire::Hold) -> wire::Hold {
        let request = wire::ShowRequest {
            hold_id: hold.hold_id.clone(),
        };
        let shown = self.operator.holds().show(request).await.unwrap();
        shown.into_inner().hold.unwrap()
    }

    pub(crate) async fn sql(&self) -> Client {
        self.world.sql().await.unwrap()
    }
}

/// A request to hold a payment in this task, as its enforcer would make it.
pub(crate) fn open(started: &StartResponse, call_id: &str, recipient: &str) -> wire::OpenRequest {
    let task = started.task.as_ref().unwrap();
    let action = ActionIdentity {
        task: task.task_id.parse().unwrap(),
        agent: task.agent.parse().unwrap(),
        delegated_by: Vec::new(),
        user: task.user.clone(),
        tool: "bank/send_money".to_owned(),
        definition: Sha256::of(b"a definition"),
        arguments: MaskedArguments(format!(r#"{{"amount":1,"recipient":"{recipient}"}}"#)),
    };
    wire::OpenRequest {
        presented: started.grant.clone(),
        decision_id: DecisionId::new(&SystemClock).to_string(),
        call_id: call_id.to_owned(),
        action: Some((&action).into()),
        requirements: vec![wire::Requirement {
            rule: "pay-unnamed".to_owned(),
            group: "treasury".to_owned(),
            quorum: 1,
            decide_within_ms: 600_000,
            use_within_ms: 600_000,
            reason: "the user did not name this account".to_owned(),
        }],
        generation: 1,
        environment: task.environment.clone(),
        intent: task.intent.clone(),
        reason: "the user did not name this account".to_owned(),
        denial_class: format!("bank/send_money recipient={recipient}"),
        instance_id: InstanceId::new(&SystemClock).to_string(),
        reversibility: 4,
    }
}

/// Until a statement of this name waits for a lock.
pub(crate) async fn until_waiting(sql: &Client, statement: &str) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1";
    let pattern = format!("-- {statement}%");
    until(sql, waiting, &[&pattern]).await;
}

/// Until this counts at least one.
pub(crate) async fn until(
    sql: &Client,
    count: &str,
    parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) {
    let looking = async {
        while sql.query_one(count, parameters).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, looking)
        .await
        .unwrap_or_else(|_| panic!("never: {count}"));
}
