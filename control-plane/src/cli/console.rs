//! `checkrein console`: a link into the web console, for whoever has a certificate.

use checkrein_proto::fleet::v1::SignInRequest;
use serde_json::json;

use super::fleet;
use super::output::{Style, relative, rfc3339, visible};
use super::{Error, Invocation, Outcome};

pub(super) const EXAMPLE: &str = "\
Examples:
  checkrein --config approver-bob/client.toml console
  xdg-open \"$(checkrein console --json | jq -r .url)\"

The link signs in whoever opens it, as you, once and within a minute: give it to nobody.";

/// Runs it.
pub(super) async fn run(invocation: &Invocation) -> Result<Outcome, Error> {
    let mut client = fleet::client(invocation.connect().await?);
    let link = client.sign_in(SignInRequest {}).await?.into_inner();
    let document = json!({ "url": link.url, "expires_at": rfc3339(link.expires_unix_ms) });
    invocation.answer(&document, |paint| {
        let url = paint.apply(Style::Strong, &visible(&link.url));
        let until = relative(link.expires_unix_ms, invocation.now_ms());
        format!("{url}\n\nOpen it in a browser. It signs you in once, and ends {until}.\n")
    })?;
    Ok(Outcome::Done)
}
