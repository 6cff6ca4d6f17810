//! Outcomes: each step is harmless, and the whole would not be. What a task has done anywhere is known everywhere it matters.

mod labels;
mod parallel;
mod pedigree;
mod story;

use std::collections::BTreeMap;

use checkrein_enforcer::{Answer, Enforcer, Permit, Request};
use checkrein_proto::task::v1::{DelegateRequest, Limits, ShowRequest, StartRequest, Task};
use checkrein_shared::decision::{Cause, OutcomeResult, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_shared::policy::PackSource;
use checkrein_tests::{Person, WAIT_MAX, World, fresh_key};

/// Who reads.
const READER: &str = "spiffe://acme.example/agent/reader";
/// To whom it passes the task on, and who sends.
const SENDER: &str = "spiffe://acme.example/agent/sender";

const CUSTOMER: &str = "crm/customer";
const PAGE: &str = "web/page";
const SEND: &str = "mail/send";
const DRAFT: &str = "mail/draft";
const RECORD: &str = "bank/account";
const PAY: &str = "bank/pay";

/// The account that the user named.
const NAMED: &str = "GB29NWBK60161331926819";

/// Harmless alone: customers may be looked up, pages read, drafts written and mail sent. Not one after the other.
fn desk() -> PackSource {
    let tool = |name: &str| {
        format!(
            r#"{{"name": "{name}", "inputSchema": {{"type": "object", "properties": {{"id": {{"type": "string"}}}}}}}}"#
        )
    };
    let tools = |names: &[&str]| {
        format!(
            "[{}]",
            names.iter().map(|name| tool(name)).collect::<Vec<_>>().join(",")
        )
    };
    let files = [
        ("checkrein.toml", "namespace = \"org\"\n[groups]\nprivacy = [\"spiffe://acme.example/approver/pat\"]\n".to_owned()),
        ("catalog/crm.json", tools(&["customer"])),
        ("catalog/crm.toml", "customer = { effects = [\"read\"], reversibility = \"read_only\", yields = [\"pii\"] }\n".to_owned()),
        ("catalog/web.json", tools(&["page"])),
        ("catalog/web.toml", "page = { effects = [\"read\"], reversibility = \"read_only\", trust = \"untrusted\" }\n".to_owned()),
        ("catalog/bank.json", tools(&["account", "pay"])),
        (
            "catalog/bank.toml",
            "account = { effects = [\"read\"], reversibility = \"read_only\", trust = \"trusted\" }\n\
             pay = { effects = [\"spend\"], reversibility = \"irreversible\" }\n"
                .to_owned(),
        ),
        ("catalog/mail.json", tools(&["send", "draft"])),
        (
            "catalog/mail.toml",
            "send = { effects = [\"send\"], reversibility = \"irreversible\" }\n\
             draft = { effects = [\"write\"], reversibility = \"reversible\" }\n"
                .to_owned(),
        ),
        (
            "rules.cedar",
            r#"@id("all") permit (principal, action, resource);
            @id("personal") @hold("privacy") @reason("this task has read personal data")
            forbid (principal, action in Action::"send", resource) when { context.task.labels.contains("pii") };
            @id("steered") @reason("this task has read what strangers wrote")
            forbid (principal, action in [Action::"send", Action::"mail/draft"], resource)
            when { context.task.labels.contains("untrusted_content") };
            @id("stranger") @hold("privacy") @reason("a stranger wrote this account")
            forbid (principal, action == Action::"bank/pay", resource)
            when { context.arguments_from.untrusted.contains("id") };
            @id("unknown") @hold("privacy") @reason("neither the user nor the books know this account")
            forbid (principal, action == Action::"bank/pay", resource)
            unless { context.arguments_from.user.contains("id") || context.arguments_from.trusted.contains("id") };
            @id("thrice") @reason("three mails are enough for a task")
            forbid (principal, action == Action::"mail/send", resource)
            when { context.task.used has "mail/send" && context.task.used["mail/send"].times >= 3 };"#
                .to_owned(),
        ),
    ];
    PackSource {
        name: "desk".to_owned(),
        files: files
            .map(|(path, text)| (path.to_owned(), text.into_bytes()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
    }
}

/// A reader behind one enforcer, a sender behind another, and one task.
struct Scene {
    world: World,
    operator: Person,
    reader: Enforcer,
    sender: Enforcer,
    /// What the reader presents, and what the sender does.
    grants: (String, String),
    task: Task,
}

impl Scene {
    async fn set() -> Self {
        let world = World::start().await.unwrap();
        let generation = Generation(world.push(&desk()).await.unwrap());
        let operator = world.operator().await.unwrap();
        let mut enforcers = Vec::new();
        for (name, agent) in [("here", READER), ("there", SENDER)] {
            let enforcer = world.enforcer(name, agent).await.unwrap();
            enforcer
                .wait_until(|status| status.decides_by(generation), WAIT_MAX)
                .await
                .unwrap();
            enforcers.push(enforcer);
        }
        let (sender, reader) = (enforcers.remove(1), enforcers.remove(0));
        let (grants, task) = start(&world, &operator).await;
        Self {
            world,
            operator,
            reader,
            sender,
            grants,
            task,
        }
    }

    async fn read(&self, tool: &str) -> Permit {
        permitted(
            self.reader
                .gate()
                .authorize(call(&self.grants.0, tool))
                .await
                .unwrap(),
        )
    }

    async fn send(&self, tool: &str) -> Answer {
        self.sender
            .gate()
            .authorize(call(&self.grants.1, tool))
            .await
            .unwrap()
    }

    async fn shown(&self) -> Task {
        shown(&self.operator, &self.task.task_id).await
    }
}

/// A task of the reader, passed on to the sender.
async fn start(world: &World, operator: &Person) -> ((String, String), Task) {
    let start = StartRequest {
        user: "alice".to_owned(),
        agent: READER.to_owned(),
        tools: ["crm/*", "web/*", "mail/*", "bank/*"].map(str::to_owned).to_vec(),
        named: vec![NAMED.to_owned()],
        environment: "production".to_owned(),
        expires_in_ms: 3_600_000,
        idempotency_key: fresh_key(),
        limits: Some(Limits {
            depth: 1,
            ..Limits::default()
        }),
        ..StartRequest::default()
    };
    let started = operator.tasks().start(start).await.unwrap().into_inner();
    let passed_on = pass_on(world, &started.grant).await;
    ((started.grant, passed_on), started.task.unwrap())
}

/// To the sender, by the reader.
async fn pass_on(world: &World, grant: &str) -> String {
    let reader = world.person(Role::Agent, "reader", 0).await.unwrap();
    let delegate = DelegateRequest {
        grant: grant.to_owned(),
        agent: SENDER.to_owned(),
        idempotency_key: fresh_key(),
        ..DelegateRequest::default()
    };
    reader
        .tasks()
        .delegate(delegate)
        .await
        .unwrap()
        .into_inner()
        .grant
}

fn call(grant: &str, tool: &str) -> Request {
    Request::new(grant, tool, b"{}")
}

fn permitted(answer: Answer) -> Permit {
    match answer {
        Answer::Permit(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn denied(answer: &Answer) -> (Cause, &[String]) {
    assert_eq!(answer.verdict(), Verdict::Deny, "{answer:?}");
    (answer.decided().cause, &answer.decided().rules)
}

async fn done(permit: Permit) {
    permit.complete(OutcomeResult::Done, "").await.unwrap();
}

async fn shown(operator: &Person, task_id: &str) -> Task {
    let request = ShowRequest {
        task_id: task_id.to_owned(),
    };
    operator
        .tasks()
        .show(request)
        .await
        .unwrap()
        .into_inner()
        .task
        .unwrap()
}
