//! Agents that ask without pause, and remember every answer they were given.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use checkrein_proto::decision::v1::gate_service_client::GateServiceClient;
use checkrein_proto::decision::v1::{
    AuthorizeRequest, AuthorizeResponse, CompleteRequest, OutcomeResult, Tier, Verdict,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use super::{Dice, NAMED};

/// Some that ask one process.
#[derive(Debug)]
pub(super) struct Agents {
    asking: JoinSet<Result<()>>,
    death_expected: Arc<AtomicBool>,
}

/// Every answer that came, and every outcome that was taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Answered {
    answers: Arc<Mutex<Vec<Answer>>>,
    outcomes: Arc<Mutex<HashSet<String>>>,
    count: watch::Sender<usize>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) verdict: Verdict,
    /// A denial, a hold, or a permit of a tool with effects, whether they can be undone or not.
    pub(super) class_a: bool,
    pub(super) permit_full: bool,
}

impl Agents {
    /// One for each grant, all over one connection.
    pub(super) async fn start(
        socket: &Path,
        grants: &[String],
        answered: &Answered,
        dice: &mut Dice,
    ) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display()))?;
        let channel = endpoint.connect().await.context("connecting to the gate")?;
        let death_expected = Arc::new(AtomicBool::new(false));
        let mut asking = JoinSet::new();
        for grant in grants {
            let agent = Agent {
                gate: GateServiceClient::new(channel.clone()),
                grant: grant.clone(),
                dice: Dice(dice.next()),
                answered: answered.clone(),
            };
            asking.spawn(agent.ask(Arc::clone(&death_expected)));
        }
        Ok(Self {
            asking,
            death_expected,
        })
    }

    /// From now on a call may fail.
    pub(super) fn expect_death(&self) {
        self.death_expected.store(true, Ordering::SeqCst);
    }

    /// Waits until each has seen its call fail.
    pub(super) async fn ended(mut self) -> Result<()> {
        while let Some(ended) = self.asking.join_next().await {
            ended??;
        }
        Ok(())
    }
}

struct Agent {
    gate: GateServiceClient<Channel>,
    grant: String,
    dice: Dice,
    answered: Answered,
}

impl Agent {
    async fn ask(mut self, death_expected: Arc<AtomicBool>) -> Result<()> {
        loop {
            if let Err(status) = self.ask_once().await {
                let expected = death_expected.load(Ordering::SeqCst);
                return if expected { Ok(()) } else { Err(status.into()) };
            }
        }
    }

    async fn ask_once(&mut self) -> Result<(), tonic::Status> {
        let request = self.call();
        let has_effect = request.tool != "bank/get_balance";
        let answer = self.gate.authorize(request).await?.into_inner();
        self.answered.note(&answer, has_effect);
        if answer.verdict() == Verdict::Permit {
            let done = CompleteRequest {
                decision_id: answer.decision_id.clone(),
                result: OutcomeResult::Done.into(),
                detail: String::new(),
                ..CompleteRequest::default()
            };
            self.gate.complete(done).await?;
            self.answered.note_outcome(answer.decision_id);
        }
        Ok(())
    }

    /// Each way a verdict can come about, the cheap ones more often.
    fn call(&mut self) -> AuthorizeRequest {
        let pay = |recipient: &str, amount: u32| {
            format!("{{\"recipient\":\"{recipient}\",\"amount\":{amount},\"memo\":\"a surprise\"}}")
        };
        let (tool, arguments) = match self.dice.next() % 8 {
            0 | 1 => ("get_balance", "{}".to_owned()),
            2 | 3 => ("set_note", "{\"transaction\":7,\"text\":\"lunch\"}".to_owned()),
            4 | 5 => ("send_money", pay(NAMED, 9_999)),
            6 => ("send_money", pay(NAMED, 10)),
            _ => ("close_account", "{\"account\":\"old\"}".to_owned()),
        };
        AuthorizeRequest {
            grant: self.grant.clone(),
            tool: format!("bank/{tool}"),
            arguments: arguments.into(),
            ..AuthorizeRequest::default()
        }
    }
}

impl Answered {
    fn note(&self, answer: &AuthorizeResponse, has_effect: bool) {
        let verdict = answer.verdict();
        let noted = Answer {
            id: answer.decision_id.clone(),
            verdict,
            class_a: verdict != Verdict::Permit || has_effect,
            permit_full: verdict == Verdict::Permit && answer.tier() == Tier::Full,
        };
        let mut answers = self.lock();
        answers.push(noted);
        self.count.send_replace(answers.len());
    }

    fn note_outcome(&self, decision: String) {
        // An insert leaves no half state behind.
        self.outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(decision);
    }

    /// The decisions whose outcome was taken.
    pub(super) fn outcomes(&self) -> HashSet<String> {
        self.outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Resolves when there are more than so many.
    pub(super) async fn more_than(&self, count: usize) {
        // The sender lives in `self`.
        drop(self.count.subscribe().wait_for(|now| *now > count).await);
    }

    /// Resolves when a hold and a full-tier permit are among them.
    pub(super) async fn one_of_each(&self) {
        let mut changes = self.count.subscribe();
        while !self.has_one_of_each() {
            // The sender lives in `self`.
            drop(changes.changed().await);
        }
    }

    fn has_one_of_each(&self) -> bool {
        let answers = self.lock();
        answers.iter().any(|answer| answer.verdict == Verdict::Hold)
            && answers.iter().any(|answer| answer.permit_full)
    }

    pub(super) fn all(&self) -> Vec<Answer> {
        self.lock().clone()
    }

    pub(super) fn ids(&self) -> HashSet<String> {
        self.lock().iter().map(|answer| answer.id.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Answer>> {
        // A push leaves no half state behind.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
