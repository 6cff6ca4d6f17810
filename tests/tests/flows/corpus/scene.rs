//! A fleet for the corpus: a control plane, an enforcer for each agent that the cases name, and one that no pack is for.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use checkrein_enforcer::{Answer, Found, Request};
use checkrein_proto::decision::v1::{Decision, SearchRequest};
use checkrein_proto::task::v1::StartRequest;
use checkrein_shared::decision::OutcomeResult;
use checkrein_shared::{Clock, SystemClock};
use checkrein_tests::{Person, WAIT_MAX, World, fresh_key, read_pack};
use tokio::time::timeout;

use super::aged::Aged;
use super::case::{BILLING, Case, Presents};
use super::stand::{Call, Place, Stand};
use super::told::Told;
use super::{Carries, Surface};

const RULES: &[u8] = include_bytes!("../../../../shared/src/policy/fixtures/corpus/rules.cedar");
const STRANGER: &str = "spiffe://acme.example/agent/stranger";
const PAGE: u32 = 1_000;

pub(super) struct Scene {
    operator: Person,
    approver: Person,
    billing: Stand,
    stranger: Stand,
    /// Of the same agent as the first, for which no pack is.
    empty: Stand,
    /// Of the same agent, under policy that was not confirmed for a while, and is not the newest.
    alone: Stand,
    aged: Aged,
    /// What reached the servers.
    log: PathBuf,
    _world: World,
}

/// A case, asked at a surface.
pub(super) struct Asked<'a> {
    pub(super) case: &'a str,
    /// Once more, after people answered.
    pub(super) step: usize,
    pub(super) task: String,
    /// What was decided in it before, to make it what the case says.
    before: Vec<String>,
    surface: Surface,
    carries: Carries,
    told: Told,
    expected: &'a Case,
}

impl Scene {
    pub(super) async fn set() -> Self {
        let world = World::start().await.unwrap();
        let operator = world.operator().await.unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src/policy/fixtures");
        let mut pack = read_pack("payments", &fixtures.join("payments")).unwrap();
        let register = async |name: &str, labels: &[&str], agent: &str| {
            world.register(name, labels, &[agent]).await.unwrap()
        };
        let billing = register("billing", &["team=payments"], BILLING).await;
        let stranger = register("stranger", &["team=payments"], STRANGER).await;
        let empty = register("empty", &[], BILLING).await;
        let alone = register("alone", &["team=payments"], BILLING).await;
        let catalog = fixtures.join("payments/catalog/bank.json");
        let log = world.path().join("made");
        std::fs::write(&log, "").unwrap();
        let mut aged = Aged::before(&world).await;
        let here = Place {
            control_plane: world.address(0),
            clock: Arc::new(SystemClock),
        };
        let open = async |place: &Place, directory: PathBuf, agent: &str, generation: Option<u64>| {
            Stand::open((&world, place), (directory, agent), generation, (&catalog, &log)).await
        };
        // What it has asks nothing of the ledger, which it could not reach.
        let old = operator.push(&pack).await.unwrap();
        let alone = open(&aged.place(), alone, BILLING, Some(old)).await;
        aged.cut(&alone.enforcer).await;
        pack.files.insert("corpus.cedar".to_owned(), RULES.to_vec());
        let generation = operator.push(&pack).await.unwrap();
        Self {
            billing: open(&here, billing, BILLING, Some(generation)).await,
            stranger: open(&here, stranger, STRANGER, Some(generation)).await,
            empty: open(&here, empty, BILLING, None).await,
            alone,
            aged,
            approver: world.approver("bob").await.unwrap(),
            operator,
            log,
            _world: world,
        }
    }

