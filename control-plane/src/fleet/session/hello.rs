//! The beginning of a stream: who connects, as what, and whether it may.
//!
//! **Invariant**: nothing is said to an enforcer that is not in the register, or to an incarnation that a later one succeeded.

use std::time::Duration;

use checkrein_proto::fleet::v1 as wire;
use checkrein_proto::fleet::v1::session_request::Body as Up;
use checkrein_shared::action::Sha256;
use checkrein_shared::id::{Generation, SessionId};
use checkrein_shared::policy::BUNDLE_FORMAT;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use tracing::info;

use super::super::Fleet;
use super::super::offer::{Offer, Offers};
use super::super::store::{self, Stream};
use super::{Sender, Session};
use crate::api::{bad_field, database_trouble};

/// The protocol this replica speaks.
const PROTOCOL: u32 = 1;
/// How long an enforcer may take to say Hello.
const HELLO_MAX: Duration = Duration::from_secs(10);

/// Hears the Hello and says what stands: who the enforcer is, and everything it may have missed.
pub(super) async fn greet(
    fleet: &Fleet,
    enforcer: String,
    up: &mut Streaming<wire::SessionRequest>,
    down: &Sender,
) -> Result<Session, Status> {
    let first = timeout(HELLO_MAX, up.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no Hello came"))??;
    let Some(Up::Hello(hello)) = first.and_then(|message| message.body) else {
        return Err(Status::failed_precondition("the first message must be Hello"));
    };
    if hello.protocol != PROTOCOL || !hello.bundle_formats.contains(&BUNDLE_FORMAT) {
        let ours = format!("this replica speaks protocol {PROTOCOL} and bundle format {BUNDLE_FORMAT}");
        return Err(Status::failed_precondition(format!(
            "{ours}: upgrade whichever is older"
        )));
    }
    let stream = Stream {
        enforcer,
        instance: hello
            .instance_id
            .parse()
            .map_err(|error| bad_field("instance_id", format!("{error}")))?,
        incarnation: hello.incarnation,
        session: SessionId::new(&*fleet.clock),
        build: storable(&hello.build, 64),
    };
    let running = Sha256::try_from(&*hello.manifest_sha256).ok();
    let running_offer = running.map(|digest| Offer {
        generation: Generation(hello.generation),
        digest,
    });
    let refused = open(fleet, &stream, running_offer).await?;
    let mut session = Session {
        fleet: fleet.clone(),
        feeds: fleet.feeds.clone(),
        stream,
        down: down.clone(),
        offers: Offers::new(running, refused),
        taken_over: CancellationToken::new(),
        revocation_sequence: hello.revocation_sequence,
        hold_revision: 0,
    };
    session.welcome().await?;
    session.send_revocations().await?;
    session.send_standing_holds(&hello.open_holds).await?;
    session.announce().await?;
    Ok(session)
}

/// Takes the instance over. What the enforcer says it runs is an ack as good as any, if it is a bundle of ours: the ack itself
/// may have been lost with the stream before. Returns what this build refused.
async fn open(fleet: &Fleet, stream: &Stream, running: Option<Offer>) -> Result<Vec<Sha256>, Status> {
    let enforcer = &stream.enforcer;
    let unknown = || Status::permission_denied(format!("enforcer `{enforcer}` is not in the register"));
    let fenced = || {
        Status::failed_precondition(format!(
            "a later incarnation than {} of this directory has connected",
            stream.incarnation
        ))
    };
    let opened = fleet.database.transact("fleet.hello", |tx| async move {
        if !store::is_registered(&tx, enforcer).await? {
            return Ok((tx, Err(unknown())));
        }
        if !store::open_stream(&tx, stream).await? {
            return Ok((tx, Err(fenced())));
        }
        if let Some(running) = running {
            store::confirm_running(&tx, stream, running).await?;
        }
        let refused = store::nacked(&tx, stream).await?;
        Ok((tx, Ok(refused)))
    });
    let refused = opened.await.map_err(|error| database_trouble(&error))??;
    info!(enforcer = stream.enforcer, instance = %stream.instance, incarnation = stream.incarnation, "connected");
    Ok(refused)
}

/// An enforcer's own words, as the database can hold them.
pub(super) fn storable(text: &str, chars_max: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(chars_max).collect()
}
