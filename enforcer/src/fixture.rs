//! An enforcer without its sockets, for tests: real bundle, journal and gate, a clock that is moved by hand, and a control
//! plane that says what the test wants.

mod ca;
pub(crate) mod hostile;
mod scripted;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use checkrein_proto::fleet::v1::SignedKeySet;
use checkrein_proto::policy::v1::SignedManifest;
use checkrein_shared::action::Sha256;
use checkrein_shared::decision::Record;
use checkrein_shared::grant::{Grant, Limits, Scope};
use checkrein_shared::hold::State;
use checkrein_shared::id::{GrantId, HoldId, InstanceId, TaskId};
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::key::{KeySet, SigningKey};
use checkrein_shared::policy::{Manifest, Pack, PackSource, Roster, compose};
use checkrein_shared::{Clock, Generation, ManualClock};
use tempfile::TempDir;

pub(crate) use ca::{Ca, Svid};
pub(crate) use scripted::{Scripted, notice};

use crate::control_plane::Authority;
use crate::freshness::Freshness;
use crate::gate::{Caller, Core, Gate, Request};
use crate::hold::{Holds, View};
use crate::journal::Journal;
use crate::policy::{self, HighWater};
use crate::snapshot::{Policy, Snapshot, Snapshots};

pub(crate) const AGENT: &str = "spiffe://acme.example/agent/billing";
pub(crate) const NOW_MS: u64 = 1_750_000_000_000;
/// Whoever is to wait for people does so within this.
const WAITS_MAX: Duration = Duration::from_secs(30);

const CATALOG: &str = r#"{"tools":[
  {"name":"ask","inputSchema":{"type":"object","properties":{"tokens":{"type":"integer"}}}},
  {"name":"look","inputSchema":{"type":"object","properties":{"account":{"type":"string"}}}},
  {"name":"mail","inputSchema":{"type":"object","properties":{"query":{"type":"string"}}}},
  {"name":"note","inputSchema":{"type":"object","properties":{"text":{"type":"string"},"pin":{"type":"string"}}}},
  {"name":"pay","inputSchema":{"type":"object","properties":{"to":{"type":"string"},"amount":{"type":"integer"}},"required":["to","amount"]}}
]}"#;
const CATALOG_NOTES: &str = r#"
[ask]
effects = ["read"]
reversibility = "read_only"
cost = { tokens = "tokens" }
[look]
effects = ["read"]
reversibility = "read_only"
[mail]
effects = ["read"]
reversibility = "read_only"
yields = ["untrusted_content"]
[note]
effects = ["write"]
reversibility = "reversible"
secret = ["pin"]
[pay]
effects = ["send", "spend"]
reversibility = "irreversible"
resource = { type = "Account", id = "to" }
unstoppable = "the bank takes a payment back within the hour"
"#;
/// How a server's changes are listened to.
const LISTEN: &str = r#"[{"name":"subscriptions/listen","inputSchema":{"type":"object","properties":{"notifications":{"type":"object","properties":{"toolsListChanged":{"type":"boolean"},"promptsListChanged":{"type":"boolean"},"resourceSubscriptions":{"type":"array","items":{"type":"string"}}}}},"required":["notifications"]}},"#;
const LISTEN_NOTES: &str =
    "[\"subscriptions/listen\"]\neffects = [\"read\"]\nreversibility = \"read_only\"\n";
const RULES: &str = r#"
@id("all") permit (principal, action, resource);
@id("capped") @reason("more than 1000 is never paid") forbid (principal, action == Action::"bank/pay", resource)
when { context.input.amount > 1000 };
@id("big") @hold("treasury") @quorum("1") @decide_within("30m") @reason("more than 100 needs a person")
forbid (principal, action == Action::"bank/pay", resource) when { context.input.amount > 100 };
"#;
/// Rules under which nothing is held any more, and everything is forbidden.
pub(crate) const FROZEN: &str = r#"@id("all") permit (principal, action, resource);
@id("frozen") @reason("payments are frozen") forbid (principal, action in Action::"spend", resource);"#;
/// Rules for a team that no pack has anybody in.
pub(crate) const TEAM_ONLY: &str = r#"@id("team") permit (principal in Team::"billing", action, resource);"#;

/// The keys of an installation.
pub(crate) struct Keys {
    pub(crate) root: SigningKey,
    pub(crate) bundle: SigningKey,
    pub(crate) grant: SigningKey,
}

/// A bundle as a control plane offers it.
pub(crate) struct Offer {
    pub(crate) signed: SignedManifest,
    pub(crate) segments: HashMap<Sha256, Bytes>,
}

/// An enforcer without its sockets.
pub(crate) struct Bench {
    place: TempDir,
    instance: InstanceId,
    pub(crate) clock: ManualClock,
    pub(crate) keys: Keys,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) holds: Arc<Holds>,
    pub(crate) authority: Arc<Scripted>,
    pub(crate) gate: Gate,
    pub(crate) task: TaskId,
}

impl Keys {
    pub(crate) fn fresh() -> Self {
        let key = || SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        Self {
            root: key(),
            bundle: key(),
            grant: key(),
        }
    }

