//! Remarks on the wire.

use checkrein_proto::hold::v1 as wire;
use checkrein_shared::hold::RemarkKind;
use checkrein_shared::identity::{InvalidSpiffeId, SpiffeId};
use tonic::Status;

use super::{approver, glass, parse_hash, parse_id};
use crate::api::{bad_field, idempotency_key};
use crate::hold::Holds;
use crate::hold::remark::Say;

pub(super) async fn remark(
    holds: &Holds,
    author: SpiffeId,
    request: wire::RemarkRequest,
) -> Result<wire::RemarkResponse, Status> {
    let say = Say {
        hold: parse_id(&request.hold_id)?,
        author,
        kind: kind(&request.to, request.replies)?,
        shown: parse_hash(&request.action_sha256)?,
        text: glass::said("text", request.text)?,
        key: idempotency_key(&request.idempotency_key)?.to_owned(),
    };
    let hold = holds.say(&say).await?;
    Ok(wire::RemarkResponse {
        hold: Some(approver::shown(holds, &hold).await?),
    })
}

fn kind(to: &str, replies: bool) -> Result<RemarkKind, Status> {
    match (to, replies) {
        ("", false) => Ok(RemarkKind::Question),
        ("", true) => Ok(RemarkKind::Reply),
        (_, true) => Err(bad_field(
            "replies",
            "a reply is for everybody: leave out `to`, or hand the hold on in a remark of its own",
        )),
        (to, false) => {
            let to = to.parse();
            let to = to.map_err(|error: InvalidSpiffeId| bad_field("to", error.to_string()))?;
            Ok(RemarkKind::HandedOn { to })
        }
    }
}
