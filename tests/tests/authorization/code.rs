//! What an issuer may answer to whoever brings a code, and must not be believed for.

use checkrein_control_plane::config::OidcSettings;
use checkrein_tests::{World, WorldOptions};
use serde_json::{Value, json};

use super::browser::{Browser, Page, parameter};
use super::issuer::Issuer;
use super::signer::now_s;

struct Scene {
    world: World,
    issuer: Issuer,
}

/// A browser that comes back from the issuer.
struct Visitor {
    browser: Browser,
    back: String,
    nonce: String,
}

impl Scene {
    async fn start() -> Self {
        let issuer = Issuer::start().await;
        let options = WorldOptions {
            oidc: OidcSettings {
                issuer: Some(issuer.url.clone()),
                audience: Some("checkrein".to_owned()),
                operators: vec!["ops".to_owned()],
                approvers: vec!["risk".to_owned()],
                client_id: Some("console".to_owned()),
                scopes: vec!["profile".to_owned(), "groups".to_owned()],
                ..OidcSettings::default()
            },
            ..WorldOptions::default()
        };
        let world = World::with(options).await.unwrap();
        let scene = Self { world, issuer };
        scene.wait_for_the_issuer().await;
        scene
    }

    /// A replica serves before it knows its issuer.
    async fn wait_for_the_issuer(&self) {
        let asked = async { while self.go(&mut Browser::default(), "/").await.status == 503 {} };
        tokio::time::timeout(checkrein_tests::WAIT_MAX, asked)
            .await
            .unwrap();
    }

    async fn go(&self, browser: &mut Browser, next: &str) -> Page {
        let start = format!("{}/sign-in/oidc?next={next}", self.world.console(0));
        browser.get(&start).await
    }

    /// A browser that was sent to the issuer, and is about to come back with a code.
    async fn visitor(&self, next: &str) -> Visitor {
        let mut browser = Browser::default();
        let to = self.go(&mut browser, next).await.location();
        let state = parameter(&to, "state");
        let site = self.world.console(0);
        Visitor {
            browser,
            back: format!("{site}/sign-in/oidc/callback?code=a-code&state={state}"),
            nonce: parameter(&to, "nonce"),
        }
    }

    /// What a good ID token says to this visitor.
    fn claims(&self, visitor: &Visitor) -> Value {
        let mut claims = self.issuer.claims("bob", &["risk"]);
        claims["aud"] = json!("console");
        claims["nonce"] = json!(visitor.nonce);
        claims
    }

    async fn is_in(&self, browser: &mut Browser) -> bool {
        let page = browser.get(&format!("{}/approvals", self.world.console(0))).await;
        page.status == 200
    }

