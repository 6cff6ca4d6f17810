//! The data scope of a task: what tools yield, met with what the task may touch, at any enforcer, offline.

use std::collections::BTreeMap;

use checkrein_enforcer::Request;
use checkrein_proto::task::v1::{DataScope, ListRequest, ShowRequest, StartRequest, StartResponse};
use checkrein_shared::decision::{Cause, Verdict};
use checkrein_shared::grant::OwnGrant;
use checkrein_shared::id::Generation;
use checkrein_shared::policy::PackSource;
use checkrein_tests::{Person, WAIT_MAX, World, fresh_key};
use tonic::{Code, Status};

use super::AGENT;

const TOOLS: &str = r#"[
    {"name": "export", "inputSchema": {"type": "object"}},
    {"name": "opening_hours", "inputSchema": {"type": "object"}},
    {"name": "tickets", "inputSchema": {"type": "object"}},
    {"name": "uncatalogued", "inputSchema": {"type": "object"}}]"#;
const YIELDS: &str = r#"
    export = { effects = ["read"], reversibility = "read_only", yields = ["pii"] }
    opening_hours = { effects = ["read"], reversibility = "read_only" }
    tickets = { effects = ["read"], reversibility = "read_only", yields = ["public", "untrusted_content"] }
"#;

/// Everything is permitted: only the task can be what denies.
fn crm() -> PackSource {
    let files = [
        ("checkrein.toml", "namespace = \"org\"\n"),
        ("catalog/crm.json", TOOLS),
        ("catalog/crm.toml", YIELDS),
        (
            "rules.cedar",
            "@id(\"all\") permit (principal, action, resource);",
        ),
    ];
    let file = |(path, text): (&str, &str)| (path.to_owned(), text.as_bytes().to_vec());
    PackSource {
        name: "crm".to_owned(),
        files: files.map(file).into_iter().collect::<BTreeMap<_, _>>(),
    }
}

fn data(labels: &[&str]) -> DataScope {
    DataScope {
        labels: labels.iter().map(ToString::to_string).collect(),
    }
}

async fn start(operator: &Person, data: Option<DataScope>) -> Result<StartResponse, Status> {
    let request = StartRequest {
        user: "alice".to_owned(),
        agent: AGENT.to_owned(),
        tools: vec!["crm/*".to_owned()],
        environment: "production".to_owned(),
        expires_in_ms: 60_000,
        idempotency_key: fresh_key(),
        data,
        ..StartRequest::default()
    };
    Ok(operator.tasks().start(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enforcer_denies_whatever_yields_data_that_the_task_may_not_touch() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    let generation = Generation(world.push(&crm()).await.unwrap());
    let decides = enforcer.wait_until(|status| status.decides_by(generation), WAIT_MAX);
    decides.await.unwrap();
    let operator = world.operator().await.unwrap();
    let outside = |tool: &str, label: &str| {
        format!("`crm/{tool}` yields `{label}`, which is outside the data scope of this task")
    };
    let permitted = String::new;
    let cases = [
        (None, permitted(), permitted()),
        (Some(data(&["pii"])), permitted(), outside("tickets", "public")),
        (
            Some(data(&["public"])),
            outside("export", "pii"),
            outside("tickets", "untrusted_content"),
        ),
        (
            Some(data(&["public", "untrusted_content"])),
            outside("export", "pii"),
            permitted(),
        ),
        (
            Some(data(&[])),
            outside("export", "pii"),
            outside("tickets", "public"),
        ),
    ];
    for (scope, export, tickets) in cases {
        let task = start(&operator, scope.clone()).await.unwrap();
        let calls = [
            ("export", export),
            ("tickets", tickets),
            ("opening_hours", permitted()),
        ];
        for (tool, reason) in calls {
            let tool = format!("crm/{tool}");
            let request = Request::new(&task.grant, &tool, b"{}");
            let answer = enforcer.gate().authorize(request).await.unwrap();
            let decided = answer.decided();
            if reason.is_empty() {
                assert_eq!(answer.verdict(), Verdict::Permit, "{scope:?} {tool}: {decided:?}");
            } else {
                assert_eq!(decided.cause, Cause::OutOfScope, "{scope:?} {tool}");
                assert_eq!(decided.reason, reason, "{scope:?} {tool}");
            }
        }
        let request = Request::new(&task.grant, "crm/uncatalogued", b"{}");
        let answer = enforcer.gate().authorize(request).await.unwrap();
        assert_eq!(answer.decided().cause, Cause::UnknownTool, "{scope:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_a_task_is_shown_and_listed_and_what_is_no_label_starts_nothing() {
    let world = World::start().await.unwrap();
    let operator = world.operator().await.unwrap();
    for labels in [&["public", "pii"][..], &[]] {
        let started = start(&operator, Some(data(labels))).await.unwrap();
        let task = started.task.unwrap();
        let mut sorted = labels.to_vec();
        sorted.sort_unstable();
        assert_eq!(task.data, Some(data(&sorted)));
        let request = ShowRequest {
            task_id: task.task_id.clone(),
        };
        let shown = operator.tasks().show(request).await.unwrap().into_inner().task;
        assert_eq!(shown.unwrap().data, task.data);
        let listed = operator.tasks().list(ListRequest::default()).await.unwrap();
        assert_eq!(listed.into_inner().tasks[0].data, task.data);
        let own = OwnGrant::read(&started.grant).unwrap();
        let granted = own.chain().leaf().data.as_ref().unwrap();
        assert_eq!(granted.labels().collect::<Vec<_>>(), sorted);
    }
    assert_eq!(start(&operator, None).await.unwrap().task.unwrap().data, None);
    let many: Vec<String> = (0..65).map(|at| format!("l{at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (labels, wrong) in [
        (&["PII"][..], "`PII` is not a label"),
        (&[""], "not a label"),
        (&["pii\0"], "not a label"),
        (&["pii", "pii"], "`pii` is named twice"),
        (&many, "at most 64 labels"),
    ] {
        let refused = start(&operator, Some(data(labels))).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{labels:?}");
        let message = refused.message();
        assert!(message.contains("data") && message.contains(wrong), "{message}");
    }
    let listed = operator.tasks().list(ListRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().tasks.len(), 3, "none was started");
}
