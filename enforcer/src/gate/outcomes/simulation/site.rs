//! What outlives a schedule: keys, the rules, and a journal for each enforcer, in memory where there is such a place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use checkrein_shared::action::MaskingKey;
use checkrein_shared::grant::{Grant, Limits, Scope};
use checkrein_shared::id::{GrantId, InstanceId, TaskId};
use checkrein_shared::ledger::Fingerprint;
use checkrein_shared::policy::{Manifest, Pack, PackSource, compose};
use checkrein_shared::{Clock, Generation, ManualClock};
use tempfile::TempDir;

use super::schedule::{Deed, ENFORCERS};
use crate::fixture::{AGENT, Keys, NOW_MS, Offer, roster};
use crate::gate::Request;
use crate::journal::Journal;
use crate::policy::{self, HighWater};
use crate::snapshot::{Policy, Snapshot};

/// The account that stands in the page.
pub(super) const ACCOUNT: &str = "GB29NWBK60161331926819";
const JOURNAL_BYTES_MAX: u64 = 1 << 30;

const SETTINGS: &str = "namespace = \"org\"\n[groups]\ntreasury = [\"spiffe://acme.example/approver/bob\"]\n";
const CATALOGS: [(&str, &str, &str); 4] = [
    (
        "crm",
        "customer",
        "customer = { effects = [\"read\"], reversibility = \"read_only\", yields = [\"pii\"] }\n",
    ),
    (
        "web",
        "page publish",
        "page = { effects = [\"read\"], reversibility = \"read_only\", trust = \"untrusted\" }\n\
         publish = { effects = [\"publish\"], reversibility = \"irreversible\" }\n",
    ),
    (
        "bank",
        "pay",
        "pay = { effects = [\"spend\"], reversibility = \"irreversible\" }\n",
    ),
    (
        "mail",
        "send draft reply",
        "send = { effects = [\"send\"], reversibility = \"irreversible\" }\n\
         draft = { effects = [\"write\"], reversibility = \"reversible\" }\n\
         reply = { effects = [\"write\"], reversibility = \"reversible\" }\n",
    ),
];
const RULES: &str = r#"
@id("all") permit (principal, action, resource);
@id("personal") @reason("this task has read personal data")
forbid (principal, action in [Action::"mail/send", Action::"mail/draft", Action::"bank/pay", Action::"web/publish"], resource)
when { context.task.labels.contains("pii") };
@id("steered") @reason("this task has read what strangers wrote")
forbid (principal, action in [Action::"mail/send", Action::"mail/draft"], resource)
when { context.task.labels.contains("untrusted_content") };
@id("stranger") @reason("a stranger wrote this account")
forbid (principal, action in [Action::"bank/pay", Action::"mail/reply"], resource)
when { context.arguments_from.untrusted.contains("to") };
@id("twice") @reason("two mails are enough")
forbid (principal, action == Action::"mail/send", resource)
when { context.task.used has "mail/send" && context.task.used["mail/send"].times >= 2 };
@id("once") @reason("one payment is enough")
forbid (principal, action == Action::"bank/pay", resource)
when { context.task.used has "bank/pay" && context.task.used["bank/pay"].times >= 1 };
@id("asked") @hold("treasury") @quorum("1") @decide_within("30m") @reason("a person looks at it")
forbid (principal, action in [Action::"bank/pay", Action::"web/publish"], resource);
"#;

/// The same for every schedule.
pub(super) struct Site {
    keys: Keys,
    policy: Policy,
    instance: InstanceId,
    journals: Vec<Arc<Journal>>,
    _place: TempDir,
}