    /// The visitor comes back, and is refused like this.
    async fn expect_refused(&self, what: &str, mut visitor: Visitor, status: u16, said: &str) {
        let page = visitor.browser.get(&visitor.back).await;
        assert_eq!(page.status, status, "{what}: {page:?}");
        assert!(page.body.contains(said), "{what}: {page:?}");
        assert!(!self.is_in(&mut visitor.browser).await, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_asked_for_and_brought_with_what_binds_it_to_the_browser() {
    let scene = Scene::start().await;
    let mut browser = Browser::default();
    let page = scene.go(&mut browser, "/").await;
    let cookie = page.header("set-cookie");
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let to = page.location();
    assert!(
        to.starts_with(&format!("{}/auth?realm=acme&", scene.issuer.url)),
        "{to}"
    );
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "console"),
        ("scope", "openid+profile+groups"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(parameter(&to, name), value);
    }
    let visitor = scene.visitor("/approvals").await;
    let token = scene.issuer.signer.sign(&scene.claims(&visitor));
    scene.issuer.gives(200, &json!({"id_token": token}));
    let mut browser = visitor.browser;
    let page = browser.get(&visitor.back).await;
    assert_eq!(page.location(), format!("{}/approvals", scene.world.console(0)));
    assert!(scene.is_in(&mut browser).await);
    let asked = scene.issuer.asked().unwrap();
    for part in [
        "grant_type=authorization_code",
        "code=a-code",
        "code_verifier=",
        "client_id=console",
    ] {
        assert!(asked.contains(part), "{asked}");
    }

    // What the issuer vouched for until then is over then.
    let sql = scene.world.sql().await.unwrap();
    let ends = "SELECT extract(epoch FROM expires_at)::bigint FROM console_session";
    let ends: i64 = sql.query_one(ends, &[]).await.unwrap().get(0);
    assert!(ends.unsigned_abs() <= now_s() + 300, "{ends}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_token_for_another_attempt_client_time_or_person_signs_nobody_in() {
    let scene = Scene::start().await;
    let cases: [(&str, &str, Value, u16, &str); 11] = [
        ("another nonce", "nonce", json!("x"), 401, "another attempt"),
        ("no nonce", "nonce", Value::Null, 401, "another attempt"),
        ("another client", "aud", json!("payroll"), 401, "audience"),
        ("a token for an RPC", "aud", json!("checkrein"), 401, "audience"),
        (
            "two, and no party",
            "aud",
            json!(["console", "payroll"]),
            401,
            "another client",
        ),
        ("another party", "azp", json!("payroll"), 401, "another client"),
        (
            "another issuer",
            "iss",
            json!("https://evil.example"),
            401,
            "another issuer",
        ),
        ("over", "exp", json!(now_s() - 60), 401, "expired"),
        ("no end", "exp", Value::Null, 401, "exp"),
        (
            "no group of ours",
            "groups",
            json!(["staff"]),
            403,
            "lists none of the groups",
        ),
        (
            "a name of two",
            "preferred_username",
            json!("bob/x"),
            403,
            "SPIFFE ID",
        ),
    ];
    for (what, name, value, status, said) in cases {
        let visitor = scene.visitor("/").await;
        let mut claims = scene.claims(&visitor);
        claims[name] = value;
        let token = scene.issuer.signer.sign(&claims);
        scene.issuer.gives(200, &json!({"id_token": token}));
        scene.expect_refused(what, visitor, status, said).await;
    }
    let visitor = scene.visitor("/").await;
    let unsigned = scene.issuer.signer.unsigned(&scene.claims(&visitor));
    scene.issuer.gives(200, &json!({"id_token": unsigned}));
    scene.expect_refused("unsigned", visitor, 401, "algorithm").await;
    let visitor = scene.visitor("/").await;
    let mut header = scene.issuer.signer.header();
    header["typ"] = json!("logout+jwt");
    let other = scene.issuer.signer.sign_as(&header, &scene.claims(&visitor));
    scene.issuer.gives(200, &json!({"id_token": other}));
    scene
        .expect_refused("to sign out with", visitor, 401, "typ")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_fails_signs_nobody_in_and_is_said_to_have_failed() {
    let scene = Scene::start().await;
    for (status, body, seen, said) in [
        (200, json!({"access_token": "x"}), 503, "no ID token"),
        (200, json!("x"), 503, "no ID token"),
        (
            400,
            json!({"error": "invalid_grant"}),
            401,
            "did not take the code",
        ),
        (401, json!({"error": "invalid_client"}), 503, "refused the client"),
        (400, json!("x"), 503, "400"),
        (302, json!("x"), 503, "302"),
        (500, json!({"error": "<script>"}), 503, "500"),
        (400, json!({"error": "<script>"}), 503, "&#60;script&#62;"),
    ] {
        let visitor = scene.visitor("/").await;
        scene.issuer.gives(status, &body);
        scene
            .expect_refused(&format!("{status} {body}"), visitor, seen, said)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_differently_than_they_were_sent_is_refused_before_the_issuer_is_asked() {
    let scene = Scene::start().await;
    let refused = async |what: &str, change: fn(&mut Visitor), said: &str| {
        let mut visitor = scene.visitor("/").await;
        change(&mut visitor);
        scene.expect_refused(what, visitor, 401, said).await;
    };
    let elsewhere = "not begun in this browser";
    refused("another state", |it| it.back.push('x'), elsewhere).await;
    refused("another browser", |it| it.browser.cookies.clear(), elsewhere).await;
    refused(
        "another issuer",
        |it| it.back.push_str("&iss=https://evil.example"),
        "another issuer",
    )
    .await;
    refused(
        "a no",
        |it| it.back.push_str("&error=access_denied"),
        "access_denied",
    )
    .await;
    refused(
        "another page",
        |it| {
            for value in it.browser.cookies.values_mut() {
                *value = value.replace(".Lw", ".L2V2aWw");
            }
        },
        elsewhere,
    )
    .await;
    assert_eq!(scene.issuer.asked(), None);

    for next in ["//evil.example", "https://evil.example", "%2F%5Cevil.example", ""] {
        let visitor = scene.visitor(next).await;
        let token = scene.issuer.signer.sign(&scene.claims(&visitor));
        scene.issuer.gives(200, &json!({"id_token": token}));
        let mut browser = visitor.browser;
        let page = browser.get(&visitor.back).await;
        assert_eq!(page.location(), format!("{}/", scene.world.console(0)), "{next}");
    }
}
