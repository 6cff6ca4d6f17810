//! What a page does when something is missing, too large, or slow.

use checkrein_shared::identity::Role;
use checkrein_tests::World;
use tonic::codegen::http::StatusCode;

use super::browser::Browser;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_makes_no_sense_is_said_so() {
    let world = World::start().await.unwrap();
    let mut bob = Browser::of(&world, Role::Approver, "bob").await;
    let asked = [
        ("/nowhere", StatusCode::NOT_FOUND),
        (
            "/holds/hold_0193f1c2a4b87d3e9f00a1b2c3d4e5f6",
            StatusCode::NOT_FOUND,
        ),
        ("/holds/nonsense", StatusCode::BAD_REQUEST),
        ("/holds/%00", StatusCode::BAD_REQUEST),
        ("/events?hold=nonsense", StatusCode::BAD_REQUEST),
        ("/assets/../console.css", StatusCode::NOT_FOUND),
    ];
    for (path, code) in asked {
        assert_eq!(bob.get(path).await.code, code, "{path}");
    }
    let long = "x".repeat(1 << 20);
    let answer = bob.post("/sign-in/link", &[("link", &long)]).await;
    assert_eq!(answer.code, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_a_page_says_so_and_nobody_is_let_in() {
    let world = World::start().await.unwrap();
    let mut bob = Browser::of(&world, Role::Approver, "bob").await;
    let sql = world.sql().await.unwrap();
    sql.batch_execute("ALTER TABLE console_session RENAME TO elsewhere")
        .await
        .unwrap();
    let answer = bob.get("/").await;
    assert!(answer.code.is_server_error(), "{}", answer.code);
    assert!(!answer.text.contains("Nothing waits"), "{}", answer.text);
    let link = super::browser::link(&world, Role::Approver, "bob").await;
    let answer = Browser::at(&world, 0)
        .post("/sign-in/link", &[("link", &link)])
        .await;
    assert!(answer.code.is_server_error());
    assert_eq!(answer.header("set-cookie"), "");
}
