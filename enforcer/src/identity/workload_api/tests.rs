//! What the Workload API gives is taken if it is ours; without one there is no identity, and the wait for one ends.

use std::sync::Arc;

use rcgen::KeyUsagePurpose;
use spiffe::{TrustDomain, X509Bundle, X509BundleSet};

use super::*;
use crate::fixture::{Ca, Svid};
use crate::identity::Origin;

const EDGE: &str = "spiffe://acme.example/enforcer/edge";

// Paused: the waits between the tries pass at once, and the bound with them.
#[tokio::test(start_paused = true)]
async fn a_start_without_a_workload_api_ends_and_says_what_it_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let socket = format!("unix://{}", place.path().join("agent.sock").display());
    let started = Instant::now();
    let refused = WorkloadApi::at(&socket, None).unwrap().first().await.unwrap_err();
    assert_eq!(started.elapsed().as_secs(), FIRST_MAX.as_secs());
    assert!(
        matches!(refused.source.as_deref(), Some(Unusable::Silent(_))),
        "{refused:?}"
    );
    let told = refused.to_string();
    assert!(told.contains(&socket) && told.contains("/enforcer/"), "{told}");
}

impl Ca {
    /// The identity of somebody of this name, as a SPIFFE agent would have given it.
    pub(crate) fn given(&self, spiffe_id: &str) -> Source {
        source(&given(&self.svid(spiffe_id)))
    }
}

/// What the API would give: an SVID and the bundle of its own trust domain.
fn context(svid: &Svid, bundle_of: &str) -> X509Context {
    let domain = TrustDomain::new(bundle_of).unwrap();
    let bundle = X509Bundle::parse_from_der(domain, &svid.ca).unwrap();
    let mut bundles = X509BundleSet::new();
    bundles.add_bundle(bundle);
    let given = X509Svid::parse_from_der(&svid.certificate, &svid.key).unwrap();
    X509Context::new([Arc::new(given)], bundles)
}

fn given(svid: &Svid) -> X509Context {
    context(svid, svid.id.parse::<SpiffeId>().unwrap().trust_domain())
}

fn api() -> WorkloadApi {
    WorkloadApi::at("unix:///run/agent.sock", None).unwrap()
}

fn source(first: &X509Context) -> Source {
    let pem = pem(first, None).unwrap();
    let tls = Tls::new(&pem, &api().place()).unwrap();
    Source::new(Origin::WorkloadApi(api()), pem, tls)
}

#[tokio::test]
async fn another_svid_of_the_same_name_is_taken_and_nothing_else_is() {
    let ca = Ca::new();
    let source = ca.given(EDGE);
    let before = source.current();
    let (mine, other) = (ca.svid(EDGE), ca.svid(EDGE));
    let of_another_key = Svid {
        key: other.key.clone(),
        ..mine.clone()
    };
    let bad = [
        Ok(given(&ca.svid("spiffe://acme.example/enforcer/other"))),
        Ok(given(&ca.svid("spiffe://other.example/enforcer/edge"))),
        Ok(given(&ca.svid("spiffe://acme.example/agent/edge"))),
        Ok(given(&of_another_key)),
        Ok(context(&mine, "other.example")),
        Ok(X509Context::new([], X509BundleSet::new())),
        Err(WorkloadApiError::EmptyResponse),
    ];
    for refused in bad {
        let told = format!("{refused:?}");
        api().bring(tokio_stream::iter([refused]), &source).await;
        assert!(Arc::ptr_eq(&before, &source.current()), "{told}");
    }
    api().bring(tokio_stream::iter([Ok(given(&mine))]), &source).await;
    assert!(!Arc::ptr_eq(&before, &source.current()));
    assert_eq!(source.current().svid().id.as_str(), EDGE);
    // The same once more is nothing new.
    let taken = source.current();
    api().bring(tokio_stream::iter([Ok(given(&mine))]), &source).await;
    assert!(Arc::ptr_eq(&taken, &source.current()));
}

#[test]
fn an_svid_of_no_enforcer_is_nothing_to_begin_with() {
    let ca = Ca::new();
    for id in [
        "spiffe://acme.example/agent/edge",
        "spiffe://acme.example/control-plane/edge",
        "spiffe://acme.example/ns/edge",
    ] {
        let refused = pem(&given(&ca.svid(id)), None);
        assert!(matches!(refused, Err(Unusable::NotOurs { .. })), "{id}");
    }
    pem(&given(&ca.svid(EDGE)), None).unwrap();
}

#[test]
fn a_key_that_may_sign_certificates_is_no_workloads() {
    let ca = Ca::new();
    for usages in [
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign],
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign],
        vec![KeyUsagePurpose::KeyEncipherment],
    ] {
        let bad = ca.svid_for(EDGE, usages.clone());
        assert!(
            X509Svid::parse_from_der(&bad.certificate, &bad.key).is_err(),
            "{usages:?}"
        );
    }
}
