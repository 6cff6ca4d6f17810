//! A service that guards its own tool: a small bank that an agent may move money with, if the enforcer says so.
//!
//! ```text
//! checkrein fleet add bank-1 --agent spiffe://acme.example/agent/billing     # writes bank-1/enforcer.toml
//! checkrein task start --user alice --agent spiffe://acme.example/agent/billing --tool bank/send_money …   # prints a grant
//! cargo run -p checkrein-enforcer --example guarded_service -- bank-1/enforcer.toml "$GRANT" '{"recipient":"GB29…","amount":10.0}'
//! ```
//!
//! `enforcer.toml` needs an `[in_process]` section that names the agent this process acts for.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use checkrein_enforcer::{Answer, Config, Enforcer, Request};
use checkrein_shared::decision::OutcomeResult;

/// How long the first policy may take to come.
const FIRST_POLICY: Duration = Duration::from_secs(10);
/// How long a payment waits for a person before its caller is told to come back.
const PATIENCE: Duration = Duration::from_mins(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, grant, payment] = arguments.as_slice() else {
        bail!("usage: guarded_service CONFIG GRANT ARGUMENTS");
    };
    let enforcer = Enforcer::connect(Config::load(Path::new(config))?).await?;
    // Only the very first start has nothing to decide by; later ones begin with the policy that was kept.
    enforcer
        .wait_until(|status| status.generation.0 > 0, FIRST_POLICY)
        .await
        .context("no policy came")?;

    pay_in_steps(&enforcer, grant, payment).await?;
    pay_in_one(&enforcer, grant, payment).await?;

    enforcer.shutdown().await;
    Ok(())
}

/// The verdict first, then the work, then what became of it: for services that need to look at each.
async fn pay_in_steps(enforcer: &Enforcer, grant: &str, payment: &str) -> anyhow::Result<()> {
    let request = Request::new(grant, "bank/send_money", payment.as_bytes());
    match enforcer.gate().authorize(request).await? {
        Answer::Permit(permit) => {
            println!(
                "permitted by {}: {}",
                permit.decided().rules.join(", "),
                permit.decided().reason
            );
            // Say what went wrong, never the data it went wrong with.
            let sent = send_money(payment).await;
            let (result, detail) = match &sent {
                Ok(_) => (OutcomeResult::Done, ""),
                Err(_) => (OutcomeResult::Failed, "the bank refused the transfer"),
            };
            permit.complete(result, detail).await?;
            println!("{}", sent?);
        }
        Answer::Hold(held) => {
            println!(
                "{} must look at it first; present the same call again to wait",
                held.groups.join(", ")
            );
        }
        // The reason is written for the agent: hand it on as the tool's result.
        Answer::Deny(denied) => println!("denied ({}): {}", denied.decided.cause, denied.decided.reason),
    }
    Ok(())
}

/// All of it in one: the tool is called only if it may be, waits for people if it must, and its outcome is recorded.
async fn pay_in_one(enforcer: &Enforcer, grant: &str, payment: &str) -> anyhow::Result<()> {
    let request = Request::new(grant, "bank/send_money", payment.as_bytes()).wait(PATIENCE);
    match enforcer.gate().run(request, || send_money(payment)).await {
        Ok(receipt) => println!("{receipt}"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}

/// The tool itself.
async fn send_money(payment: &str) -> anyhow::Result<String> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(format!("sent: {payment}"))
}
