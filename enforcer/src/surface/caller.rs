//! Who is at the other end of a connection, as far as the connection itself proves it.

use checkrein_shared::identity::{Role, SpiffeId};
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo};
use tonic::{Extensions, Status};

/// Whoever TLS verified a certificate of.
pub(super) fn certified(connection: &Extensions) -> Result<SpiffeId, Status> {
    let connection = connection.get::<TlsConnectInfo<TcpConnectInfo>>();
    let certificates = connection.and_then(TlsConnectInfo::peer_certs);
    let leaf = certificates.as_ref().and_then(|chain| chain.first());
    let leaf = leaf.ok_or_else(|| Status::unauthenticated("no certificate was shown"))?;
    SpiffeId::from_verified_certificate(leaf).map_err(|error| Status::unauthenticated(error.to_string()))
}

/// The same, if it is an agent.
pub(super) fn certified_agent(connection: &Extensions) -> Result<SpiffeId, Status> {
    let id = certified(connection)?;
    if id.role() != Some(Role::Agent) {
        return Err(Status::permission_denied(format!(
            "`{id}` is no agent; only agents ask the gate"
        )));
    }
    Ok(id)
}

/// Whether a process of this user is there.
pub(super) fn check_uid(connection: &Extensions, expected: u32) -> Result<(), Status> {
    let peer = connection
        .get::<UdsConnectInfo>()
        .and_then(|connection| connection.peer_cred);
    match peer.map(|peer| peer.uid()) {
        Some(uid) if uid == expected => Ok(()),
        Some(uid) => Err(Status::permission_denied(format!(
            "this socket is for user id {expected}, and user id {uid} called"
        ))),
        None => Err(Status::unauthenticated("the user id of the caller is not known")),
    }
}
