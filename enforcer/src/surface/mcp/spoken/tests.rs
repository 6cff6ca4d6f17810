//! Who begins how is heard as what they say they are.

use serde_json::value::RawValue;

use super::*;
use crate::surface::mcp::answers::{INVALID_PARAMS, UNKNOWN_REVISION};

const MODERN: &str = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}"#;

fn hears(spoken: &Spoken, method: &str, params: &str) -> Result<Era, i64> {
    let params = RawValue::from_string(params.to_owned()).unwrap();
    spoken.hears(method, Some(&params)).map_err(|not| not.code)
}

#[test]
fn a_request_that_says_its_revision_is_of_it_and_the_next_must_say_it_too() {
    let spoken = Spoken::new(None);
    assert_eq!(spoken.now(), Era::Handshake);
    assert_eq!(hears(&spoken, "ping", "{}"), Ok(Era::Handshake));
    assert_eq!(hears(&spoken, "server/discover", MODERN), Ok(Era::Stateless));
    assert_eq!(spoken.now(), Era::Stateless);
    for silent in [
        "{}",
        r#"{"_meta":{}}"#,
        r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}"#,
    ] {
        assert_eq!(
            hears(&spoken, "tools/list", silent),
            Err(INVALID_PARAMS),
            "{silent}"
        );
    }
    let without_capabilities = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
    assert_eq!(
        hears(&spoken, "tools/list", without_capabilities),
        Err(INVALID_PARAMS)
    );
    let future = MODERN.replace("2026", "2031");
    assert_eq!(hears(&spoken, "tools/list", &future), Err(UNKNOWN_REVISION));
    assert_eq!(hears(&spoken, "tools/list", MODERN), Ok(Era::Stateless));
}

#[test]
fn a_client_that_goes_back_to_the_handshake_stays_with_it() {
    let spoken = Spoken::new(None);
    assert_eq!(hears(&spoken, "server/discover", MODERN), Ok(Era::Stateless));
    assert_eq!(
        hears(&spoken, "initialize", r#"{"protocolVersion":"2025-11-25"}"#),
        Ok(Era::Handshake)
    );
    assert_eq!(
        hears(&spoken, "server/discover", MODERN),
        Ok(Era::Handshake),
        "it was decided"
    );
    assert_eq!(spoken.now(), Era::Handshake);
}

#[test]
fn what_is_decided_from_the_start_stays_so() {
    for era in [Era::Handshake, Era::Stateless] {
        let spoken = Spoken::new(Some(era));
        for (method, params) in [("initialize", "{}"), ("tools/list", MODERN), ("tools/list", "{}")] {
            assert_eq!(hears(&spoken, method, params), Ok(era));
        }
    }
}
