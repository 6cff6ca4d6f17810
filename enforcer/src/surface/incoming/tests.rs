//! A place is taken by a connection and given back with it.

use tokio_stream::iter;

use super::*;

#[tokio::test]
async fn connections_are_bounded_and_a_place_is_given_back_with_its_connection() {
    let connections = (0..CONNECTIONS_MAX + 3).map(Ok::<_, io::Error>);
    let mut incoming = Box::pin(bounded(iter(connections), |_| false));
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_MAX - 1 {
        held.push(incoming.next().await.unwrap().unwrap());
    }
    let last = incoming.next().await.unwrap().unwrap();
    assert_eq!(last.connection, CONNECTIONS_MAX - 1);
    drop(last);
    let next = incoming.next().await.unwrap().unwrap();
    assert_eq!(
        next.connection, CONNECTIONS_MAX,
        "in the place that was given back"
    );
    assert!(incoming.next().await.is_none(), "the others found none");
}

#[tokio::test]
async fn strangers_take_no_place_of_the_agents() {
    let strangers = (0..=CONNECTIONS_MAX).map(|_| Ok::<_, io::Error>("stranger"));
    let incoming = bounded(iter(strangers.chain([Ok("agent")])), |who| *who == "stranger");
    let held: Vec<_> = incoming.map(Result::unwrap).collect().await;
    assert_eq!(held.len(), STRANGERS_MAX + 1);
    assert_eq!(held.last().map(|counted| counted.connection), Some("agent"));
}
