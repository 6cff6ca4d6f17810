//! A question by OpenID AuthZEN, over the socket of a gateway.

use checkrein_tests::WAIT_MAX;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::stand::{Call, Stand};
use super::told::Told;

/// May this agent call this tool with these arguments?
pub(super) async fn ask(stand: &Stand, call: &Call) -> Told {
    let question = json!({
        "subject": { "type": "agent", "id": call.agent },
        "action": { "name": "call", "properties": { "arguments": "HERE" } },
        "resource": { "type": "tool", "id": call.tool },
    });
    let question = question.to_string().replace("\"HERE\"", &call.arguments);
    let (status, body) = posts(stand, call, &question).await;
    if status == "400" {
        return Told::refused(body);
    }
    assert_eq!(status, "200", "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    told(&answer)
}

fn told(answer: &Value) -> Told {
    let context = &answer["context"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let (cause, reason) = (text(&context["reason"]), text(&context["reason_user"]["403"]));
    let Some(decision) = text(&context["evaluation_id"]) else {
        assert_eq!(answer["decision"], false, "{answer}");
        return Told::refused(reason.unwrap_or_default());
    };
    let told = Told {
        decision: Some(decision),
        ..Told::permit()
    };
    if answer["decision"] == true {
        return told;
    }
    // Its words for programs are those of the standard, where people have to look.
    let is_held = context["access_request"].is_object();
    assert_eq!(is_held, cause.as_deref() == Some("approval_required"), "{answer}");
    let rules = context["reason_admin"]["403"].as_str().unwrap_or_default();
    let groups = context["groups"].as_array();
    let groups = groups.map(|groups| groups.iter().filter_map(text).collect());
    Told {
        groups,
        verdict: if is_held { "hold" } else { "deny" }.to_owned(),
        cause: cause.filter(|_| !is_held),
        words: Some(format!("{} {rules}", reason.clone().unwrap_or_default())),
        reason,
        ..told
    }
}

/// The status and the body of an answer.
async fn posts(stand: &Stand, call: &Call, body: &str) -> (String, String) {
    let grant = if call.grant.is_empty() {
        String::new()
    } else {
        format!("checkrein-grant: {}\r\n", call.grant)
    };
    let request = format!(
        "POST /access/v1/evaluation HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {grant}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = UnixStream::connect(stand.directory.join("gateway.sock"))
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(WAIT_MAX, stream.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap_or_default();
    (status.to_owned(), body.to_owned())
}
