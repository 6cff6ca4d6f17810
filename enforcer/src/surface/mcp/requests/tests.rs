//! An answer goes to whoever asked, once.

use super::*;

fn requests() -> (Requests, CancellationToken) {
    (Requests::new("ours"), CancellationToken::new())
}

#[test]
fn an_id_in_use_is_refused_until_its_request_has_ended() {
    let (requests, gone) = requests();
    let id = Id::Number(1);
    requests.pass(&id).unwrap();
    assert_eq!(requests.pass(&id), Err(NotBegun::InUse));
    assert_eq!(requests.follow(&id, &gone).unwrap_err(), NotBegun::InUse);
    requests.pass(&Id::Text("1".into())).unwrap();
    assert!(matches!(requests.answered(&id), Goes::ToClient));
    assert!(matches!(requests.answered(&id), Goes::Nowhere), "once");
    requests.pass(&id).unwrap();
}

#[test]
fn the_ids_of_the_two_directions_never_meet() {
    let (requests, _) = requests();
    let id = Id::Number(1);
    requests.pass(&id).unwrap();
    requests.server_asks(&id).unwrap();
    assert!(requests.server_has(&id));
    assert!(!requests.server_has(&id), "once");
    assert!(matches!(requests.answered(&id), Goes::ToClient));
}

#[test]
fn more_than_there_is_room_for_is_not_begun() {
    let (requests, _) = requests();
    for id in 0..i64::try_from(REQUESTS_MAX).unwrap() {
        requests.pass(&Id::Number(id)).unwrap();
        requests.server_asks(&Id::Number(id)).unwrap();
    }
    assert_eq!(requests.pass(&Id::Number(-1)), Err(NotBegun::TooMany));
    assert_eq!(requests.server_asks(&Id::Number(-1)), Err(NotBegun::TooMany));
}

#[test]
fn what_is_given_up_is_told_whoever_looks_after_it() {
    let (requests, gone) = requests();
    let (passed, followed) = (Id::Number(1), Id::Number(2));
    requests.pass(&passed).unwrap();
    let cancelled = requests.follow(&followed, &gone).unwrap();
    assert_eq!(requests.give_up(&passed), GivenUp::TellServer);
    assert_eq!(requests.give_up(&passed), GivenUp::Unknown);
    assert_eq!(requests.give_up(&followed), GivenUp::Told);
    assert!(cancelled.is_cancelled() && !gone.is_cancelled());
}

#[tokio::test]
async fn whoever_waits_for_a_server_that_ends_is_told() {
    let (requests, gone) = requests();
    let (passed, followed) = (Id::Number(1), Id::Number(2));
    requests.pass(&passed).unwrap();
    requests.follow(&followed, &gone).unwrap();
    let reply = requests.reply(&followed);
    let (_, own) = requests.own();
    assert_eq!(requests.lose(), [passed]);
    assert!(reply.await.is_err() && own.await.is_err());
    assert!(requests.reply(&followed).await.is_err(), "nor later");
    assert!(requests.own().1.await.is_err());
}

#[test]
fn an_answer_is_awaited_until_it_has_come_or_nobody_wants_it() {
    let requests = Requests::new("tag");
    let (passed, followed) = (Id::Number(1), Id::Number(2));
    assert!(!requests.awaits(&passed));
    requests.pass(&passed).unwrap();
    requests.follow(&followed, &CancellationToken::new()).unwrap();
    assert!(!requests.awaits(&followed), "the server was not asked yet");
    let _reply = requests.reply(&followed);
    let (ours, _answer) = requests.own();
    for id in [&passed, &followed, &ours] {
        assert!(requests.awaits(id), "{id}");
        requests.answered(id);
        assert!(!requests.awaits(id), "{id}");
    }
}
