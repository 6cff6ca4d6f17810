//! How the files are written: the SHA-256 of what follows, then a protobuf message.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use checkrein_proto::fleet::v1::{Revocation, Roster, SignedKeySet};
use checkrein_proto::policy::v1::SignedManifest;
use checkrein_shared::action::Sha256;
use prost::Message;

/// `last-known-good`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Good {
    #[prost(message, optional, tag = "1")]
    pub(super) manifest: Option<SignedManifest>,
    #[prost(message, optional, tag = "2")]
    pub(super) key_set: Option<SignedKeySet>,
    #[prost(string, tag = "3")]
    pub(super) enforcer: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) agents: Vec<String>,
    #[prost(uint64, tag = "5")]
    pub(super) revocation_sequence: u64,
    #[prost(message, repeated, tag = "6")]
    pub(super) revocations: Vec<Revocation>,
    #[prost(message, optional, tag = "7")]
    pub(super) roster: Option<Roster>,
}

/// `high-water`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Mark {
    #[prost(uint64, tag = "1")]
    pub(super) epoch: u64,
    #[prost(uint64, tag = "2")]
    pub(super) generation: u64,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) manifest_sha256: Bytes,
    #[prost(uint64, tag = "4")]
    pub(super) key_set_version: u64,
    #[prost(bytes = "bytes", tag = "5")]
    pub(super) key_set_sha256: Bytes,
}

/// `confirmed`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Confirmed {
    #[prost(uint64, tag = "1")]
    pub(super) confirmed_wall_ms: u64,
    #[prost(uint64, tag = "2")]
    pub(super) age_ms: u64,
}

pub(super) fn encode(message: &impl Message) -> Vec<u8> {
    let body = message.encode_to_vec();
    [&Sha256::of(&body).0, body.as_slice()].concat()
}

/// A file's message, or that there is none; inside, what is wrong with a file that is there.
pub(super) fn read<M: Message + Default>(path: &Path) -> io::Result<Result<Option<M>, &'static str>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
        Err(error) => return Err(error),
    };
    let Some((digest, body)) = bytes.split_at_checked(32) else {
        return Ok(Err("it is cut off"));
    };
    if Sha256::of(body).0 != digest {
        return Ok(Err("its digest does not match"));
    }
    Ok(M::decode(body).map(Some).map_err(|_| "it is of another version"))
}
