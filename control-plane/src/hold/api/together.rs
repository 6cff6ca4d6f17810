//! Several answers on the wire: parsed as a whole, answered one by one.

use std::collections::BTreeSet;

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::hold::TOGETHER_MAX;
use checkrein_shared::identity::SpiffeId;
use tonic::Status;

use super::{REASON_BYTES_MAX, parse_hash, parse_id};
use crate::api::{bad_field, text};
use crate::hold::Vote;
use crate::hold::together::Answered;

/// All of them, or none: what can't be read is no answer, and nothing is counted of the rest.
pub(super) fn parse(approver: &SpiffeId, answers: Vec<wire::Answer>) -> Result<Vec<Vote>, Status> {
    if answers.is_empty() || answers.len() > TOGETHER_MAX {
        return Err(bad_field(
            "answers",
            format!("expected 1 to {TOGETHER_MAX} answers"),
        ));
    }
    let mut holds = BTreeSet::new();
    let parse = |answer: wire::Answer| {
        if text("answers.reason", &answer.reason)?.len() > REASON_BYTES_MAX {
            return Err(bad_field(
                "answers.reason",
                format!("at most {REASON_BYTES_MAX} bytes"),
            ));
        }
        let hold = parse_id(&answer.hold_id)?;
        if !holds.insert(hold) {
            return Err(bad_field("answers", format!("hold `{hold}` is answered twice")));
        }
        let shown = parse_hash(&answer.action_sha256)?;
        Ok(Vote::new(
            hold,
            approver.clone(),
            shown,
            answer.approve,
            answer.reason,
        ))
    };
    answers.into_iter().map(parse).collect()
}

pub(super) fn result(answered: Answered) -> wire::AnswerResult {
    let hold_id = answered.hold.to_string();
    match answered.result {
        Ok(hold) => wire::AnswerResult {
            hold_id,
            state: wire::State::from(hold.state).into(),
            use_by_unix_ms: hold.use_by_ms.unwrap_or_default(),
            cause: String::new(),
            reason: String::new(),
        },
        Err(error) => wire::AnswerResult {
            hold_id,
            cause: error.word().to_owned(),
            // What a caller may hear of it, as of any other vote.
            reason: Status::from(error).message().to_owned(),
            ..wire::AnswerResult::default()
        },
    }
}
