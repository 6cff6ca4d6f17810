//! `fleet invitations`: who was invited and has not joined yet, and how an invitation is taken back.

mod show;

use checkrein_proto::fleet::v1::{ListInvitationsRequest, WithdrawInvitationRequest};
use checkrein_shared::identity::SpiffeId;
use clap::Subcommand;
use serde_json::json;

use super::client;
use crate::cli::pages::Rows;
use crate::cli::values::LIMIT_DEFAULT;
use crate::cli::{Error, Invocation, Outcome};
use show::InvitationView;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Invitations, the latest first; also without a verb
    #[command(after_help = LIST_EXAMPLE)]
    List {
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Take back what nobody has joined by: the token is refused from then on
    #[command(after_help = WITHDRAW_EXAMPLE)]
    Withdraw {
        /// Who was invited
        #[arg(value_name = "SPIFFE-ID")]
        id: SpiffeId,
    },
}

const LIST_EXAMPLE: &str = "\
Example:
  checkrein fleet invitations
  checkrein fleet invitations list --json | jq '.invitations[] | select(.state == \"open\")'

An open one can be joined by, once; the others can't: taken, withdrawn or expired. No token is shown: it was, once, to whoever
invited.";

const WITHDRAW_EXAMPLE: &str = "\
Example:
  checkrein fleet invitations withdraw spiffe://acme.example/enforcer/edge-1

Every invitation of that name that is open is withdrawn. Who has joined already is let in nowhere any more by `checkrein fleet
remove`.";

pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<Outcome, Error> {
    match args.command {
        None => list(LIMIT_DEFAULT, invocation).await,
        Some(Command::List { limit }) => list(limit, invocation).await,
        Some(Command::Withdraw { id }) => withdraw(id, invocation).await,
    }
}

async fn list(limit: u32, invocation: &Invocation) -> Result<Outcome, Error> {
    let client = client(invocation.connect().await?);
    let found = Rows::collect(limit, async |page_size, page_token| {
        let request = ListInvitationsRequest {
            page_size,
            page_token,
        };
        let page = client.clone().list_invitations(request).await?.into_inner();
        Ok((page.invitations, page.next_page_token))
    })
    .await?;
    let invitations: Vec<InvitationView> = found.rows.iter().map(InvitationView::of).collect();
    let now_ms = invocation.now_ms();
    let document = json!({"invitations": invitations, "more": found.more});
    invocation.answer(&document, |paint| {
        show::table(&found.rows, now_ms, paint) + &found.more_line(paint)
    })?;
    Ok(Outcome::Done)
}

async fn withdraw(id: SpiffeId, invocation: &Invocation) -> Result<Outcome, Error> {
    let request = WithdrawInvitationRequest {
        spiffe_id: id.into(),
        idempotency_key: invocation.idempotency_key(),
    };
    let mut client = client(invocation.connect().await?);
    let withdrawn = client.withdraw_invitation(request).await?.into_inner();
    let invitation = withdrawn.invitation.ok_or(Error::Incomplete("invitation"))?;
    invocation.answer(&InvitationView::of(&invitation), |paint| {
        show::withdrawn(&invitation, paint)
    })?;
    Ok(Outcome::Done)
}
