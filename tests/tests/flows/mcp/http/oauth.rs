//! Agents that a real authorization server vouches for.

use checkrein_tests::Provider;
use serde_json::Value;

use super::{HELLO, Web, echo, message, session};
use crate::flows::mcp::{AGENT, door, everything};

const RESOURCE: &str = "https://tools.acme.example/everything/mcp";

fn settings(issuer: &str) -> String {
    format!(
        "[oauth]\nissuer = \"{issuer}\"\nresource = \"{RESOURCE}\"\n[[oauth.client]]\nid = \"olga\"\nagent = \"{AGENT}\"\n\
         [[oauth.client]]\nid = \"bob\"\nagent = \"spiffe://acme.example/agent/other\"\n"
    )
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn is(answer: &str, status: &str) -> bool {
    answer.starts_with(&format!("HTTP/1.1 {status}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_real_authorization_server_lets_its_client_in_as_its_agent_and_nobody_else() {
    let mut provider = Provider::start().await.unwrap();
    let web = Web::open_with(&everything(), &["everything/*"], 0, &settings(&provider.url)).await;
    assert_eq!(
        web.door.path(),
        "/everything/mcp",
        "no secret stands in the address"
    );

    let answer = web.posts("", HELLO).await;
    assert!(is(&answer, "401"), "{answer}");
    let told = "resource_metadata=\"https://tools.acme.example/.well-known/oauth-protected-resource/everything/mcp\"";
    assert!(answer.contains(told), "{answer}");
    let get = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            web.door.address()
        )
    };
    for path in [
        "/.well-known/oauth-protected-resource/everything/mcp",
        "/.well-known/oauth-protected-resource",
    ] {
        let about: Value = message(&door::raw(web.door.address(), &get(path)).await);
        assert_eq!(about["resource"], RESOURCE);
        assert_eq!(about["authorization_servers"][0], provider.url.as_str());
    }

    let olga = bearer(&provider.token("olga", RESOURCE).await.unwrap());
    let answer = web.posts(&olga, HELLO).await;
    let id = answer
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "));
    let id = id.unwrap_or_else(|| panic!("{answer}")).trim().to_owned();
    let hers = format!("{olga}{}", session(&id));
    let told = message(&web.posts(&hers, &echo(1)).await);
    assert_eq!(told["result"]["content"][0]["text"], "Echo: hello", "{told}");

    let answer = web.posts(&session(&id), &echo(2)).await;
    assert!(is(&answer, "401"), "a session is no token: {answer}");
    let bob = bearer(&provider.token("bob", RESOURCE).await.unwrap());
    let answer = web.posts(&format!("{bob}{}", session(&id)), &echo(3)).await;
    assert!(is(&answer, "404"), "for him there is no such session: {answer}");
    let eve = bearer(&provider.token("eve", RESOURCE).await.unwrap());
    assert!(is(&web.posts(&eve, HELLO).await, "401"), "she is no agent here");
    let elsewhere = provider
        .token("olga", "https://tools.acme.example/other")
        .await
        .unwrap();
    assert!(
        is(&web.posts(&bearer(&elsewhere), HELLO).await, "401"),
        "it is for another resource"
    );
    let page = format!("{olga}Origin: https://evil.example\r\n");
    assert!(is(&web.posts(&page, HELLO).await, "403"));

    // His grant is hers: the task is of another agent.
    let answer = web.posts(&bob, HELLO).await;
    let his = answer
        .lines()
        .find_map(|line| line.strip_prefix("mcp-session-id: "))
        .unwrap();
    let told = message(
        &web.posts(&format!("{bob}{}", session(his.trim())), &echo(1))
            .await,
    );
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert_eq!(
        told["result"]["_meta"]["checkrein/decision"]["cause"], "wrong_agent",
        "{told}"
    );
    web.close().await;
}
