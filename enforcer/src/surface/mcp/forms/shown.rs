//! A link that a client's user is shown while a call waits, in the revisions in which a server may ask its client by itself.
//!
//! **Invariant**: whatever the client answers changes nothing: the call waits on, and people answer elsewhere.

use serde_json::json;

use super::super::answers;
use super::super::held::Follower;
use super::super::methods::Era;
use super::super::session::UnderWay;
use super::super::wire::Id;
use super::links;

/// One that was shown.
#[derive(Debug)]
pub(in crate::surface::mcp) struct Shown {
    asked: Id,
    hold: String,
}

impl Shown {
    /// Shows it, if the client takes links and was not shown this one before.
    pub(super) async fn to(under_way: &UnderWay, follower: &Follower) -> Option<Self> {
        let session = &under_way.session;
        if under_way.era != Era::Handshake || !session.takes.get()?.links {
            return None;
        }
        let links = session.terms.forms.links.as_ref()?;
        let held = follower.still_waits()?;
        let (page, hold) = (links.page(&held)?, held.decided.hold?.to_string());
        if !follower.call.is_to_be_shown() {
            return None;
        }
        let asked = session.requests.ask_client()?;
        let words = links::words(&follower.call.sameness.tool, &held);
        let params = json!({ "mode": "url", "elicitationId": hold, "url": page, "message": words });
        let line = answers::request(&asked, "elicitation/create", &params.to_string());
        session.client.tell(Some(&under_way.id), line).await;
        Some(Self { asked, hold })
    }

    /// The call waits no more: a client that has not answered need not, and one that has hears that nothing is left to do there.
    pub(in crate::surface::mcp) async fn end(self, under_way: &UnderWay) {
        let session = &under_way.session;
        let line = if session.requests.client_has(&self.asked) {
            answers::cancelled(&self.asked)
        } else {
            let params = json!({ "elicitationId": self.hold });
            answers::notification("notifications/elicitation/complete", &params.to_string())
        };
        session.client.tell(Some(&under_way.id), line).await;
    }
}
