//! A service that guards its own tool: a small mailbox that an agent may send from, if the enforcer says so.
//!
//! With the pack that `checkrein policy init mail` writes in force:
//!
//! ```text
//! AGENT=spiffe://checkrein.local/agent/assistant
//! checkrein fleet add mailbox-1 --in-process $AGENT        # writes mailbox-1/enforcer.toml
//! GRANT=$(checkrein task start --user alice --agent $AGENT --tool 'mail/*' --named carol@acme.example --grant-only)
//! cargo run -p checkrein-enforcer --example guarded_service -- \
//!     mailbox-1/enforcer.toml "$GRANT" message-1 '{"to":"carol@acme.example","subject":"Lunch","body":"At noon?"}'
//! ```
//!
//! Write to somebody else, and it waits for `checkrein hold approve`.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use checkrein_enforcer::{Config, Enforcer, Request, RunError, Status};

/// How long the control plane may take to be heard of.
const START: Duration = Duration::from_secs(10);
/// Policy that was confirmed so long ago is fresh by any sensible bound.
const FRESH_MS: u64 = 10_000;
/// How long a message waits for a person before its caller is told to come back.
const PATIENCE: Duration = Duration::from_mins(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, grant, call_id, message] = arguments.as_slice() else {
        bail!("usage: guarded_service CONFIG GRANT CALL-ID ARGUMENTS");
    };
    let enforcer = Enforcer::connect(Config::load(Path::new(config))?).await?;
    // What can't be taken back needs the control plane's fresh word, so give it a moment to come. A service that only reads
    // need not: it begins with the policy that was kept. Without that word the answer is a deny that names what is missing.
    let ready = |status: &Status| status.has_masking_key && status.policy_age_ms < FRESH_MS;
    if enforcer.wait_until(ready, START).await.is_err() {
        println!("the control plane has not been heard of yet");
    }

    send_if_allowed(&enforcer, grant, call_id, message).await;

    enforcer.shutdown().await;
    Ok(())
}

/// The tool is called only if it may be, waits for people if it must, and its outcome is recorded. A service that needs to
/// look at each step takes `Gate::authorize` and `Permit::complete` instead.
async fn send_if_allowed(enforcer: &Enforcer, grant: &str, call_id: &str, message: &str) {
    let request = Request::new(grant, "mail/send", message.as_bytes())
        // The agent's own name for the call: presented again, it is the same call, and no second message.
        .call_id(call_id)
        .wait(PATIENCE);
    match enforcer.gate().run(request, || send(message)).await {
        Ok(receipt) => println!("{receipt}"),
        // The reason is written for the agent: hand it on as the tool's result.
        Err(RunError::Denied(denied)) => {
            println!("denied ({}): {}", denied.decided.cause, denied.decided.reason);
        }
        Err(RunError::Held(held)) => {
            println!(
                "{} has not answered yet; present the call `{call_id}` again to go on waiting",
                held.groups.join(", ")
            );
        }
        Err(error) => println!("{error}"),
    }
}

/// The tool itself.
async fn send(message: &str) -> anyhow::Result<String> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(format!("sent: {message}"))
}