impl Site {
    pub(super) fn open() -> Self {
        let keys = Keys::fresh();
        let offer = offer(&keys);
        let root = keys.root.verifying();
        let verified = policy::verify(&offer.signed, &keys.set(1), &root, HighWater::default()).unwrap();
        let policy = policy::decode(&verified, &offer.segments).unwrap();
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        };
        let place = place.unwrap();
        let instance = InstanceId::new(&ManualClock::at(NOW_MS));
        let journals = (0..ENFORCERS).map(|at| {
            let directory = place.path().join(at.to_string());
            Arc::new(Journal::open(&directory, instance, 1, JOURNAL_BYTES_MAX).unwrap())
        });
        Self {
            journals: journals.collect(),
            keys,
            policy,
            instance,
            _place: place,
        }
    }

    pub(super) const fn instance(&self) -> InstanceId {
        self.instance
    }

    pub(super) fn journal(&self, enforcer: usize) -> Arc<Journal> {
        Arc::clone(&self.journals[enforcer])
    }

    /// What an enforcer begins with.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            policy: Some(self.policy.clone()),
            keys: Some(Arc::new(self.keys.set(1))),
            agents: Arc::new(BTreeSet::from([AGENT.parse().unwrap()])),
            roster: Arc::new(roster(1, &[])),
            masking: Some(masking()),
            ..Snapshot::default()
        }
    }

    /// A grant of its own for each call, so that whoever asks can be told apart.
    pub(super) fn grant(
        &self,
        (task, epoch): (TaskId, u64),
        calls: Option<u64>,
        clock: &ManualClock,
    ) -> String {
        let grant = Grant {
            id: GrantId::new(clock),
            task,
            epoch,
            agent: AGENT.parse().unwrap(),
            user: "alice".into(),
            scope: Scope::parse(["crm/*", "web/*", "bank/*", "mail/*"].map(str::to_owned)).unwrap(),
            limits: Limits {
                calls,
                ..Limits::default()
            },
            data: None,
            named: Vec::new(),
            intent: "answer the mail".into(),
            environment: "production".into(),
            issued_ms: clock.wall_ms(),
            expires_ms: clock.wall_ms() + 86_400_000,
            holder: None,
            link: None,
        };
        grant.sign(&self.keys.grant).unwrap()
    }
}

/// The account as the ledger of this task knows it.
pub(super) fn account(task: TaskId) -> Fingerprint {
    Fingerprint::of(&masking(), task, &ACCOUNT.to_lowercase())
}

pub(super) fn request(deed: Deed, grant: String) -> Request {
    let account = format!("{{\"to\":\"{ACCOUNT}\"}}");
    let (tool, arguments) = match deed {
        Deed::Customer | Deed::RunCustomer => ("crm/customer", "{}"),
        Deed::Page | Deed::RunPage => ("web/page", "{}"),
        Deed::Draft => ("mail/draft", "{}"),
        Deed::Send => ("mail/send", "{}"),
        Deed::Reply => ("mail/reply", &*account),
        Deed::Pay => ("bank/pay", &*account),
        Deed::Publish => ("web/publish", "{}"),
    };
    Request::new(grant, tool, arguments.as_bytes())
}

fn masking() -> MaskingKey {
    MaskingKey::new(b"only in memory")
}

fn offer(keys: &Keys) -> Offer {
    let mut files = BTreeMap::from([
        ("checkrein.toml".to_owned(), SETTINGS.into()),
        ("rules.cedar".to_owned(), RULES.into()),
    ]);
    for (catalog, tools, notes) in CATALOGS {
        let tool = |name: &str| {
            format!(
                r#"{{"name":"{name}","inputSchema":{{"type":"object","properties":{{"to":{{"type":"string"}}}}}}}}"#
            )
        };
        let tools: Vec<_> = tools.split(' ').map(tool).collect();
        files.insert(
            format!("catalog/{catalog}.json"),
            format!("[{}]", tools.join(",")).into_bytes(),
        );
        files.insert(format!("catalog/{catalog}.toml"), notes.into());
    }
    let source = PackSource {
        name: "desk".into(),
        files,
    };
    let pack = Pack::parse(&source).unwrap_or_else(|findings| panic!("{findings:?}"));
    let composition = compose(&[&pack]).unwrap();
    let manifest = Manifest::of(&composition, 1, Generation(1));
    let segments = composition.segments.into_iter();
    Offer {
        signed: manifest.sign(&keys.bundle),
        segments: segments.map(|segment| (segment.sha256, segment.bytes)).collect(),
    }
}
