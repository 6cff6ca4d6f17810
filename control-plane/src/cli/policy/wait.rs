//! Waiting until every connected enforcer runs a generation, and naming those that won't.

use std::time::Duration;

use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::fleet::v1::{Enforcer, NackReport, ShowRequest};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::cli::client::Connection;
use crate::cli::fleet;
use crate::cli::output::{Paint, Style, visible};
use crate::cli::{Error, Invocation};
use crate::words::{is_behind, stage_word};

const WAIT_MAX: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Of those that lag, at most this many are asked for their nacks in one round.
const ASKED_MAX: usize = 16;

/// How far a generation has come.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Rollout {
    /// Run it.
    pub enforced: Vec<String>,
    /// Are connected, and don't run it yet.
    pub behind: Vec<String>,
    /// Refused it.
    pub refused: Vec<Refused>,
    /// Are not connected; they get it when they come.
    pub away: Vec<String>,
}

/// An enforcer that refused a bundle.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refused {
    /// Who.
    pub enforcer: String,
    /// Where it failed.
    pub stage: &'static str,
    /// Why.
    pub reason: String,
}

/// Polls until no connected enforcer is behind, all that are have refused, or time is up.
pub(super) async fn until_enforced(
    channel: Connection,
    generation: u64,
    invocation: &Invocation,
) -> Result<Rollout, Error> {
    let mut client = fleet::client(channel);
    let started = Instant::now();
    let mut told = None;
    loop {
        let (enforcers, _) = fleet::all(&mut client).await?;
        let nacks = ask_laggards(&mut client, &enforcers, generation).await?;
        let rollout = Rollout::of(&enforcers, &nacks, generation);
        let progress = (
            rollout.enforced.len(),
            rollout.enforced.len() + rollout.behind.len() + rollout.refused.len(),
        );
        if !invocation.json() && told != Some(progress) {
            invocation.note(&format!(
                "  {} of {} connected enforcers run it",
                progress.0, progress.1
            ));
            told = Some(progress);
        }
        if rollout.behind.is_empty() || started.elapsed() >= WAIT_MAX {
            return Ok(rollout);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// What those that lag have to say for themselves.
async fn ask_laggards(
    client: &mut FleetServiceClient<Connection>,
    enforcers: &[Enforcer],
    generation: u64,
) -> Result<Vec<(String, NackReport)>, Error> {
    let lags = |enforcer: &&Enforcer| {
        enforcer
            .instances
            .iter()
            .any(|instance| is_behind(instance, generation))
    };
    let mut nacks = Vec::new();
    for enforcer in enforcers.iter().filter(lags).take(ASKED_MAX) {
        let shown = client
            .show(ShowRequest {
                name: enforcer.name.clone(),
            })
            .await?
            .into_inner();
        let reports = shown.enforcer.unwrap_or_default().nacks;
        let report = reports.into_iter().find(|report| report.generation == generation);
        nacks.extend(report.map(|report| (enforcer.name.clone(), report)));
    }
    Ok(nacks)
}

impl Rollout {
    /// Sorts the register by what each enforcer does with a generation.
    pub(super) fn of(enforcers: &[Enforcer], nacks: &[(String, NackReport)], generation: u64) -> Self {
        let mut rollout = Self::default();
        for enforcer in enforcers {
            let name = enforcer.name.clone();
            let mut connected = enforcer
                .instances
                .iter()
                .filter(|instance| instance.connected)
                .peekable();
            if connected.peek().is_none() {
                rollout.away.push(name);
            } else if connected.all(|instance| instance.generation >= generation) {
                rollout.enforced.push(name);
            } else if let Some((_, nack)) = nacks.iter().find(|(refuser, _)| *refuser == name) {
                rollout.refused.push(Refused {
                    enforcer: name,
                    stage: stage_word(nack.stage()),
                    reason: nack.reason.clone(),
                });
            } else {
                rollout.behind.push(name);
            }
        }
        rollout
    }

    /// Whether every connected enforcer runs it.
    pub(super) const fn is_complete(&self) -> bool {
        self.behind.is_empty() && self.refused.is_empty()
    }

    /// For people.
    pub(super) fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let mut line = |style, what: &str| {
            text.push_str(&paint.apply(style, what));
            text.push('\n');
        };
        if self.is_complete() && !self.enforced.is_empty() {
            line(Style::Good, "every connected enforcer runs it");
        }
        if self.enforced.is_empty() && self.is_complete() {
            line(Style::Dim, "no enforcer is connected; each gets it when it comes");
        } else if !self.away.is_empty() {
            let away = format!(
                "not connected, and will get it when they come: {}",
                visible(&self.away.join(", "))
            );
            line(Style::Dim, &away);
        }
        for refused in &self.refused {
            let why = format!(
                "{} refused it ({}): {}; it goes on with the policy before",
                refused.enforcer, refused.stage, refused.reason
            );
            line(Style::Bad, &visible(&why));
        }
        if !self.behind.is_empty() {
            let behind = format!(
                "don't run it after {} s: {}",
                WAIT_MAX.as_secs(),
                self.behind.join(", ")
            );
            line(Style::Bad, &visible(&behind));
        }
        text
    }
}

#[cfg(test)]
mod tests;