    pub(crate) fn set(&self, version: u64) -> KeySet {
        KeySet {
            version,
            bundle: vec![self.bundle.verifying()],
            grant: vec![self.grant.verifying()],
            ca: Sha256::default(),
        }
    }

    pub(crate) fn signed_set(&self, version: u64) -> SignedKeySet {
        self.set(version).sign(&self.root)
    }

    /// The usual rules under this generation.
    pub(crate) fn offer(&self, generation: u64) -> Offer {
        Offer::of(RULES, 1, generation, &self.bundle)
    }
}

impl Offer {
    /// The usual rules, with a payment that is described in other words.
    pub(crate) fn redefining_pay(generation: u64, by: &SigningKey) -> Self {
        let catalog = CATALOG.replace(r#""name":"pay","#, r#""name":"pay","description":"pays twice","#);
        Self::with_catalog(&catalog, RULES, 1, generation, by)
    }

    /// The usual rules, where changes may be listened to.
    pub(crate) fn listening(generation: u64, by: &SigningKey) -> Self {
        let catalog = CATALOG.replacen('[', LISTEN, 1);
        let notes = format!("{CATALOG_NOTES}{LISTEN_NOTES}");
        Self::compose((&catalog, &notes), (RULES, ""), 1, generation, by)
    }

    /// These rules under this number, signed by this key.
    pub(crate) fn of(rules: &str, epoch: u64, generation: u64, by: &SigningKey) -> Self {
        Self::with_catalog(CATALOG, rules, epoch, generation, by)
    }

    /// These rules, and those that label.
    pub(crate) fn labelling(rules: &str, labels: &str, generation: u64, by: &SigningKey) -> Self {
        Self::compose((CATALOG, CATALOG_NOTES), (rules, labels), 1, generation, by)
    }

    fn with_catalog(catalog: &str, rules: &str, epoch: u64, generation: u64, by: &SigningKey) -> Self {
        Self::compose((catalog, CATALOG_NOTES), (rules, ""), epoch, generation, by)
    }

    fn compose(
        (catalog, notes): (&str, &str),
        (rules, labels): (&str, &str),
        epoch: u64,
        generation: u64,
        by: &SigningKey,
    ) -> Self {
        let source = PackSource {
            name: "payments".into(),
            files: BTreeMap::from([
                (
                    "checkrein.toml".into(),
                    "namespace = \"org\"\n[groups]\ntreasury = [\"spiffe://acme.example/approver/bob\"]\n"
                        .into(),
                ),
                ("catalog/bank.json".into(), catalog.into()),
                ("catalog/bank.toml".into(), notes.into()),
                ("rules.cedar".into(), rules.into()),
                ("labels.cedar".into(), labels.into()),
            ]),
        };
        let rendered = |findings: Vec<checkrein_shared::policy::Finding>| -> String {
            findings.into_iter().map(|finding| finding.rendered).collect()
        };
        let pack = Pack::parse(&source).unwrap_or_else(|findings| panic!("{}", rendered(findings)));
        let composition = compose(&[&pack]).unwrap();
        let manifest = Manifest::of(&composition, epoch, Generation(generation));
        Self {
            signed: manifest.sign(by),
            segments: composition
                .segments
                .into_iter()
                .map(|segment| (segment.sha256, segment.bytes))
                .collect(),
        }
    }
}

/// What the register says of the agent: it is in these teams.
pub(crate) fn roster(revision: u64, teams: &[&str]) -> Roster {
    let teams = teams.iter().map(|team| team.parse().unwrap()).collect();
    Roster {
        revision,
        agents: BTreeMap::from([(AGENT.parse().unwrap(), teams)]),
    }
}

/// These agents, in no team.
pub(crate) fn roster_of(revision: u64, agents: &[&str]) -> Roster {
    let agents = agents
        .iter()
        .map(|agent| (agent.parse().unwrap(), BTreeSet::default()));
    Roster {
        revision,
        agents: agents.collect(),
    }
}

impl Bench {
    /// With the usual policy as generation 1, confirmed just now.
    pub(crate) fn new() -> Self {
        Self::with_journal(64 << 20)
    }

    pub(crate) fn with_journal(max_bytes: u64) -> Self {
        let instance = InstanceId::new(&ManualClock::at(NOW_MS));
        Self::open(tempfile::tempdir().unwrap(), instance, 1, max_bytes)
    }

    /// The next run in the same place.
    pub(crate) fn restarted(self) -> Self {
        let (instance, next) = (self.instance, self.journal.incarnation() + 1);
        let Self { place, .. } = self;
        Self::open(place, instance, next, 64 << 20)
    }

