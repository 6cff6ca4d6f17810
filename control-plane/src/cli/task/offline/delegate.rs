//! `checkrein task delegate`: a grant, all of it or less, for another agent.

use std::path::PathBuf;
use std::time::Duration;

use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_proto::task::v1::{DelegateRequest, Named};
use checkrein_shared::grant::{
    CALLS_MAX, DEPTH_MAX, DataScope, Grant, Narrowing, NotNarrowed, OwnGrant, Scope, Widened,
};
use checkrein_shared::identity::{Role, SpiffeId};
use checkrein_shared::key::VerifyingKey;
use checkrein_shared::ledger::{Amounts, Meter};
use checkrein_shared::wire::amounts_to_wire;
use serde_json::{Value, json};

use super::hop::{self, HopView, card};
use super::presented::Place;
use super::{GrantError, key};
use crate::cli::output::{relative, rfc3339};
use crate::cli::{Error, Invocation, values};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein task key search.key                         # on the other agent's machine; prints its public half
  checkrein task delegate --grant billing.grant --key billing.key \\
    --agent spiffe://acme.example/agent/search --tool crm/find_customer --calls 5 --expires-in 5m \\
    --holder PUBLIC_KEY > search.grant

Standard output is what the other agent presents: this grant, and its own below it. What is not said stays as the grant has
it. A tool keeps what the grant says of its arguments; a scope file, as `task start` takes it, says less.

With --key it is signed here, and good at once wherever the grant is good. Without, the control plane signs it for the agent
that the client config is of, if that is whose grant it is, and `task show` lists it. It ends with the task, and with the grant
it is from; its calls are counted against both. Without --depth the other agent can't pass it on.";

/// `checkrein task delegate`
#[derive(Debug, clap::Args)]
pub(in crate::cli::task) struct Args {
    /// A file that holds the grant; `-`: read it from standard input
    #[arg(long, value_name = "FILE")]
    grant: Place,
    /// The private key that the grant names, as `task key` wrote it; without it, the control plane is asked to sign
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Who may use it
    #[arg(long, value_name = "SPIFFE-ID", value_parser = agent)]
    agent: SpiffeId,
    /// The public key of that agent, as `task key` printed it on its machine
    #[arg(long, value_name = "PUBLIC-KEY", allow_hyphen_values = true, value_parser = key::public)]
    holder: Option<VerifyingKey>,
    #[command(flatten)]
    less: Less,
}

/// Less than there is.
#[derive(Debug, clap::Args)]
struct Less {
    /// Only this tool, with the arguments it has, `<catalog>/<tool>` or `<catalog>/*`; repeat for more
    #[arg(long = "tool", value_name = "TOOL", value_parser = values::tool)]
    tools: Vec<String>,
    /// Only these: a JSON file of tools and what their arguments must be
    #[arg(long, value_name = "FILE", value_parser = values::scope)]
    scope: Option<String>,
    /// Only this of the values that the user named; repeat for more
    #[arg(long, value_name = "VALUE")]
    named: Vec<String>,
    /// How long, at most as long as the grant
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    expires_in: Option<Duration>,
    /// How many calls it may make
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=CALLS_MAX))]
    calls: Option<u64>,
    /// One call and no more
    #[arg(long, conflicts_with = "calls")]
    single_use: bool,
    /// How much it may use up, `<meter>=<amount>`, such as money=50; repeat for more
    #[arg(long = "budget", value_name = "METER=AMOUNT", value_parser = values::budget)]
    budgets: Vec<(Meter, u64)>,
    /// At least so risky is what it does: low, medium, high, critical, or 0 to 100
    #[arg(long, value_name = "RISK", value_parser = values::risk)]
    risk: Option<u8>,
    /// How many times in a row it may be passed on
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u8).range(..=i64::from(DEPTH_MAX)))]
    depth: u8,
    /// Only this kind of data, such as pii; repeat for more
    #[arg(long, value_name = "LABEL", value_parser = values::label)]
    data: Vec<String>,
    /// No data: only tools that yield nothing
    #[arg(long, conflicts_with = "data")]
    no_data: bool,
}

/// Runs it.
pub(super) async fn run(args: Args, invocation: &Invocation) -> Result<(), Error> {
    let own = args.grant.read()?;
    let parent = own.chain().leaf();
    let narrowing = Narrowing {
        holder: args.holder,
        ..args.less.of(parent, args.agent)?
    };
    let presented = match &args.key {
        Some(file) => {
            let key = key::of_holder(file, parent)?;
            own.pass_on(narrowing, &key, invocation.clock())
                .map_err(|error| refused(error, parent, invocation.now_ms()))?
        }
        None => ask(own.presented(), narrowing, invocation).await?,
    };
    show(&presented, invocation)
}

