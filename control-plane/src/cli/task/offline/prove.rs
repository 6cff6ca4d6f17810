//! `checkrein task prove`: a proof of possession for one call.

use std::path::{Path, PathBuf};

use checkrein_shared::action::{ARGUMENT_BYTES_MAX, Arguments};
use checkrein_shared::grant::{NotNarrowed, PROOF_LIFE_MS};
use serde_json::json;

use super::presented::{Place, read_bounded};
use super::{GrantError, key};
use crate::cli::output::{rfc3339, span};
use crate::cli::{Error, Invocation, values};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein task prove --grant billing.grant --key billing.key --tool bank/get_balance --arguments '{}'
  checkrein task prove --grant billing.grant --key billing.key --tool bank/send_money --arguments @call.json

The proof goes into the field `proof` of the call, beside the grant. It is good for this call with these arguments, once, and
for half a minute. The list of processes shows what is typed here; `@` and a file keeps arguments out of it.";

/// `checkrein task prove`
#[derive(Debug, clap::Args)]
pub(in crate::cli::task) struct Args {
    /// A file that holds the grant; `-`: read it from standard input
    #[arg(long, value_name = "FILE")]
    grant: Place,
    /// The private key that the grant names, as `task key` wrote it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The tool that is called, `<catalog>/<tool>`
    #[arg(long, value_name = "TOOL", value_parser = one_tool)]
    tool: String,
    /// The arguments it is called with: a JSON object, or `@` and a file that holds it
    #[arg(long, value_name = "JSON|@FILE")]
    arguments: String,
}

/// Runs it.
pub(super) fn run(args: &Args, invocation: &Invocation) -> Result<(), Error> {
    let grant = args.grant.read()?;
    let arguments = arguments(&args.arguments)?;
    let now_ms = invocation.now_ms();
    let leaf = grant.chain().leaf();
    let key = key::of_holder(&args.key, leaf)?;
    let refused = |error| Error::from(GrantError::Refused(error));
    leaf.holds_at(now_ms)
        .map_err(|error| refused(NotNarrowed::Invalid(error)))?;
    let proof = grant
        .prove(&args.tool, &arguments, &key, invocation.clock())
        .map_err(refused)?;
    if !invocation.json() {
        let (tool, life) = (&args.tool, span(PROOF_LIFE_MS));
        invocation.note(&format!(
            "for one call of {tool} by {}, within {life}:",
            leaf.agent
        ));
    }
    let document = json!({
        "proof": proof,
        "grant_id": leaf.id.to_string(),
        "tool": args.tool,
        "expires_at": rfc3339(now_ms.saturating_add(PROOF_LIFE_MS)),
    });
    invocation.answer(&document, |_| format!("{proof}\n"))
}

fn arguments(text: &str) -> Result<Arguments, GrantError> {
    let parsed = match text.strip_prefix('@') {
        Some(path) => Arguments::parse(&read_bounded(Path::new(path), "arguments", ARGUMENT_BYTES_MAX)?),
        None => Arguments::parse(text.as_bytes()),
    };
    Ok(parsed?)
}

/// A call is of one tool, and not of all that a catalog has.
fn one_tool(text: &str) -> Result<String, String> {
    let tool = values::tool(text)?;
    if tool.ends_with('*') {
        return Err("a call is of one tool: expected `<catalog>/<tool>`".to_owned());
    }
    Ok(tool)
}
