//! One corpus through every surface: the same action gets the same verdict, by the same rules, for the same reason, wherever it is asked
//! for. What a surface may not say is compared in the record.
//!
//! | file | what it does |
//! |---|---|
//! | `case` | the calls, and what is to be decided of each |
//! | `scene`, `stand`, `aged` | a fleet; an enforcer for an agent, with every surface open; one whose policy grows old |
//! | `beside`, `mcp`, `gateway`, `authzen` | how each surface is asked, and what it said |
//! | `told` | what was said, and what was recorded |
//! | `joined` | no surface is left out |
//!
//! **Invariant**: a case that a surface can't carry is named, with the reason, and counted.

mod aged;
mod authzen;
mod beside;
mod case;
mod gateway;
mod joined;
mod mcp;
mod scene;
mod stand;
mod told;

use std::collections::BTreeMap;

use case::Case;
use scene::Scene;
use stand::{Call, Stand};
use told::{Told, decided};

/// Nothing falls out unseen.
const CASES: usize = 36;
const ANSWERS: usize = 426;

/// Where an agent's action is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Surface {
    Library,
    Grpc,
    Hook,
    Run,
    McpStdio,
    McpStdioStateless,
    McpHttp,
    McpStateless,
    ExtAuthz,
    ExtAuthzMcp,
    ExtMcp,
    AuthZen,
}

/// What becomes of a case there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    /// It is decided as everywhere.
    It,
    /// It is denied, and never gets to the gate: why.
    Nothing(&'static str),
    /// It can't be asked there: why.
    NoSuch(&'static str),
}

impl Surface {
    /// Each; the first is what the others are held to.
    const ALL: [Self; 12] = [
        Self::Library,
        Self::Grpc,
        Self::Hook,
        Self::Run,
        Self::McpStdio,
        Self::McpStdioStateless,
        Self::McpHttp,
        Self::McpStateless,
        Self::ExtAuthz,
        Self::ExtAuthzMcp,
        Self::ExtMcp,
        Self::AuthZen,
    ];

    /// Where it is written, under the enforcer's `src`.
    const fn files(self) -> &'static [&'static str] {
        match self {
            Self::Library => &["gate.rs"],
            Self::Grpc => &["surface/grpc.rs"],
            Self::Hook => &["hook.rs", "ask.rs"],
            Self::Run => &["lease.rs", "ask.rs"],
            Self::McpStdio | Self::McpStdioStateless | Self::McpHttp | Self::McpStateless => {
                &["surface/mcp.rs", "surface/mcp/call.rs"]
            }
            Self::ExtAuthz | Self::ExtAuthzMcp => {
                &["surface/gateway/ext_authz.rs", "surface/gateway/asking.rs"]
            }
            Self::ExtMcp => &["surface/gateway/ext_mcp.rs", "surface/gateway/asking.rs"],
            Self::AuthZen => &[
                "surface/gateway/authzen.rs",
                "surface/gateway/authzen/requests.rs",
                "surface/gateway/asking.rs",
            ],
        }
    }

    fn carries(self, case: &Case) -> Carries {
        match self {
            Self::Run if case.looks_at_arguments() => {
                Carries::NoSuch("the arguments of a command are the command itself")
            }
            Self::ExtAuthz if ["a member twice", "no object"].contains(&case.name.as_str()) => {
                Carries::Nothing("a body that a service may read in another way is no call")
            }
            Self::AuthZen if ["a member twice", "no object"].contains(&case.name.as_str()) => {
                Carries::Nothing("a question that has two readings, or no object of arguments, is none")
            }
            _ => Carries::It,
        }
    }

    async fn ask(self, stand: &Stand, call: &Call) -> Told {
        match self {
            Self::Library => beside::library(stand, call).await,
            Self::Grpc => beside::grpc(stand, call).await,
            Self::Hook => beside::hook(stand, call).await,
            Self::Run => beside::run(stand, call).await,
            Self::McpStdio => stand.stdio.ask(stand, call).await,
            Self::McpStdioStateless => stand.stateless_stdio.ask(stand, call).await,
            Self::McpHttp => stand.door.ask_in_session(call).await,
            Self::McpStateless => stand.door.ask(call).await,
            Self::ExtAuthz => gateway::http(stand, call).await,
            Self::ExtAuthzMcp => gateway::mcp(stand, call).await,
            Self::ExtMcp => gateway::ext_mcp(stand, call).await,
            Self::AuthZen => authzen::ask(stand, call).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_action_gets_the_same_verdict_for_the_same_reason_through_every_surface() {
    let cases = Case::all();
    let scene = Scene::set().await;
    let (mut asked, mut left_out) = (Vec::new(), BTreeMap::new());
    for case in &cases {
        for surface in Surface::ALL {
            let carries = surface.carries(case);
            if carries != Carries::It {
                left_out.entry(surface).or_insert_with(Vec::new).push(&*case.name);
            }
            if !matches!(carries, Carries::NoSuch(_)) {
                asked.extend(scene.ask((surface, carries), case).await);
            }
        }
    }
    let records = scene.records(&asked).await;
    let mut expected = BTreeMap::new();
    let mut wrong = Vec::new();
    for one in &asked {
        let record = one.record(&records);
        let same = record.map(|record| (one.case, one.step, decided(record, &one.task)));
        wrong.extend(one.flaws(record));
        let Some((case, step, same)) = same else { continue };
        let first = expected.entry((case, step)).or_insert_with(|| same.clone());
        if *first != same {
            wrong.push(format!("{one}: {same}\n    and the library: {first}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    scene.only_permitted_calls_were_made(&asked);
    let left_out: Vec<_> = left_out
        .into_iter()
        .map(|(surface, cases)| (surface, cases.len()))
        .collect();
    assert_eq!(
        left_out,
        [(Surface::Run, 28), (Surface::ExtAuthz, 2), (Surface::AuthZen, 2)]
    );
    assert_eq!((cases.len(), asked.len()), (CASES, ANSWERS));
}