/// Has it signed by the control plane.
async fn ask(grant: &str, narrowing: Narrowing, invocation: &Invocation) -> Result<String, Error> {
    let expires_in_ms = narrowing.expires_in.unwrap_or_default().as_millis();
    let request = DelegateRequest {
        grant: grant.to_owned(),
        agent: narrowing.agent.to_string(),
        tools: Vec::new(),
        scope: narrowing
            .scope
            .map(|scope| scope.to_json().to_string())
            .unwrap_or_default(),
        calls: narrowing.calls,
        budgets: amounts_to_wire(&narrowing.spend),
        risk: narrowing.risk.map(u32::from),
        depth: narrowing.depth.map(u32::from),
        named: narrowing.named.map(|values| Named { values }),
        expires_in_ms: u64::try_from(expires_in_ms).unwrap_or(u64::MAX),
        holder_key: narrowing
            .holder
            .as_ref()
            .map(VerifyingKey::to_base64)
            .unwrap_or_default(),
        idempotency_key: invocation.idempotency_key(),
        data: narrowing.data.as_ref().map(Into::into),
    };
    let mut client = TaskServiceClient::new(invocation.connect().await?);
    Ok(client.delegate(request).await?.into_inner().grant)
}

/// What the child presents, on standard output; what it was given, beside it.
fn show(presented: &str, invocation: &Invocation) -> Result<(), Error> {
    // What was signed is shown, and not what was asked for.
    let child = OwnGrant::read(presented).map_err(|error| GrantError::Refused(error.into()))?;
    let leaf = child.chain().leaf();
    if !invocation.json() {
        let card = card(leaf, invocation.now_ms(), invocation.paint_notes());
        invocation.note(&format!("passed on to {}", card.trim_end()));
    }
    let mut document = json!({"grant": presented});
    if let (Value::Object(members), Ok(Value::Object(view))) =
        (&mut document, serde_json::to_value(HopView::of(leaf)))
    {
        members.extend(view);
    }
    invocation.answer(&document, |_| format!("{presented}\n"))
}

impl Less {
    /// What of the parent's grant this agent is given.
    fn of(self, parent: &Grant, agent: SpiffeId) -> Result<Narrowing, GrantError> {
        let is_data_limited = self.no_data || !self.data.is_empty();
        Ok(Narrowing {
            scope: self.scope(parent)?,
            data: is_data_limited
                .then(|| DataScope::parse(&self.data))
                .transpose()?,
            calls: self.calls.or(self.single_use.then_some(1)),
            spend: spend(&self.budgets),
            risk: self.risk,
            depth: Some(depth(self.depth, parent)?),
            named: (!self.named.is_empty()).then_some(self.named),
            expires_in: self.expires_in,
            ..Narrowing::to(agent)
        })
    }

    fn scope(&self, parent: &Grant) -> Result<Option<Scope>, GrantError> {
        let tools = parent.scope.only(self.tools.iter().cloned())?;
        Ok(match &self.scope {
            Some(json) => Some(Scope::parse_json(json.as_bytes())?.and(tools)?),
            None if self.tools.is_empty() => None,
            None => Some(tools),
        })
    }
}

/// The least that was said of each meter.
fn spend(budgets: &[(Meter, u64)]) -> Amounts {
    let mut spend = Amounts::default();
    for (meter, amount) in budgets {
        let least = spend.get(*meter).map_or(*amount, |said| said.min(*amount));
        spend.set(*meter, least);
    }
    spend
}

/// How deep the last grant below the child may be, which is how grants say it.
fn depth(times: u8, parent: &Grant) -> Result<u8, GrantError> {
    let depth = parent.depth().saturating_add(1).saturating_add(times);
    if depth > parent.limits.depth {
        return Err(wider(Widened::Depth, parent, 0));
    }
    Ok(depth)
}

fn agent(text: &str) -> Result<SpiffeId, String> {
    let agent: SpiffeId = text.parse().map_err(|error| format!("{error}"))?;
    match agent.role() {
        Some(Role::Agent) => Ok(agent),
        _ => Err("expected `spiffe://<trust domain>/agent/<name>`".to_owned()),
    }
}

fn refused(error: NotNarrowed, parent: &Grant, now_ms: u64) -> GrantError {
    match error {
        NotNarrowed::Widened(dimension) => wider(dimension, parent, now_ms),
        other => GrantError::Refused(other),
    }
}

/// Says what there is, of what too much was asked.
fn wider(wider: Widened, parent: &Grant, now_ms: u64) -> GrantError {
    let listed = |words: &[&str]| words.join(", ");
    let parent = match wider {
        Widened::Tools => format!(
            "the grant has {}",
            listed(&parent.scope.tools().collect::<Vec<_>>())
        ),
        Widened::Arguments => {
            "`checkrein task inspect` shows what the grant allows, and --tool without --scope passes \
                               on just that"
                .to_owned()
        }
        Widened::Data => format!("the grant has {}", hop::data(parent)),
        Widened::Budget => format!("the grant has {}", hop::budget(parent)),
        Widened::Risk => format!("the grant has {}", parent.limits.risk),
        Widened::Depth => match parent.limits.depth.saturating_sub(parent.depth()) {
            0 => "the grant may not be passed on; `checkrein task start --depth` says how often one may"
                .to_owned(),
            left => format!("the grant may be passed on {left} times in a row, of which this is one"),
        },
        Widened::Expiry => format!(
            "the grant expires {}, at {}",
            relative(parent.expires_ms, now_ms),
            rfc3339(parent.expires_ms).unwrap_or_default()
        ),
        Widened::Origin if parent.named.is_empty() => "the grant names no values".to_owned(),
        Widened::Origin => format!("the grant names {}", parent.named.join(", ")),
        Widened::Holder => {
            "name its key with --holder; `checkrein task key FILE` makes one on its machine".to_owned()
        }
    };
    GrantError::Wider { wider, parent }
}
