//! The door to the services: an in-process client of what everybody else calls over the wire.
//!
//! **Invariant**: there is no other way from a page to a service, and each call through here is let in or refused by the table
//! of callers, as of that moment.

use std::sync::Arc;
use std::task::{Context, Poll};

use checkrein_proto::decision::v1::decision_service_client::DecisionServiceClient;
use checkrein_proto::fleet::v1::fleet_service_client::FleetServiceClient;
use checkrein_proto::hold::v1::hold_service_client::HoldServiceClient;
use checkrein_proto::policy::v1::policy_service_client::PolicyServiceClient;
use checkrein_proto::task::v1::task_service_client::TaskServiceClient;
use checkrein_shared::identity::SpiffeId;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::Request;
use tonic::service::Routes;
use tower::{Layer, Service};

use crate::caller::{Authorize, Authorized, SignedIn};

/// An answer may be as large as what a client of ours takes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// The services of this replica, behind the gatekeeper.
#[derive(Debug, Clone)]
pub(crate) struct Door(Authorized<Routes>);

/// The same for one person.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    services: Authorized<Routes>,
    who: SignedIn,
}

impl Door {
    /// Before these services stands this gatekeeper.
    pub(crate) fn new(authorize: &Authorize, services: Routes) -> Self {
        Self(authorize.layer(services))
    }

    /// For whoever has these identities.
    pub(super) fn of(&self, ids: Arc<[SpiffeId]>) -> Entrance {
        Entrance {
            services: self.0.clone(),
            who: SignedIn(ids),
        }
    }
}

impl Entrance {
    /// Whether this RPC's row lets them in, at this moment.
    pub(super) fn may(&self, rpc: &str) -> Result<(), Status> {
        self.services.lets_in(&self.who, rpc)
    }

    /// What waits, and answers to it.
    pub(super) fn holds(&self) -> HoldServiceClient<Self> {
        HoldServiceClient::new(self.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// What was decided.
    pub(super) fn decisions(&self) -> DecisionServiceClient<Self> {
        DecisionServiceClient::new(self.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// What is in force.
    pub(super) fn policies(&self) -> PolicyServiceClient<Self> {
        PolicyServiceClient::new(self.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Who enforces it.
    pub(super) fn fleet(&self) -> FleetServiceClient<Self> {
        FleetServiceClient::new(self.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Tasks, and what they did.
    pub(super) fn tasks(&self) -> TaskServiceClient<Self> {
        TaskServiceClient::new(self.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}

impl Service<Request<Body>> for Entrance {
    type Response = <Authorized<Routes> as Service<Request<Body>>>::Response;
    type Error = <Authorized<Routes> as Service<Request<Body>>>::Error;
    type Future = <Authorized<Routes> as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<Body>>::poll_ready(&mut self.services, context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.extensions_mut().insert(self.who.clone());
        self.services.call(request)
    }
}
