//! Several holds answered together: show what is the same, what differs, ask once, and send each with its own hash.

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_shared::hold::{State, TOGETHER_MAX};
use checkrein_shared::identity::SpiffeId;
use serde_json::json;

use super::vote::{VoteError, Word};
use super::{find, show};
use crate::cli::client::Connection;
use crate::cli::output::{Cell, Paint, Style, Table, relative};
use crate::cli::pages::Rows;
use crate::cli::{Error, Invocation, Outcome};
use crate::words::{ShownAction, Unreadable};

/// Which holds: by their ids, or all that wait like one.
pub(super) enum Which {
    /// These.
    These(Vec<String>),
    /// Whatever waits with the tool, definition and arguments of this one, which is among them if it waits.
    Like(String),
}

/// Shows the holds, asks, and answers them all. Fails if one of the answers was not counted.
pub(super) async fn cast(
    mut client: HoldServiceClient<Connection>,
    which: Which,
    word: &Word,
    yes: bool,
    invocation: &Invocation,
) -> Result<Outcome, Error> {
    let holds = collect(&client, which).await?;
    let shown: Vec<ShownAction> = holds
        .iter()
        .map(ShownAction::verify)
        .collect::<Result<_, Unreadable>>()
        .map_err(VoteError::from)?;
    if !invocation.json() || !yes {
        invocation.note(&page(
            &holds,
            &shown,
            invocation.now_ms(),
            invocation.paint_notes(),
        ));
    }
    if !yes {
        match invocation.confirm(&word.question_of(holds.len()))? {
            Some(true) => {}
            Some(false) => return Err(VoteError::Declined.into()),
            None => return Err(VoteError::NotAsked.into()),
        }
    }
    let answers = holds.iter().zip(&shown).map(|(hold, action)| wire::Answer {
        hold_id: hold.hold_id.clone(),
        approve: word.approves(),
        action_sha256: action.sha256.to_bytes(),
        reason: word.reason().to_owned(),
    });
    let request = wire::VoteAllRequest {
        answers: answers.collect(),
        idempotency_key: invocation.idempotency_key(),
    };
    let results = client.vote_all(request).await?.into_inner().results;
    let views: Vec<_> = results
        .iter()
        .map(|result| {
            json!({
                "id": result.hold_id,
                "counted": result.cause.is_empty(),
                "state": state(result),
                "cause": result.cause,
                "reason": result.reason,
            })
        })
        .collect();
    invocation.answer(&json!({ "results": views }), |paint| {
        results_table(&results, invocation.now_ms(), paint)
    })?;
    let is_whole = results.len() == holds.len() && results.iter().all(|result| result.cause.is_empty());
    Ok(if is_whole { Outcome::Done } else { Outcome::Failed })
}

async fn collect(client: &HoldServiceClient<Connection>, which: Which) -> Result<Vec<wire::Hold>, Error> {
    let holds = match which {
        Which::These(ids) => {
            if ids.len() > TOGETHER_MAX {
                return Err(VoteError::TooMany(ids.len()).into());
            }
            let mut holds = Vec::with_capacity(ids.len());
            for id in ids {
                holds.push(find(client.clone(), id).await?.hold);
            }
            holds
        }
        Which::Like(id) => {
            let most = u32::try_from(TOGETHER_MAX).unwrap_or(u32::MAX);
            let found = Rows::collect(most, async |page_size, page_token| {
                let request = wire::ListRequest {
                    page_size,
                    page_token,
                    like_hold_id: id.clone(),
                    ..wire::ListRequest::default()
                };
                let page = client.clone().list(request).await?.into_inner();
                Ok((page.holds, page.next_page_token))
            })
            .await?;
            if found.rows.is_empty() {
                return Err(VoteError::NoneAlike(id).into());
            }
            found.rows
        }
    };
    Ok(holds)
}

/// What is the same is shown once and whole; if anything of the action differs, each is shown whole.
fn page(holds: &[wire::Hold], shown: &[ShownAction], now_ms: u64, paint: Paint) -> String {
    let same = |one: &ShownAction, other: &ShownAction| {
        (
            &one.identity.tool,
            one.identity.definition,
            &one.identity.arguments,
        ) == (
            &other.identity.tool,
            other.identity.definition,
            &other.identity.arguments,
        )
    };
    let is_same = shown.windows(2).all(|pair| same(&pair[0], &pair[1]));
    let mut out = String::new();
    let whole = if is_same { 1 } else { holds.len() };
    for hold in holds.iter().take(whole) {
        out.push_str(&show::card(hold, now_ms, paint));
        out.push('\n');
    }
    let heading = if is_same {
        "tool, definition and arguments are the same in all of these; this may differ:"
    } else {
        "these are different actions, shown whole above:"
    };
    out.push_str(&paint.apply(Style::Strong, heading));
    out.push('\n');
    let mut table = Table::new(&[
        "HOLD",
        "TASK",
        "AGENT",
        "PASSED ON BY",
        "FOR",
        "ASKED TO",
        "UNTIL",
        "SHA256",
    ]);
    for (hold, action) in holds.iter().zip(shown) {
        let identity = &action.identity;
        let delegators: Vec<&str> = identity.delegated_by.iter().map(SpiffeId::as_str).collect();
        table.push([
            Cell::from(&*hold.hold_id).styled(Style::Strong),
            Cell::from(identity.task.to_string()),
            Cell::from(identity.agent.as_str()),
            Cell::from(delegators.join(", then ")),
            Cell::from(&*identity.user),
            Cell::from(&*hold.intent),
            Cell::from(relative(hold.decide_by_unix_ms, now_ms)),
            Cell::from(action.sha256.to_string()),
        ]);
    }
    out.push_str(&table.render(paint, ""));
    out
}

fn results_table(results: &[wire::AnswerResult], now_ms: u64, paint: Paint) -> String {
    let mut table = Table::new(&["HOLD", "STATE", "WHAT CAME OF IT"]);
    for result in results {
        let then = match result.state() {
            wire::State::Approved => format!("usable once, {}", relative(result.use_by_unix_ms, now_ms)),
            wire::State::Open => "more people must agree".to_owned(),
            _ => result.reason.clone(),
        };
        table.push([
            Cell::from(&*result.hold_id).styled(Style::Strong),
            Cell::word(state(result)),
            Cell::from(then),
        ]);
    }
    table.render(paint, "")
}

/// Where it stands, or that the answer was not counted.
fn state(result: &wire::AnswerResult) -> &'static str {
    State::try_from(result.state()).map_or("not-counted", State::as_str)
}
