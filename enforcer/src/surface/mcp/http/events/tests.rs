//! However a stream is cut into pieces, the same events come out of it.

use proptest::prelude::*;

use super::*;

fn all(stream: &[u8], pieces: usize) -> Vec<String> {
    let mut events = Events::default();
    let mut found = Vec::new();
    for piece in stream.chunks(pieces) {
        found.extend(events.take(piece).unwrap());
    }
    found
        .into_iter()
        .map(|data| String::from_utf8(data).unwrap())
        .collect()
}

#[test]
fn data_is_found_among_comments_ids_and_names_of_events() {
    let stream = b": hello\r\nid: 7\r\nevent: message\r\ndata: {\"a\":1}\r\n\r\nretry: 3\n\ndata:x\ndata: y\n\nid: 8\ndata:\n\ndata: cut";
    assert_eq!(all(stream, 1_000), [r#"{"a":1}"#, "x\ny", ""]);
}

#[test]
fn an_event_without_an_end_is_refused_when_it_is_too_long() {
    let mut events = Events::default();
    let piece = vec![b'x'; 1 << 20];
    let mut taken = 0;
    while events.take(&piece).is_ok() {
        taken += piece.len();
        assert!(taken <= LINE_BYTES_MAX, "no end to it");
    }
}

#[test]
fn a_stream_is_taken_up_again_after_its_last_whole_event() {
    let mut events = Events::default();
    assert_eq!((events.last(), events.retry()), (None, RETRY));
    events.take(b"id: 1\nretry: 50\ndata:\n\n").unwrap();
    events.take(b"data: of no id\n\nid: 2\ndata: cut").unwrap();
    assert_eq!(events.last().unwrap(), "1");
    assert_eq!(events.retry(), Duration::from_millis(50));
    events.resume();
    assert_eq!(events.take(b"id: 2\ndata: whole\n\n").unwrap(), [b"whole"]);
    assert_eq!(events.last().unwrap(), "2");
    assert_eq!(events.retry(), Duration::from_millis(50));
    events
        .take(b"retry: 86400000\n\nretry: soon\n\nid: a\x00b\n\n")
        .unwrap();
    assert_eq!(
        (events.last().unwrap().as_bytes(), events.retry()),
        (&b"2"[..], RETRY_MAX)
    );
}

proptest! {
    #[test]
    fn it_does_not_matter_where_a_stream_is_cut(
        messages in proptest::collection::vec("[ -~]{0,20}", 0..6),
        pieces in 1_usize..9,
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|message| event(message)).collect();
        prop_assert_eq!(all(&stream, pieces), messages);
    }
}