    /// What a surface says of a case, and once more after people answered, if they are asked.
    pub(super) async fn ask<'a>(
        &self,
        (surface, carries): (Surface, Carries),
        case: &'a Case,
    ) -> Vec<Asked<'a>> {
        let stand = self.stand(case);
        let (task, grant, before) = self.task(stand, case).await;
        let call = Call {
            agent: case.agent.clone(),
            tool: case.tool.clone(),
            arguments: case.arguments.clone(),
            grant,
            id: fresh_key(),
        };
        let mut asked = Vec::new();
        for step in 0..2 {
            let told = surface.ask(stand, &call).await;
            let is_held = told.verdict == "hold";
            asked.push(Asked {
                case: &case.name,
                step,
                task: task.clone(),
                before: before.clone(),
                surface,
                carries,
                told,
                expected: case,
            });
            if !is_held {
                break;
            }
            let hold = self.operator.waiting(&task).await.unwrap();
            self.approver.vote(&hold, case.people_agree).await.unwrap();
        }
        asked
    }

    /// The enforcer that a case is asked at.
    fn stand(&self, case: &Case) -> &Stand {
        if let Some(age_s) = case.confirmed_s_ago {
            self.aged.by(age_s);
            return &self.alone;
        }
        match (case.has_pack, case.agent == BILLING) {
            (false, _) => &self.empty,
            (true, true) => &self.billing,
            (true, false) => &self.stranger,
        }
    }

    /// A task for one call, what the call is presented with, and what was decided in it before.
    async fn task(&self, stand: &Stand, case: &Case) -> (String, String, Vec<String>) {
        let mut request = StartRequest {
            user: "alice".to_owned(),
            agent: case.agent.clone(),
            tools: case.scope.clone(),
            named: case.named.clone(),
            environment: case.environment.clone(),
            expires_in_ms: 3_600_000,
            idempotency_key: fresh_key(),
            ..StartRequest::default()
        };
        match case.presents {
            Presents::Anothers => STRANGER.clone_into(&mut request.agent),
            Presents::Expired => request.expires_in_ms = 1,
            _ => {}
        }
        let started = self.operator.tasks().start(request).await.unwrap().into_inner();
        let (task, grant) = (started.task.unwrap(), started.grant);
        let mut before = Vec::new();
        for label in &case.labels {
            before.push(carries(stand, &grant, label).await);
        }
        let grant = match case.presents {
            Presents::Own | Presents::Anothers => grant,
            Presents::Nothing => String::new(),
            Presents::Forged => forged(&grant),
            Presents::Expired => {
                while SystemClock.wall_ms() <= task.expires_unix_ms {
                    tokio::task::yield_now().await;
                }
                grant
            }
            Presents::Ended => {
                self.operator.end(&task.task_id).await.unwrap();
                let told = async { while is_read(stand, &grant).await {} };
                timeout(WAIT_MAX, told).await.unwrap();
                grant
            }
        };
        (task.task_id, grant, before)
    }

    /// What was recorded of them, once all of it has come home, by id.
    pub(super) async fn records(&self, asked: &[Asked<'_>]) -> BTreeMap<String, Decision> {
        self.aged.heal();
        let reading = async {
            loop {
                let records = self.recorded().await;
                if asked
                    .iter()
                    .all(|one| !one.is_decided() || one.record(&records).is_some())
                {
                    return records;
                }
            }
        };
        timeout(WAIT_MAX, reading)
            .await
            .unwrap_or_else(|_| panic!("something was not recorded"))
    }

    async fn recorded(&self) -> BTreeMap<String, Decision> {
        let mut request = SearchRequest {
            page_size: PAGE,
            ascending: true,
            ..SearchRequest::default()
        };
        let mut records = BTreeMap::new();
        loop {
            let page = self
                .operator
                .decisions()
                .search(request.clone())
                .await
                .unwrap()
                .into_inner();
            let is_last = page.decisions.len() < PAGE as usize;
            let decisions = page.decisions.into_iter().filter_map(|stored| stored.decision);
            records.extend(decisions.map(|decision| (decision.decision_id.clone(), decision)));
            if is_last {
                return records;
            }
            request.page_token = page.next_page_token;
        }
    }

    /// The servers got as many calls as were permitted before them, and no other.
    pub(super) fn only_permitted_calls_were_made(&self, asked: &[Asked<'_>]) {
        let before = [
            Surface::McpStdio,
            Surface::McpStdioStateless,
            Surface::McpHttp,
            Surface::McpStateless,
        ];
        let mut permitted: Vec<&str> = asked
            .iter()
            .filter(|one| before.contains(&one.surface) && one.told.verdict == "permit")
            .map(|one| one.expected.tool.trim_start_matches("bank/"))
            .collect();
        permitted.sort_unstable();
        let made = std::fs::read_to_string(&self.log).unwrap();
        let mut made: Vec<&str> = made.lines().collect();
        made.sort_unstable();
        assert_eq!(made, permitted);
    }
}

impl Asked<'_> {
    fn is_decided(&self) -> bool {
        self.carries == Carries::It
    }

    /// Its record: the one that the surface names, or the one of its task with this verdict.
    pub(super) fn record<'a>(&self, records: &'a BTreeMap<String, Decision>) -> Option<&'a Decision> {
        if !self.is_decided() {
            return None;
        }
        if let Some(id) = &self.told.decision {
            return records.get(id);
        }
        let mut of_task = records.values().filter(|record| {
            record.task_id == self.task
                && record.tool == self.expected.tool
                && super::told::verdict(record) == self.told.verdict
                && !self.before.contains(&record.decision_id)
        });
        of_task.next_back()
    }

    /// What is wrong with what was said.
    pub(super) fn flaws(&self, record: Option<&Decision>) -> Option<String> {
        let expect = &self.expected.expect;
        let flaw = |words: String| Some(format!("{self}: {words}"));
        if !self.is_decided() {
            let is_refused = self.told.verdict == "deny" && self.told.decision.is_none();
            return (!is_refused).then(|| format!("{self}: expected a refusal, got {:?}", self.told));
        }
        let Some(record) = record else {
            return flaw(format!("not recorded: {:?}", self.told));
        };
        if let Some(differs) = self.told.differs(record) {
            return flaw(differs);
        }
        let expected = match (self.step, self.expected.people_agree) {
            (0, _) => (&*expect.verdict, &*expect.cause),
            (_, true) => ("permit", "approved"),
            (_, false) => ("deny", "denied_by_person"),
        };
        if (&*self.told.verdict, &*record.cause) != expected {
            return flaw(format!("expected {expected:?}, recorded {record:?}"));
        }
        let must_say = self.told.verdict == "hold";
        let groups = self
            .told
            .groups
            .clone()
            .or_else(|| (!must_say).then(|| expect.groups.clone()));
        let is_as_expected = record.rules == expect.rules && groups.as_ref() == Some(&expect.groups);
        if self.step == 0 && !is_as_expected {
            return flaw(format!(
                "expected {expect:?}, said {:?}, recorded {record:?}",
                self.told
            ));
        }
        None
    }
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = if self.step == 0 { "" } else { ", answered" };
        write!(f, "{:?}: {}{after}", self.surface, self.case)
    }
}

/// A read gives what is labelled so; its decision.
async fn carries(stand: &Stand, grant: &str, label: &str) -> String {
    let read = Request::new(grant, "bank/get_balance", b"{}");
    let Answer::Permit(permit) = stand.enforcer.gate().authorize(read).await.unwrap() else {
        panic!("the read before is permitted")
    };
    let found = Found {
        labels: [label.parse().unwrap()].into(),
        ..Found::default()
    };
    let decision = permit.decided().id.to_string();
    permit
        .complete_with(OutcomeResult::Done, "", &found)
        .await
        .unwrap();
    decision
}

/// Whether a read is still permitted under this grant.
async fn is_read(stand: &Stand, grant: &str) -> bool {
    let read = Request::new(grant, "bank/get_balance", b"{}");
    match stand.enforcer.gate().authorize(read).await.unwrap() {
        Answer::Permit(permit) => {
            permit.complete(OutcomeResult::Done, "").await.unwrap();
            true
        }
        _ => false,
    }
}

/// The same with another signature.
fn forged(grant: &str) -> String {
    let (signed, signature) = grant.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{other}{}", &signature[1..])
}
