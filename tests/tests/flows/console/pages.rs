//! What can be read of the fleet, its policies, what was decided, tasks and numbers: where it stands, how one thing leads to the
//! next, and what is said where there is nothing.

use checkrein_enforcer::{Answer, Request};
use checkrein_shared::decision::{OutcomeResult, Verdict};
use checkrein_shared::id::Generation;
use checkrein_shared::identity::Role;
use checkrein_tests::{WAIT_MAX, World, payments, payments_with};
use tonic::codegen::http::StatusCode;

use super::browser::Browser;
use crate::flows::decision::looking::{Scribe, THEN_MS, decided};

const AGENT: &str = "spiffe://acme.example/agent/billing";
const AT_NIGHT: &str = r#"@id("at-night") forbid (principal, action in Action::"spend", resource) when { context.environment == "night" };"#;

/// A page that is there.
async fn page(browser: &mut Browser, path: &str) -> String {
    let answer = browser.get(path).await;
    assert_eq!(answer.code, StatusCode::OK, "{path}: {}", answer.text);
    answer.text
}

fn says(page: &str, words: &[&str]) {
    for said in words {
        assert!(page.contains(said), "`{said}` is not in {page}");
    }
}

/// The first address on a page that begins so.
fn link(page: &str, begins: &str) -> String {
    let start = format!("href=\"{begins}");
    let (_, rest) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("no link to {begins} in {page}"));
    let rest = rest.split('"').next().unwrap();
    format!("{begins}{rest}").replace("&#38;", "&")
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_nothing_a_page_says_what_to_type() {
    let world = World::start().await.unwrap();
    let mut olga = Browser::of(&world, Role::Operator, "olga").await;
    let pages = [
        ("/fleet", "checkrein fleet add"),
        ("/policies", "checkrein policy init"),
        ("/decisions", "make demo"),
        ("/tasks", "checkrein task start"),
        ("/numbers", "checkrein policy init"),
    ];
    for (path, said) in pages {
        let page = page(&mut olga, path).await;
        says(&page, &[said, "aria-current=\"page\""]);
    }
    for path in [
        "/fleet/nobody",
        "/policies/none",
        "/policies/none/diff",
        "/tasks/x",
        "/decisions/x",
    ] {
        let answer = olga.get(path).await;
        assert!(answer.code.is_client_error(), "{path}: {}", answer.code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_rule_to_its_decisions_and_on_to_who_approved_and_what_the_task_did() {
    let world = World::start().await.unwrap();
    let enforcer = world.enforcer("edge", AGENT).await.unwrap();
    world.push(&payments().unwrap()).await.unwrap();
    let generation = world.push(&payments_with(AT_NIGHT).unwrap()).await.unwrap();
    enforcer
        .wait_until(|status| status.decides_by(Generation(generation)), WAIT_MAX)
        .await
        .unwrap();
    let operator = world.operator().await.unwrap();
    let task = operator.start("alice", AGENT, &["bank/*"], &[]).await.unwrap();
    let pay = br#"{"recipient":"US133000000121212121212","amount":10,"memo":"a surprise"}"#;
    let asking = || Request::new(&task.grant, "bank/send_money", pay).call_id("pay");
    let held = enforcer.gate().authorize(asking()).await.unwrap();
    assert_eq!(held.verdict(), Verdict::Hold);
    let task = task.task.unwrap().task_id;
    let hold = operator.waiting(&task).await.unwrap();
    let approver = world.approver("bob").await.unwrap();
    approver.vote(&hold, true).await.unwrap();
    let Answer::Permit(permit) = enforcer.gate().authorize(asking().wait(WAIT_MAX)).await.unwrap() else {
        panic!("not released")
    };
    permit.complete(OutcomeResult::Done, "paid").await.unwrap();
    enforcer
        .wait_until(|status| status.journal_pending() == 0, WAIT_MAX)
        .await
        .unwrap();

    let mut bob = Browser::of(&world, Role::Approver, "bob").await;
    let packs = page(&mut bob, "/policies").await;
    let pack = page(&mut bob, &link(&packs, "/policies/payments")).await;
    says(
        &pack,
        &["at-night", "rules.cedar:", "decided nothing in this time", "<svg"],
    );
    let diff = page(&mut bob, &link(&pack, "/policies/payments/diff")).await;
    says(&diff, &["at-night", "class=\"came\"", "operator/olga"]);
    let found = page(&mut bob, &link(&pack, "/decisions?rule=pay-unnamed")).await;
    says(&found, &["value=\"pay-unnamed\"", "bank/send_money"]);
    let decisions = page(&mut bob, "/decisions?verdict=permit").await;
    let released = page(&mut bob, &link(&decisions, "/decisions/dec_")).await;
    says(
        &released,
        &[
            "approver/bob",
            "said <strong>yes</strong>",
            "paid",
            "operator/olga",
        ],
    );
    assert!(!released.contains("a surprise"), "a secret is shown masked");
    says(
        &page(&mut bob, &link(&released, "/holds/")).await,
        &["bank/send_money"],
    );
    let story = page(&mut bob, &link(&released, "/tasks/")).await;
    says(
        &story,
        &["<svg", "billing", "approved", "bank/send_money", "the start"],
    );
    says(&page(&mut bob, "/tasks?state=live").await, &[&task]);
    says(
        &page(&mut bob, "/tasks?state=ended").await,
        &["No task is like that"],
    );
    let fleet = page(&mut bob, "/fleet").await;
    says(&fleet, &[&format!("{generation} of {generation}"), "connected"]);
    says(
        &page(&mut bob, &link(&fleet, "/fleet/edge")).await,
        &["enforcer/edge", AGENT],
    );
    let numbers = page(&mut bob, "/numbers").await;
    says(&numbers, &["<svg", "<desc", "treasury", "1 answered yes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_wrote_is_text_on_a_page_and_nothing_else() {
    let world = World::start().await.unwrap();
    let mut edge = Scribe::of(&world, "edge").await;
    let hostile = "<script>alert(1)</script>\" onmouseover=\"x\u{202e}\u{7}";
    let mut decision = decided(THEN_MS, hostile, Verdict::Deny, &[hostile]);
    for text in [
        &mut decision.reason,
        &mut decision.intent,
        &mut decision.environment,
        &mut decision.user,
        &mut decision.call_id,
        &mut decision.arguments.0,
    ] {
        hostile.clone_into(text);
    }
    edge.bring(&[decision]).await;
    let mut olga = Browser::of(&world, Role::Operator, "olga").await;
    let found = page(&mut olga, "/decisions").await;
    let one = page(&mut olga, &link(&found, "/decisions/dec_")).await;
    for page in [&found, &one] {
        assert!(
            !page.contains("<script>alert") && !page.contains("\" onmouseover=\""),
            "{page}"
        );
        assert!(!page.contains('\u{202e}') && !page.contains('\u{7}'), "{page}");
        says(page, &["&#60;script&#62;", "\\u{202e}"]);
    }
    let asked = page(
        &mut olga,
        "/decisions?tool=%3Cscript%3Ealert(1)&rule=%22%3E%3Cb%3E",
    )
    .await;
    assert!(
        !asked.contains("<script>alert") && !asked.contains("\"><b>"),
        "{asked}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_goes_on_where_a_page_ends_and_says_what_was_wrong_with_it() {
    let world = World::start().await.unwrap();
    let mut edge = Scribe::of(&world, "edge").await;
    let many: Vec<_> = (0..60)
        .map(|n| decided(THEN_MS + n, "bank/pay", Verdict::Permit, &["small"]))
        .collect();
    edge.bring(&many).await;
    let mut olga = Browser::of(&world, Role::Operator, "olga").await;
    let first = page(&mut olga, "/decisions?tool=bank/pay").await;
    assert_eq!(first.matches("href=\"/decisions/dec_").count(), 50);
    let older = page(&mut olga, &link(&first, "/decisions?tool=bank%2Fpay")).await;
    assert_eq!(older.matches("href=\"/decisions/dec_").count(), 10);
    assert!(!older.contains("rel=\"next\""), "{older}");
    says(&older, &["value=\"bank/pay\""]);
    says(
        &page(&mut olga, "/decisions?tool=bank/none").await,
        &["Nothing in the record is like that"],
    );
    let wrong = olga.get("/decisions?since=yesterday&tool=bank/pay").await;
    assert_eq!(wrong.code, StatusCode::BAD_REQUEST);
    says(
        &wrong.text,
        &["value=\"yesterday\"", "value=\"bank/pay\"", "since: expected"],
    );
    // Whatever makes it slow: here nobody may read for now.
    let sql = world.sql().await.unwrap();
    sql.batch_execute("BEGIN; LOCK TABLE decision IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let slow = olga.get("/decisions?tool=bank/pay").await;
    assert_eq!(slow.code, StatusCode::CONFLICT);
    says(&slow.text, &["narrower time", "value=\"bank/pay\""]);
}
