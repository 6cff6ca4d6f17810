//! What the Workload API gives is shown if a client could believe it, and nothing else is.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use spiffe::{TrustDomain, X509Bundle, X509BundleSet};

use super::*;

const REPLICA: &str = "spiffe://acme.example/control-plane/replica-1";

/// A stand-in for the authority of a SPIFFE trust domain.
pub(in crate::server) struct Spire(CertifiedIssuer<'static, KeyPair>);

impl Spire {
    pub(in crate::server) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "SPIFFE");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(in crate::server) fn pem(&self) -> String {
        self.0.pem()
    }

    /// What a replica shows that was given an SVID just now.
    pub(in crate::server) fn served(&self) -> Served {
        svids().take(&self.context(REPLICA, "localhost")).unwrap().1
    }

    fn context(&self, id: &str, host: &str) -> X509Context {
        self.context_of(id, host, id.split('/').nth(2).unwrap())
    }

    fn context_of(&self, id: &str, host: &str, bundle_of: &str) -> X509Context {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::URI(id.try_into().unwrap()));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let svid = X509Svid::parse_from_der(certificate.der(), key.serialized_der()).unwrap();
        let domain = TrustDomain::new(bundle_of).unwrap();
        let mut bundles = X509BundleSet::new();
        bundles.add_bundle(X509Bundle::parse_from_der(domain, self.0.der()).unwrap());
        X509Context::new([Arc::new(svid)], bundles)
    }
}

fn svids() -> Svids {
    Svids {
        socket: Endpoint::parse("unix:///run/agent.sock").unwrap(),
        trust_domain: "acme.example".to_owned(),
        hosts: vec!["policy.acme.example".to_owned(), "localhost".to_owned()],
    }
}

#[test]
fn only_an_svid_of_a_control_plane_of_ours_that_answers_to_a_host_of_ours_is_taken() {
    let spire = Spire::new();
    for host in ["policy.acme.example", "localhost"] {
        svids().take(&spire.context(REPLICA, host)).unwrap();
    }
    for id in [
        "spiffe://acme.example/enforcer/edge",
        "spiffe://acme.example/operator/olga",
        "spiffe://acme.example/ns/control-plane",
        "spiffe://other.example/control-plane/replica-1",
    ] {
        let refused = svids().take(&spire.context(id, "localhost")).unwrap_err();
        let told = refused.to_string();
        assert!(
            told.contains(id) && told.contains("spiffe://acme.example/control-plane/"),
            "{told}"
        );
    }
    let nameless = svids().take(&spire.context(REPLICA, "elsewhere.example"));
    assert!(matches!(nameless, Err(Unusable::Nameless { .. })), "{nameless:?}");
    let bare = svids().take(&spire.context_of(REPLICA, "localhost", "other.example"));
    assert!(matches!(bare, Err(Unusable::NoBundle(_))), "{bare:?}");
    let nothing = svids().take(&X509Context::new([], X509BundleSet::new()));
    assert!(matches!(nothing, Err(Unusable::NotOurs(..))), "{nothing:?}");
}