    fn open(place: TempDir, instance: InstanceId, incarnation: u64, max_bytes: u64) -> Self {
        let clock = ManualClock::at(NOW_MS);
        clock.advance_ms(1);
        let keys = Keys::fresh();
        let snapshots = Arc::new(Snapshots::new(Snapshot {
            keys: Some(Arc::new(keys.set(1))),
            agents: Arc::new(BTreeSet::from([AGENT.parse().unwrap()])),
            roster: Arc::new(roster(1, &[])),
            ..Snapshot::default()
        }));
        let freshness = Arc::new(Freshness::new(Arc::new(clock.clone()), None));
        let journal = Journal::open(&place.path().join("journal"), instance, incarnation, max_bytes);
        let journal = Arc::new(journal.unwrap());
        let (holds, authority) = (Arc::new(Holds::default()), Arc::new(Scripted::new()));
        let core = Core::new(
            instance,
            Arc::new(clock.clone()),
            Arc::clone(&snapshots),
            Arc::clone(&freshness),
            Arc::clone(&journal),
            Arc::clone(&authority) as Arc<dyn Authority>,
            Arc::clone(&holds),
        );
        let caller = Caller {
            agent: AGENT.parse().unwrap(),
            asserted: true,
        };
        let gate = Gate::new(Arc::new(core), Some(caller));
        let task = TaskId::new(&clock);
        let bench = Self {
            place,
            instance,
            clock,
            keys,
            snapshots,
            freshness,
            journal,
            holds,
            authority,
            gate,
            task,
        };
        bench.install(&bench.keys.offer(1));
        bench.confirm_fresh();
        bench
    }

    /// Every hold from now on is this one, and bob approves it if somebody does.
    pub(crate) fn hold(&self) -> HoldId {
        let id = HoldId::new(&self.clock);
        self.authority.holds_as(id, State::Open);
        self.authority.bob_approves();
        id
    }

    /// The control plane says this of a hold, once somebody waits for it.
    pub(crate) async fn answered(&self, id: HoldId, state: State) {
        let waits = async {
            while self.holds.open() != [id] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WAITS_MAX, waits).await.unwrap();
        self.holds.tell(id, View::new(state, 2, ""));
    }

    pub(crate) fn install(&self, offer: &Offer) {
        let policy = self.decode(offer);
        self.snapshots.install(|next| next.policy = Some(policy));
    }

    pub(crate) fn decode(&self, offer: &Offer) -> Policy {
        let keys = self.keys.set(1);
        let root = self.keys.root.verifying();
        let verified = policy::verify(&offer.signed, &keys, &root, HighWater::default()).unwrap();
        policy::decode(&verified, &offer.segments).unwrap()
    }

    /// The same parts, but for how old they are.
    pub(crate) fn core_with(&self, freshness: Arc<Freshness>) -> Core {
        Core::new(
            self.instance,
            Arc::new(self.clock.clone()),
            Arc::clone(&self.snapshots),
            freshness,
            Arc::clone(&self.journal),
            Arc::clone(&self.authority) as Arc<dyn Authority>,
            Arc::clone(&self.holds),
        )
    }

    pub(crate) fn confirm_fresh(&self) {
        let asked = self.freshness.ask();
        assert!(self.freshness.confirm(asked, 0));
    }

    pub(crate) fn grant(&self) -> String {
        self.grant_of(AGENT, self.task)
    }

    pub(crate) fn grant_of(&self, agent: &str, task: TaskId) -> String {
        self.grant_with(agent, task, Limits::default())
    }

    pub(crate) fn grant_with(&self, agent: &str, task: TaskId, limits: Limits) -> String {
        self.grant_held(agent, task, limits, None)
    }

    /// One that names the key of its holder.
    pub(crate) fn grant_held(
        &self,
        agent: &str,
        task: TaskId,
        limits: Limits,
        holder: Option<&SigningKey>,
    ) -> String {
        let grant = Grant {
            id: GrantId::new(&self.clock),
            task,
            epoch: 0,
            agent: agent.parse().unwrap(),
            user: "alice".into(),
            scope: Scope::parse(["bank/*".into()]).unwrap(),
            limits,
            data: None,
            named: Vec::new(),
            intent: "pay the rent".into(),
            environment: "production".into(),
            issued_ms: self.clock.wall_ms(),
            expires_ms: self.clock.wall_ms() + 86_400_000,
            holder: holder.map(SigningKey::verifying),
            link: None,
        };
        grant.sign(&self.keys.grant).unwrap()
    }

    pub(crate) fn look(&self) -> Request {
        Request::new(self.grant(), "bank/look", b"{}")
    }

    pub(crate) fn pay(&self, amount: u32) -> Request {
        let arguments = format!("{{\"to\":\"GB29\",\"amount\":{amount}}}");
        Request::new(self.grant(), "bank/pay", arguments.as_bytes())
    }

    pub(crate) fn gate_of(&self, agent: &str) -> Gate {
        let agent: SpiffeId = agent.parse().unwrap();
        self.gate.for_caller(Caller {
            agent,
            asserted: false,
        })
    }

    /// Every record of this run, as it would be uploaded.
    pub(crate) fn records(&self) -> Vec<Record> {
        let incarnation = self.journal.incarnation();
        let end = self.journal.end_of(incarnation);
        let mut cursor = self.journal.cursor(incarnation, 0).unwrap();
        let mut records = Vec::new();
        while let Some(batch) = cursor.next_batch(end, 512, 1 << 20).unwrap() {
            records.extend(batch.records.iter().map(|record| Record::decode(record).unwrap()));
        }
        assert_eq!(cursor.chain().next_sequence, end);
        records
    }
}
