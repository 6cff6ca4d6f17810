//! Breaking the glass, and looking at it afterwards, on the wire.

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::hold::{Finding, Review};
use checkrein_shared::identity::SpiffeId;
use tonic::Status;

use super::{REASON_BYTES_MAX, approver, parse_hash, parse_id};
use crate::api::{bad_field, idempotency_key, text};
use crate::hold::{BreakGlass, Holds};

pub(super) async fn break_glass(
    holds: &Holds,
    approver: SpiffeId,
    request: wire::BreakGlassRequest,
) -> Result<wire::BreakGlassResponse, Status> {
    idempotency_key(&request.idempotency_key)?;
    let glass = BreakGlass {
        hold: parse_id(&request.hold_id)?,
        approver,
        shown: parse_hash(&request.action_sha256)?,
        reason: said("reason", request.reason)?,
    };
    let hold = holds.break_glass(&glass).await?;
    Ok(wire::BreakGlassResponse {
        hold: Some(approver::shown(holds, &hold).await?),
    })
}

pub(super) async fn review(
    holds: &Holds,
    by: SpiffeId,
    request: wire::ReviewRequest,
) -> Result<wire::ReviewResponse, Status> {
    idempotency_key(&request.idempotency_key)?;
    let finding = match request.finding() {
        wire::Finding::Justified => Finding::Justified,
        wire::Finding::Unjustified => Finding::Unjustified,
        wire::Finding::Unspecified => {
            return Err(bad_field(
                "finding",
                "say whether it was justified or unjustified",
            ));
        }
    };
    let review = Review {
        by,
        finding,
        reason: said("reason", request.reason)?,
        reviewed_ms: 0,
    };
    let hold = holds.review(parse_id(&request.hold_id)?, &review).await?;
    Ok(wire::ReviewResponse {
        hold: Some((&hold).into()),
    })
}

/// What is done in the open is said in words: nobody does it without any.
pub(super) fn said(field: &str, words: String) -> Result<String, Status> {
    text(field, &words)?;
    if words.trim().is_empty() || words.len() > REASON_BYTES_MAX {
        let why = format!("say it in words, in at most {REASON_BYTES_MAX} bytes");
        return Err(bad_field(field, why));
    }
    Ok(words)
}
