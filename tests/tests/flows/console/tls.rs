//! Where the network is not one machine: TLS, and a cookie that no plain connection and no neighbour can set.

use checkrein_control_plane::config::ConsoleSettings;
use checkrein_shared::identity::Role;
use checkrein_tests::{World, WorldOptions};
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::codegen::http::{Request, StatusCode};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tower::{Service, ServiceExt};

use super::browser::{Browser, link};

async fn world(listen: &str, url: Option<&str>) -> World {
    let console = ConsoleSettings {
        listen: Some(listen.to_owned()),
        url: url.map(str::to_owned),
        ..ConsoleSettings::default()
    };
    let options = WorldOptions {
        console,
        ..WorldOptions::default()
    };
    World::with(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn off_the_loopback_a_page_comes_over_tls_by_the_installations_own_ca_and_asks_for_no_certificate() {
    let world = world("0.0.0.0:0", None).await;
    let site = world.console(0).replace("http:", "https:");
    let ca = world.ca_certificate();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    let endpoint = Channel::from_shared(site.clone()).unwrap();
    let mut channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
    let request = Request::get(format!("{site}/sign-in"))
        .body(Body::empty())
        .unwrap();
    let answer = channel.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let page = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&page).contains("<h1>Sign in</h1>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_cookie_is_of_this_host_alone_and_one_under_the_plain_name_says_nothing() {
    // Behind something that speaks TLS to browsers.
    let world = world("127.0.0.1:0", Some("https://checkrein.acme.example")).await;
    let token = link(&world, Role::Approver, "bob").await;
    let mut bob = Browser::at(&world, 0);
    let answer = bob.post("/sign-in/link", &[("link", &token)]).await;
    let cookie = answer.header("set-cookie").to_owned();
    assert!(cookie.starts_with("__Host-checkrein="), "{cookie}");
    assert!(
        cookie.contains("; Path=/; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    assert!(!cookie.contains("Domain"), "{cookie}");
    assert_eq!(bob.get("/").await.code, StatusCode::OK);

    let (_, session) = cookie.split(';').next().unwrap().split_once('=').unwrap();
    let mut planted = Browser::at(&world, 0);
    planted.keep(session);
    assert_eq!(planted.get("/").await.header("location"), "/sign-in");
    // Nor does it keep anybody out.
    bob.keep("planted");
    assert_eq!(bob.get("/").await.code, StatusCode::OK);
}
