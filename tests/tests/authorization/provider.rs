//! Sign-in with tokens of a real OIDC provider: `oidc-provider` from npm, run by node. `.ci/setup test` installs both.

use checkrein_control_plane::config::OidcSettings;
use checkrein_proto::fleet::v1::RemoveRequest;
use checkrein_shared::identity::Role;
use checkrein_tests::{Provider, WAIT_MAX, World, WorldOptions};
use tempfile::NamedTempFile;
use tokio::time::timeout;
use tonic::Code;

use super::bearer::{LIST, call, expect_refused, expect_roles};
use super::browser::{Browser, Page, parameter};

const SECRET: &str = "not+a/secret:it=opens-a-test";

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_a_real_provider_let_its_people_in_as_what_their_groups_say() {
    let mut provider = Provider::start().await.unwrap();
    let options = WorldOptions {
        oidc: OidcSettings {
            issuer: Some(provider.url.clone()),
            audience: Some("checkrein".to_owned()),
            operators: vec!["ops".to_owned()],
            approvers: vec!["risk".to_owned()],
            ..OidcSettings::default()
        },
        ..WorldOptions::default()
    };
    let world = World::with(options).await.unwrap();
    let channel = world.connect(None, 0).await.unwrap();
    let olga = provider.token("olga", "urn:checkrein").await.unwrap();
    expect_roles(&channel, &olga, &[Role::Operator]).await;
    let bob = provider.token("bob", "urn:checkrein").await.unwrap();
    expect_roles(&channel, &bob, &[Role::Approver]).await;

    // Of the same provider, and not for us: no group that we know, another audience.
    let eve = provider.token("eve", "urn:checkrein").await.unwrap();
    expect_refused(&channel, "in no group", &eve).await;
    let elsewhere = provider.token("olga", "urn:payroll").await.unwrap();
    let why = expect_refused(&channel, "another audience", &elsewhere).await;
    assert!(why.contains("audience"), "{why}");

    // A key that the provider began to use is fetched when a token names it; the one that it gave up vouches for nobody.
    provider.rotate().await.unwrap();
    let after = provider.token("olga", "urn:checkrein").await.unwrap();
    expect_roles(&channel, &after, &[Role::Operator]).await;
    let refused = call(&channel, LIST, &olga).await.unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
}

/// A world whose console the provider knows, and the file with the secret that its replica reads when it starts.
async fn console(provider: &mut Provider) -> (World, NamedTempFile) {
    let secret = NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), format!("{SECRET}\n")).unwrap();
    let options = WorldOptions {
        oidc: OidcSettings {
            issuer: Some(provider.url.clone()),
            audience: Some("checkrein".to_owned()),
            operators: vec!["ops".to_owned()],
            approvers: vec!["risk".to_owned()],
            client_id: Some("console".to_owned()),
            client_secret: Some(secret.path().to_owned()),
            ..OidcSettings::default()
        },
        ..WorldOptions::default()
    };
    let world = World::with(options).await.unwrap();
    provider.know(&world.console(0), SECRET).await.unwrap();
    (world, secret)
}

/// Presses the button, and signs in at the provider as this person; says where the provider sends the browser back to.
async fn sent_back(world: &World, browser: &mut Browser, person: &str, next: &str) -> String {
    let site = world.console(0);
    let page = browser.get(&format!("{site}/sign-in?next={next}")).await;
    assert!(page.body.contains("Sign in with 127.0.0.1"), "{page:?}");
    let start = format!("{site}/sign-in/oidc?next={next}");
    let mut at = browser.get(&start).await.location();
    at.push_str("&login_hint=");
    at.push_str(person);
    while !at.starts_with(&site) {
        at = browser.get(&at).await.location();
    }
    at
}

async fn inbox(world: &World, browser: &mut Browser) -> Page {
    browser.get(&format!("{}/", world.console(0))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_provider_signs_people_in_at_the_console_and_each_code_is_good_once_where_it_was_asked_for() {
    let mut provider = Provider::start().await.unwrap();
    let (world, _secret) = console(&mut provider).await;
    let site = world.console(0);

    let mut bob = Browser::default();
    let back = sent_back(&world, &mut bob, "bob", "/approvals").await;
    let before = bob.clone();
    let page = bob.get(&back).await;
    assert_eq!(page.location(), format!("{site}/approvals"));
    let page = inbox(&world, &mut bob).await;
    assert!(page.status == 200 && page.body.contains("bob"), "{page:?}");
    assert!(
        !bob.cookies.keys().any(|(_, name)| name == "checkrein-start"),
        "{bob:?}"
    );

    // The same answer again, even from the same browser as it was before.
    let mut again = before.clone();
    let page = again.get(&back).await;
    assert!(
        page.status == 401 && page.body.contains("invalid_grant"),
        "{page:?}"
    );
    assert_eq!(inbox(&world, &mut again).await.status, 303);

    // A code that somebody else was given does not sign in whoever is made to bring it, with either state.
    let (mut olga, mut thief) = (Browser::default(), Browser::default());
    let stolen = sent_back(&world, &mut olga, "olga", "/").await;
    assert_eq!(thief.get(&stolen).await.status, 401, "it never was there");
    let own = sent_back(&world, &mut thief, "eve", "/").await;
    let (code, wanted) = (parameter(&own, "code"), parameter(&stolen, "code"));
    let page = thief.get(&own.replace(&code, &wanted)).await;
    assert!(
        page.status == 401 && page.body.contains("invalid_grant"),
        "{page:?}"
    );
    assert_eq!(inbox(&world, &mut thief).await.status, 303);

    // In no group that we know.
    let mut eve = Browser::default();
    let back = sent_back(&world, &mut eve, "eve", "/").await;
    let page = eve.get(&back).await;
    assert!(
        page.status == 403 && page.body.contains("lists none of the groups"),
        "{page:?}"
    );
    assert_eq!(inbox(&world, &mut eve).await.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_provider_signs_in_after_they_were_removed_gets_no_further() {
    let mut provider = Provider::start().await.unwrap();
    let (world, _secret) = console(&mut provider).await;
    let remove = RemoveRequest {
        spiffe_id: "spiffe://acme.example/approver/bob".to_owned(),
        idempotency_key: "gone".to_owned(),
        ..RemoveRequest::default()
    };
    world
        .operator()
        .await
        .unwrap()
        .fleet()
        .remove(remove)
        .await
        .unwrap();
    let mut bob = Browser::default();
    let back = sent_back(&world, &mut bob, "bob", "/").await;
    assert_eq!(bob.get(&back).await.location(), format!("{}/", world.console(0)));
    let refused = async { while inbox(&world, &mut bob).await.status != 403 {} };
    timeout(WAIT_MAX, refused).await.unwrap();
}
