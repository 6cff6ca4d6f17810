//! A control plane with its console, and an enforcer that holds what its agent asks for.

use std::time::Duration;

use checkrein_enforcer::{Answer, Enforcer, Permit, Request};
use checkrein_proto::fleet::v1::SignInRequest;
use checkrein_proto::hold::v1::{Hold, ListRequest, ShowRequest, State};
use checkrein_shared::decision::{Cause, OutcomeResult};
use checkrein_shared::id::Generation;
use checkrein_tests::{Person, WAIT_MAX, World, payments};
use tokio::task::JoinHandle;

const AGENT: &str = "spiffe://acme.example/agent/billing";
pub(crate) const PAY: &str = "bank/send_money";

/// What people find when they open the console.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) operator: Person,
    enforcer: Enforcer,
    grant: String,
    pub(crate) task: String,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        Self::set_in(World::start().await.unwrap()).await
    }

    /// The same in a world that is there.
    pub(crate) async fn set_in(world: World) -> Self {
        let enforcer = world.enforcer("edge", AGENT).await.unwrap();
        let generation = world.push(&payments().unwrap()).await.unwrap();
        enforcer
            .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
            .await
            .unwrap();
        let operator = world.operator().await.unwrap();
        let started = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
        Self {
            world,
            enforcer,
            operator,
            grant: started.grant,
            task: started.task.unwrap().task_id,
        }
    }

    /// A link that signs an approver in, once.
    pub(crate) async fn link(&self, name: &str) -> String {
        self.link_of(&self.world.approver(name).await.unwrap()).await
    }

    /// One that signs this person in.
    pub(crate) async fn link_of(&self, person: &Person) -> String {
        let given = person.fleet().sign_in(SignInRequest {}).await.unwrap();
        given.into_inner().url
    }

    /// The agent asks to pay, and waits for what people say. Returns when that is before them.
    pub(crate) async fn pays(&self, call_id: &str, arguments: &str) -> (Hold, Asked) {
        self.held(&self.grant, &self.task, call_id, arguments).await
    }

    /// The same in a task of its own.
    pub(crate) async fn another_pays(&self, call_id: &str, arguments: &str) -> (Hold, Asked) {
        let started = self
            .operator
            .start("alice", AGENT, &["bank/*"], &[])
            .await
            .unwrap();
        let task = started.task.unwrap().task_id;
        self.held(&started.grant, &task, call_id, arguments).await
    }

    /// The agent looks, which nobody has to be asked for.
    pub(crate) async fn reads(&self) {
        let request = Request::new(&self.grant, "bank/get_balance", b"{}").call_id("look");
        match self.enforcer.gate().authorize(request).await.unwrap() {
            Answer::Permit(permit) => drop(done(permit).await),
            answer => panic!("not permitted: {answer:?}"),
        }
    }

    /// The agent pays, and nobody has to be asked.
    pub(crate) async fn pays_unasked(&self, call_id: &str, arguments: &str) {
        let request = Request::new(&self.grant, PAY, arguments.as_bytes()).call_id(call_id);
        let answer = self
            .enforcer
            .gate()
            .authorize(request.wait(WAIT_MAX))
            .await
            .unwrap();
        match answer {
            Answer::Permit(permit) => assert_eq!(done(permit).await, Cause::Approved),
            answer => panic!("somebody was asked: {answer:?}"),
        }
    }

    async fn held(&self, grant: &str, task: &str, call_id: &str, arguments: &str) -> (Hold, Asked) {
        let before = self.open(task).await;
        let (gate, grant) = (self.enforcer.gate(), grant.to_owned());
        let (call_id, arguments) = (call_id.to_owned(), arguments.as_bytes().to_vec());
        let asking = tokio::spawn(async move {
            let request = Request::new(grant, PAY, &arguments).call_id(call_id);
            gate.authorize(request.wait(WAIT_MAX)).await.unwrap()
        });
        let is_new = |hold: &Hold| before.iter().all(|known| known.hold_id != hold.hold_id);
        let hold = until("held", async || self.open(task).await.into_iter().find(is_new)).await;
        (hold, Asked(asking))
    }

    /// Everything that waits in a task.
    async fn open(&self, task: &str) -> Vec<Hold> {
        let request = ListRequest {
            task_id: task.to_owned(),
            ..ListRequest::default()
        };
        self.operator
            .holds()
            .list(request)
            .await
            .unwrap()
            .into_inner()
            .holds
    }

    /// A hold as the control plane knows it.
    pub(crate) async fn hold(&self, id: &str) -> Hold {
        let request = ShowRequest {
            hold_id: id.to_owned(),
        };
        let shown = self.operator.holds().show(request).await.unwrap();
        shown.into_inner().hold.unwrap()
    }

    /// The hold, once it stands there.
    pub(crate) async fn stands(&self, id: &str, state: State) -> Hold {
        until(state.as_str_name(), async || {
            Some(self.hold(id).await).filter(|hold| hold.state() == state)
        })
        .await
    }
}

/// What an agent asked, and waits for.
pub(crate) struct Asked(JoinHandle<Answer>);

impl Asked {
    pub(crate) async fn answer(self) -> Answer {
        self.0.await.unwrap()
    }

    /// It was let through, and did what it was to do. Returns why it was let through.
    pub(crate) async fn done(self) -> Cause {
        match self.answer().await {
            Answer::Permit(permit) => done(permit).await,
            answer => panic!("not released: {answer:?}"),
        }
    }
}

async fn done(permit: Permit) -> Cause {
    let cause = permit.decided().cause;
    permit.complete(OutcomeResult::Done, "").await.unwrap();
    cause
}

/// Waits for what has to come.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let found = tokio::time::timeout(WAIT_MAX, looking).await;
    found.unwrap_or_else(|_| panic!("never {what}"))
}
