//! What can be wrong with a grant, with its key, or with what is asked of the two.

use std::io;
use std::path::PathBuf;

use checkrein_shared::action::InvalidArguments;
use checkrein_shared::grant::{InvalidData, InvalidGrant, InvalidScope, NotNarrowed, Widened};
use checkrein_shared::key::InvalidKey;
use thiserror::Error;

/// Why nothing was made, passed on, shown or proved.
#[derive(Debug, Error)]
pub enum GrantError {
    /// No key came of it.
    #[error("can't make a key")]
    Generate(#[from] rcgen::Error),
    /// A file is there already.
    #[error(
        "`{0}` exists already, and is not overwritten; choose another file, or print its public half with `checkrein task \
         key --show {0}`"
    )]
    Exists(PathBuf),
    /// The disk said no.
    #[error("can't write `{path}`")]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that can't be read, or standard input.
    #[error("can't read {place}")]
    Read {
        /// Which.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// A file that holds no key of the kind.
    #[error("`{path}` can't be the key of an agent; `checkrein task key FILE` makes one")]
    Key {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: InvalidKey,
    },
    /// A grant for whoever presents it.
    #[error(
        "the grant names no key, so nobody can sign for it; start its task with `checkrein task start --holder PUBLIC_KEY`"
    )]
    Keyless,
    /// A key of somebody else.
    #[error(
        "`{path}` is not the key that the grant names: its public half is `{found}`, and the grant names `{named}`"
    )]
    OtherKey {
        /// Which file.
        path: PathBuf,
        /// The public half of what it holds.
        found: String,
        /// What it should be.
        named: String,
    },
    /// A file that holds no grant.
    #[error(
        "{place} holds no grant that can be read (token {at} of {count}); give what `checkrein task start --grant-only` or \
         `checkrein task delegate` printed"
    )]
    Unreadable {
        /// Which.
        place: String,
        /// The first token that can't be believed, from 1.
        at: usize,
        /// How many there are.
        count: usize,
        /// Why not.
        source: InvalidGrant,
    },
    /// More than is ever read.
    #[error("{place} is longer than any {what}: at most {bytes_max} bytes are read")]
    TooLong {
        /// Which.
        place: String,
        /// What it should be.
        what: &'static str,
        /// How long it may be.
        bytes_max: usize,
    },
    /// Who should pass on less than they want to.
    #[error("it can't be passed on like this: {wider}; {parent}")]
    Wider {
        /// In which dimension.
        wider: Widened,
        /// What there is of it, or what to do.
        parent: String,
    },
    /// Not this grant, not this key, or not now.
    #[error(transparent)]
    Refused(#[from] NotNarrowed),
    /// What the child's tools should be.
    #[error("the scope can't be that: {0}")]
    Scope(#[from] InvalidScope),
    /// What the child's data should be.
    #[error("the data can't be that: {0}")]
    Data(#[from] InvalidData),
    /// The arguments of a call.
    #[error(
        "the arguments of the call can't be read: {0}; give one JSON object, or `@` and a file that holds one"
    )]
    Arguments(#[from] InvalidArguments),
}
