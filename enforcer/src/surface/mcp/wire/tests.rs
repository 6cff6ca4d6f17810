//! What is read is what was written, to the byte; what has two readings is not read.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;

async fn lines_of(bytes: &[u8]) -> Vec<Line> {
    let mut lines = Lines::new(bytes);
    let mut found = Vec::new();
    while let Some(line) = lines.next().await.unwrap() {
        found.push(line);
    }
    found
}

#[tokio::test]
async fn a_line_that_is_too_long_costs_no_other_line_anything() {
    let id = "\"id\":7}";
    let long = format!("{{\"result\":\"{}\",{id}", "x".repeat(LINE_BYTES_MAX));
    let text = format!("before\n{long}\nafter\n");
    let lines = lines_of(text.as_bytes()).await;
    assert_eq!(
        (&lines[0], &lines[2]),
        (&Line::Text("before".into()), &Line::Text("after".into()))
    );
    let Line::TooLong { head, tail } = &lines[1] else {
        panic!("{:?}", lines[1])
    };
    assert_eq!(Id::at_the_edge_of(tail), Some(Id::Number(7)));
    assert_eq!(Id::at_the_edge_of(head), None);
}

#[tokio::test]
async fn the_longest_line_is_read_and_one_byte_more_is_not() {
    let longest = "x".repeat(LINE_BYTES_MAX);
    assert_eq!(lines_of(longest.as_bytes()).await, [Line::Text(longest.clone())]);
    let longer = format!("{longest}x\n");
    assert!(matches!(
        lines_of(longer.as_bytes()).await[..],
        [Line::TooLong { .. }]
    ));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_line_of_their_own() {
    let lines = lines_of(b"one\n\xff\xfe\n\n  \r\ntwo").await;
    let text = |text: &str| Line::Text(text.into());
    assert_eq!(lines, [text("one"), Line::NotText, text("two")]);
}

#[test]
fn a_message_has_one_reading_or_none() {
    let twice = |name: &str| InvalidMessage::Twice(name.to_owned());
    for (line, why) in [
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, twice("id")),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"tools/call"}"#,
            twice("method"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
            twice("method"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}"#,
            InvalidMessage::Unexpected("extra".into()),
        ),
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            InvalidMessage::Batch,
        ),
        (r#""ping""#, InvalidMessage::NotAnObject),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            InvalidMessage::Version,
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            InvalidMessage::Id,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#,
            InvalidMessage::Id,
        ),
        (r#"{"jsonrpc":"2.0","id":-0,"method":"ping"}"#, InvalidMessage::Id),
        (
            r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#,
            InvalidMessage::Id,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, InvalidMessage::Method),
        (r#"{"jsonrpc":"2.0","id":1}"#, InvalidMessage::Kind),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{}}"#,
            InvalidMessage::Kind,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":1}"#,
            InvalidMessage::Kind,
        ),
    ] {
        assert_eq!(Message::parse(line).unwrap_err(), why, "{line}");
    }
    for line in ["{", "{\"jsonrpc\":\"2.0\"", "nonsense", "[1,", "{}{}"] {
        let error = Message::parse(line).unwrap_err();
        assert!(matches!(error, InvalidMessage::Syntax(_)), "{line}: {error}");
    }
}

#[test]
fn a_number_and_a_text_are_two_ids() {
    assert_ne!(Id::parse("1"), Id::parse("\"1\""));
    assert_eq!(Id::parse("\"a\\u0062\""), Some(Id::Text("ab".into())));
    assert_eq!(Id::parse("\"a\\u0062\"").unwrap().to_string(), "\"ab\"");
}

proptest! {
    #[test]
    fn parameters_and_results_keep_their_bytes(
        id in any::<i64>(),
        method in "[a-z/]{1,20}",
        space in "[ \t\r]{0,3}",
        value in r#"(0|-?[1-9][0-9]{0,30})(\.[0-9]{1,10})?([eE][+-]?[0-9]{1,3})?|"[a-z\\\\u]{0}[^"\\\x00-\x1f]{0,20}"|\{\}|\[ ?\]|null|true"#,
    ) {
        let line = format!(
            "{{{space}\"jsonrpc\":\"2.0\",{space}\"id\":{id},\"method\":\"{method}\",\"params\":{value}{space}}}"
        );
        let Ok(Message::Request { id: found, method: named, params: Some(params) }) = Message::parse(&line) else {
            return Err(TestCaseError::fail(line));
        };
        prop_assert_eq!((found, named.as_str(), params.get()), (Id::Number(id), &*method, &*value));
        let line = format!("{{\"result\":{space}{value}{space},\"id\":{id},\"jsonrpc\":\"2.0\"}}");
        let Ok(Message::Response { answer: Answered::Result(result), .. }) = Message::parse(&line) else {
            return Err(TestCaseError::fail(line));
        };
        prop_assert_eq!(result.get(), &*value);
    }

    #[test]
    fn lines_come_out_as_they_went_in_however_they_are_cut(
        texts in proptest::collection::vec("[^\n]{0,40}[^\\s]", 0..8),
        size in 1_usize..64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            let (mut ours, theirs) = tokio::io::duplex(size);
            let all = texts.join("\n");
            let writing = async move {
                ours.write_all(all.as_bytes()).await.unwrap();
                drop(ours);
            };
            let reading = async {
                let mut lines = Lines::new(theirs);
                let mut found = Vec::new();
                while let Some(line) = lines.next().await.unwrap() {
                    found.push(line);
                }
                found
            };
            tokio::join!(writing, reading).1
        });
        prop_assert_eq!(found, texts.into_iter().map(Line::Text).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_makes_the_reader_of_messages_panic(line in ".{0,200}") {
        drop(Message::parse(&line));
        drop(Id::at_the_edge_of(line.as_bytes()));
    }
}
