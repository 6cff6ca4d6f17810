//! `checkrein task key`: the key of an agent, which the grants it is given name.
//!
//! **Invariant**: the private half is written to one new file that only its owner reads, and printed nowhere.

use std::io;
use std::path::{Path, PathBuf};

use checkrein_shared::grant::Grant;
use checkrein_shared::key::{InvalidKey, SigningKey, VerifyingKey};
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use super::GrantError;
use super::presented::read_bounded;
use crate::cli::identity::write_new;
use crate::cli::output::Paint;
use crate::cli::{Error, Invocation};

pub(super) const EXAMPLE: &str = "\
Example:
  checkrein task key billing.key                        # on the agent's machine; prints the public half
  checkrein task start … --depth 1 --holder PUBLIC_KEY  # an orchestrator, elsewhere: the grant names the key
  checkrein task delegate --grant billing.grant --key billing.key …
  checkrein task key --show billing.key                 # prints the public half once more

The file is an Ed25519 private key, PKCS#8 in PEM, that only its owner may read. It is never sent, and never overwritten.
One that another tool made, such as `openssl genpkey -algorithm ed25519`, serves as well.";

/// A key file is far shorter.
const KEY_BYTES_MAX: usize = 16 << 10;
/// Only its owner reads it.
const MODE: u32 = 0o600;

/// `checkrein task key`
#[derive(Debug, clap::Args)]
pub(in crate::cli::task) struct Args {
    /// Where the private key is written, or, with --show, where it is
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Make no key: print the public half of the one that is there
    #[arg(long)]
    show: bool,
}

/// Runs it.
pub(super) fn run(args: &Args, invocation: &Invocation) -> Result<(), Error> {
    if !args.show {
        make(&args.file)?;
    }
    let key = load(&args.file)?.verifying();
    let public = key.to_base64();
    let is_read = !invocation.json();
    if is_read {
        invocation.note(&done(args));
    }
    let document = json!({
        "file": args.file,
        "public_key": public,
        "jwk": key.to_jwk(),
        "thumbprint": key.thumbprint().to_base64(),
    });
    invocation.answer(&document, |_| format!("{public}\n"))?;
    if is_read {
        invocation.note(&next(args, &public, invocation.paint_notes()));
    }
    Ok(())
}

/// The private key in a file.
fn load(path: &Path) -> Result<SigningKey, GrantError> {
    let unusable = |source| GrantError::Key {
        path: path.to_owned(),
        source,
    };
    let text = read_bounded(path, "key", KEY_BYTES_MAX)?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| unusable(InvalidKey::Private))?;
    SigningKey::from_foreign_pkcs8(der.secret_pkcs8_der()).map_err(unusable)
}

/// The private key in a file, if it is the one that the grant names.
pub(super) fn of_holder(path: &Path, grant: &Grant) -> Result<SigningKey, GrantError> {
    let key = load(path)?;
    match &grant.holder {
        Some(holder) if *holder == key.verifying() => Ok(key),
        Some(holder) => Err(GrantError::OtherKey {
            path: path.to_owned(),
            found: key.verifying().to_base64(),
            named: holder.to_base64(),
        }),
        None => Err(GrantError::Keyless),
    }
}

/// A public half, as `checkrein task key` prints it.
pub(super) fn public(text: &str) -> Result<VerifyingKey, String> {
    VerifyingKey::from_base64(text).map_err(|error| error.to_string())
}

fn make(path: &Path) -> Result<(), GrantError> {
    let pem = KeyPair::generate_for(&PKCS_ED25519)?.serialize_pem();
    write_new(path, pem.as_bytes(), MODE, false).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => GrantError::Exists(path.to_owned()),
        _ => GrantError::Write {
            path: path.to_owned(),
            source,
        },
    })
}

fn done(args: &Args) -> String {
    let file = args.file.display();
    if args.show {
        format!("the public half of {file}:")
    } else {
        format!("wrote {file}, which stays on this machine; its public half:")
    }
}

fn next(args: &Args, public: &str, paint: Paint) -> String {
    let file = args.file.display();
    let next = paint.next(&[
        &format!("checkrein task start … --depth 1 --holder={public}"),
        &format!(
            "checkrein task delegate --grant FILE --key {file} --agent SPIFFE-ID --holder=CHILD_PUBLIC_KEY"
        ),
    ]);
    next.trim_end().to_owned()
}
