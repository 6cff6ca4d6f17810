//! A call that waits is a task that its client asks about, or a link for its user; and it is made once.

use super::*;

const TASKS: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
const UNKNOWN: i64 = -32602;

impl Web {
    /// A request of a client that takes tasks.
    async fn does(&self, method: &str, name: &str, params: &str, more: &[(&str, &str)]) -> Value {
        let body = asked(method, params).replace(r#"Capabilities":{}"#, &format!(r#"Capabilities":{TASKS}"#));
        let mut headers = vec![("MCP-Protocol-Version", REVISION), ("Mcp-Method", method)];
        headers.extend((!name.is_empty()).then_some(("Mcp-Name", name)));
        headers.extend(more);
        posts(&self.door.url, &headers, &body).await.1
    }

    async fn about(&self, method: &str, task: &str) -> Value {
        self.does(method, task, &format!(r#""taskId":"{task}""#), &[])
            .await
    }

    async fn until(&self, task: &str, status: &str) -> Value {
        let told = async {
            loop {
                let told = self.about("tasks/get", task).await["result"].clone();
                if told["status"] == status {
                    return told;
                }
                assert_eq!(told["status"], "working", "{told}");
            }
        };
        timeout(WAIT_MAX, told).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_is_a_task_whose_result_is_that_of_the_call_once_people_agree() {
    let web = Web::open(50).await;
    let mut client = web.client().await;
    let told = web.does("server/discover", "", "", &[]).await;
    assert!(
        told["result"]["capabilities"]["extensions"]["io.modelcontextprotocol/tasks"].is_object(),
        "{told}"
    );
    let pay = r#""name":"pay","arguments":{"amount":5}"#;
    let told = web.does("tools/call", "pay", pay, &[]).await;
    assert_eq!(
        (&told["result"]["resultType"], &told["result"]["status"]),
        (&json!("task"), &json!("working")),
        "{told}"
    );
    let task = told["result"]["taskId"].as_str().unwrap().to_owned();
    let hold = web.scene.operator.waiting(&web.scene.task).await.unwrap();
    let told = web.about("tasks/get", &task).await;
    let words = told["result"]["statusMessage"].as_str().unwrap();
    assert!(
        words.contains("waiting for approval by owners") && words.contains("hold_"),
        "{words}"
    );

    let others = web
        .scene
        .operator
        .start("alice", super::super::AGENT, &["modern/*"], &[])
        .await
        .unwrap();
    let shown = [("Checkrein-Grant", others.grant.as_str())];
    let params = format!(r#""taskId":"{task}""#);
    let told = web.does("tasks/get", &task, &params, &shown).await;
    assert_eq!(told["error"]["code"], UNKNOWN, "{told}");
    assert_eq!(
        told["error"],
        web.about("tasks/get", "checkrein-0").await["error"]
    );
    assert_eq!(paid(&seen(&mut client).await), 0, "nobody has agreed");

    let bob = web.scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    for _ in 0..2 {
        let told = web.until(&task, "completed").await;
        assert_eq!(told["result"]["content"][0]["text"], "paid 5", "{told}");
    }
    assert_eq!(paid(&seen(&mut client).await), 1);

    // Another that people refuse, and one that its client gives up.
    let told = web.does("tools/call", "pay", &pay.replace('5', "6"), &[]).await;
    let refused = told["result"]["taskId"].as_str().unwrap().to_owned();
    let hold = web.scene.operator.waiting(&web.scene.task).await.unwrap();
    bob.vote(&hold, false).await.unwrap();
    let told = web.until(&refused, "completed").await;
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert_eq!(
        told["result"]["_meta"]["checkrein/decision"]["cause"],
        "denied_by_person"
    );
    assert_eq!(paid(&seen(&mut client).await), 1);
    client.ends().await;
    web.door.stop().await;
}

pub(super) const CONSOLE: &str = "console_url = \"https://console.acme.example/\"\n";

/// Pays, and its user is shown a link; opening it approves nothing.
async fn pays(scene: &Scene, client: &mut Client) {
    let number = client
        .begins(json!({"do": "call", "name": "pay", "arguments": {"amount": 5}}))
        .await;
    let hold = scene.operator.waiting(&scene.task).await.unwrap();
    assert_eq!(paid(&seen(client).await), 0, "nobody has agreed");
    let bob = scene.world.approver("bob").await.unwrap();
    bob.vote(&hold, true).await.unwrap();
    let told = client.told(number).await;
    assert_eq!(text(&told), "paid 5");
    let links: Vec<&Value> = client
        .early
        .iter()
        .filter(|line| line["link"].is_string())
        .collect();
    let page = format!("https://console.acme.example/holds/{}", hold.hold_id);
    assert_eq!(links, [&json!({ "link": page })]);
    assert_eq!(paid(&seen(client).await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_official_client_is_shown_the_page_on_which_people_answer() {
    let web = Web::open_with(50, CONSOLE).await;
    let mut client = web.client_with_links().await;
    pays(&web.scene, &mut client).await;
    client.ends().await;
    web.door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_over_stdio_too() {
    let (_server, upstream) = server().await;
    let scene = Scene::set(&pack(&catalog(&upstream).await), &TOOLS).await;
    let config = std::fs::read_to_string(&scene.config).unwrap();
    std::fs::write(&scene.config, format!("{CONSOLE}{config}")).unwrap();
    let mut program = client();
    program.env("CLIENT_MODES", "url");
    let mut client = Client::run(program, &scene.wrapping("modern", 50, &stdio::command())).await;
    pays(&scene, &mut client).await;
    client.ends().await;
}
