//! How long a receiver may ask to be left alone, and how long an address is waited for.

use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{RETRY_AFTER_MAX, connect_to, retry_after};

/// Sun, 06 Nov 1994 08:49:37 GMT
const THEN_MS: u64 = 784_111_777_000;

#[test]
fn retry_after_is_seconds_or_a_date_and_never_more_than_the_bound() {
    let wait = |text| retry_after(text, THEN_MS - 90_000);
    assert_eq!(wait("7"), Some(Duration::from_secs(7)));
    assert_eq!(
        wait("Sun, 06 Nov 1994 08:49:37 GMT"),
        Some(Duration::from_secs(90))
    );
    // A date that has passed asks for nothing.
    assert_eq!(wait("Sat, 06 Nov 1993 08:49:37 GMT"), Some(Duration::ZERO));
    assert_eq!(wait("18446744073709551615"), Some(RETRY_AFTER_MAX));
    assert_eq!(wait("Sat, 06 Nov 2094 08:49:37 GMT"), Some(RETRY_AFTER_MAX));
    assert_eq!(wait("soon"), None);
}

/// A listener whose queue is full answers nobody: Linux completes one connection more than it was told to queue.
#[tokio::test]
async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mute = socket.listen(1).unwrap();
    let (mute, _queue) = (mute.local_addr().unwrap(), mute);
    let _queued = [
        TcpStream::connect(mute).await.unwrap(),
        TcpStream::connect(mute).await.unwrap(),
    ];
    let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = (good.local_addr().unwrap(), good);
    let each = Duration::from_millis(50);
    let connected = connect_to([mute, good.0].into_iter(), each).await.unwrap();
    assert_eq!(connected.peer_addr().unwrap(), good.0);
    let why = connect_to([mute].into_iter(), each).await.unwrap_err();
    assert_eq!(why.as_deref(), Some("127.0.0.1 does not answer"));
    assert_eq!(connect_to(std::iter::empty(), each).await.unwrap_err(), None);
}
