//! The keys of an installation, and the certificates signed with them.
//!
//! A root key certifies the bundle and grant keys and the CA; all are files in one directory, shared by the replicas. A
//! replica that is taken over can forge until the keys are rotated; the root key need not be there at all once the key set
//! is signed.
//!
//! **Invariant**: a private key is written once, readable by its owner only, and never printed. Keys of clients are made
//! where they are used: what comes here is a certificate request.

mod certificate;
mod files;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use checkrein_proto::fleet::v1::SignedKeySet;
use checkrein_shared::action::Sha256;
use checkrein_shared::clock::Clock;
use checkrein_shared::id::random_bytes;
use checkrein_shared::identity::{InvalidSpiffeId, Role, SpiffeId};
use checkrein_shared::key::{HeldKeySet, InvalidKey, KeySet, SigningKey, VerifyingKey};
use prost::Message;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use thiserror::Error;
use time::{Duration, OffsetDateTime};

use crate::database::{Claim, from_ms};
use certificate::Certificate;

pub use files::write_secret;

/// How long the CA is good for.
const CA_LIFE: Duration = Duration::days(3650);
/// How long a certificate is good for if nobody says.
pub const CERTIFICATE_LIFE_DEFAULT: std::time::Duration = std::time::Duration::from_hours(90 * 24);
/// Certificates hold from a little before now, for clocks that run behind.
const CLOCK_SKEW: Duration = Duration::minutes(5);

/// What signs for this installation.
pub struct Authority {
    /// The SPIFFE trust domain it certifies.
    pub trust_domain: String,
    /// Signs bundles.
    pub bundle: SigningKey,
    /// Signs grants.
    pub grant: SigningKey,
    /// Verify grants: the keys that the root certified for them.
    pub grant_keys: Vec<VerifyingKey>,
    /// What enforcers pin.
    pub root: VerifyingKey,
    /// What the root said about the rest.
    pub key_set: SignedKeySet,
    /// The version of that.
    key_set_version: u64,
    /// The CA certificate, PEM.
    pub ca_certificate: String,
    /// Masks secret arguments; enforcers get it over their session.
    pub masking_key: Vec<u8>,
    ca: CaIssuer,
    certificate_life: Duration,
}

/// A key pair and what was certified of it, PEM.
#[derive(Clone)]
pub struct Identity {
    /// Who it is.
    pub spiffe_id: SpiffeId,
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

struct CaIssuer(Issuer<'static, KeyPair>);

/// Keys that can't be had or used.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// A file.
    #[error("can't {what} `{path}`")]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Some key files are there and others are not.
    #[error(
        "`{0}` is missing beside other keys: restore it, or move the directory away to make a new installation"
    )]
    Incomplete(String),
    /// A key file that can't be used.
    #[error("`{path}` can't be used")]
    Key {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: InvalidKey,
    },
    /// The key set is not what the root signed.
    #[error("the key set is not signed by the root key, or can't be read")]
    KeySet,
    /// A key that enforcers would not believe.
    #[error(
        "`{0}` is not the one that the root key certified in `key-set`: the directory holds files of two installations; \
         copy the whole `keys` directory of a replica that serves"
    )]
    Uncertified(&'static str),
    /// A stored certificate that can't be read.
    #[error("`{0}` is not a certificate, PEM")]
    Unreadable(String),
    /// A certificate could not be made.
    #[error("the certificate can't be made")]
    Certificate(#[from] rcgen::Error),
    /// A certificate request that asks for nothing that can be given.
    #[error("the certificate request can't be used: expected PKCS#10, PEM, with its own signature")]
    Request(#[source] rcgen::Error),
    /// A name that can't stand in an identity.
    #[error(transparent)]
    Name(#[from] InvalidSpiffeId),
}

impl Authority {
    /// Loads the keys in `directory`, or makes them there if it has none.
    pub fn open(directory: &Path, trust_domain: &str, clock: &dyn Clock) -> Result<Self, AuthorityError> {
        if files::is_empty(directory)? {
            Self::make(directory, clock)?;
        }
        let signing = |name: &str| {
            let path = directory.join(name);
            SigningKey::from_pkcs8(&files::read(&path)?).map_err(|source| AuthorityError::Key {
                path: path.display().to_string(),
                source,
            })
        };
        let root = VerifyingKey::try_from(&*files::read(&directory.join("root.pub"))?).map_err(|source| {
            AuthorityError::Key {
                path: "root.pub".to_owned(),
                source,
            }
        })?;
        let key_set = SignedKeySet::decode(&*files::read(&directory.join("key-set"))?)
            .map_err(|_| AuthorityError::KeySet)?;
        let certified =
            KeySet::verify(&key_set, &root, HeldKeySet::default()).map_err(|_| AuthorityError::KeySet)?;
        let ca_certificate = files::read_text(&directory.join("ca.pem"))?;
        let ca_key = KeyPair::from_pem(&files::read_text(&directory.join("ca.key"))?)?;
        let (bundle, grant) = (signing("bundle.key")?, signing("grant.key")?);
        let ca = Certificate::parse(&ca_certificate, "ca.pem")?;
        // A key that the key set does not name signs what every enforcer refuses: better no replica than such a one.
        let beliefs = [
            ("bundle.key", certified.bundle.contains(&bundle.verifying())),
            ("grant.key", certified.grant.contains(&grant.verifying())),
            ("ca.pem", certified.ca == ca.sha256),
            ("ca.key", ca.public_key == ca_key.public_key_raw()),
        ];
        if let Some((file, _)) = beliefs.into_iter().find(|(_, is_certified)| !is_certified) {
            return Err(AuthorityError::Uncertified(file));
        }
        Ok(Self {
            trust_domain: trust_domain.to_owned(),
            bundle,
            grant,
            root,
            key_set,
            key_set_version: certified.version,
            grant_keys: certified.grant,
            ca: CaIssuer(Issuer::from_ca_cert_pem(&ca_certificate, ca_key)?),
            ca_certificate,
            masking_key: files::read(&directory.join("masking.key"))?,
            certificate_life: saturating(CERTIFICATE_LIFE_DEFAULT),
        })
    }

    /// The same, for certificates that are good for so long.
    #[must_use]
    pub fn certifying_for(mut self, life: std::time::Duration) -> Self {
        self.certificate_life = saturating(life);
        self
    }

    /// What a replica with these keys says of itself to the database.
    pub fn claim(&self) -> Claim {
        Claim {
            trust_domain: self.trust_domain.clone(),
            root_public_key: *self.root.as_bytes(),
            key_set_version: self.key_set_version,
            key_set_sha256: Sha256::of(&self.key_set.key_set),
        }
    }

    /// Certifies a key made elsewhere, for `name` in `role`. What the request asks for beyond its key is not looked at.
    pub fn certify(
        &self,
        clock: &dyn Clock,
        role: Role,
        name: &str,
        request: &str,
    ) -> Result<(SpiffeId, String), AuthorityError> {
        let spiffe_id = SpiffeId::of(&self.trust_domain, role, name)?;
        let certificate = self.certify_again(clock, &spiffe_id, request)?;
        Ok((spiffe_id, certificate))
    }

    /// Certifies a key of somebody who has shown a certificate of this id.
    pub fn certify_again(
        &self,
        clock: &dyn Clock,
        id: &SpiffeId,
        request: &str,
    ) -> Result<String, AuthorityError> {
        let mut request =
            CertificateSigningRequestParams::from_pem(request).map_err(AuthorityError::Request)?;
        request.params = self.leaf(clock, id, ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(request.signed_by(&self.ca.0)?.pem())
    }

    /// Makes and certifies an identity of our own: the first operator, a replica.
    pub fn issue(&self, clock: &dyn Clock, role: Role, name: &str) -> Result<Identity, AuthorityError> {
        self.certify_own(clock, role, name, &KeyPair::generate()?)
    }

    fn certify_own(
        &self,
        clock: &dyn Clock,
        role: Role,
        name: &str,
        key: &KeyPair,
    ) -> Result<Identity, AuthorityError> {
        let spiffe_id = SpiffeId::of(&self.trust_domain, role, name)?;
        let params = self.leaf(clock, &spiffe_id, ExtendedKeyUsagePurpose::ClientAuth)?;
        let certificate = params.signed_by(key, &self.ca.0)?;
        Ok(Identity {
            spiffe_id,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Certifies a key of our own anew, PEM, as its certificate nears its end.
    pub fn renew(
        &self,
        clock: &dyn Clock,
        role: Role,
        name: &str,
        key: &str,
    ) -> Result<Identity, AuthorityError> {
        self.certify_own(clock, role, name, &KeyPair::from_pem(key)?)
    }

    /// Makes and certifies the identity of a replica that answers to these host names.
    pub fn issue_server(
        &self,
        clock: &dyn Clock,
        name: &str,
        hosts: &[String],
    ) -> Result<Identity, AuthorityError> {
        let spiffe_id = SpiffeId::of(&self.trust_domain, Role::ControlPlane, name)?;
        let key = KeyPair::generate()?;
        let mut params = self.leaf(clock, &spiffe_id, ExtendedKeyUsagePurpose::ServerAuth)?;
        for host in hosts {
            let name = match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(host.as_str().try_into()?),
            };
            params.subject_alt_names.push(name);
        }
        let certificate = params.signed_by(&key, &self.ca.0)?;
        Ok(Identity {
            spiffe_id,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// For one who is certified now.
    fn leaf(
        &self,
        clock: &dyn Clock,
        id: &SpiffeId,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<CertificateParams, AuthorityError> {
        let mut params = leaf(id, purpose)?;
        set_validity(&mut params, clock, self.certificate_life);
        Ok(params)
    }

    fn make(directory: &Path, clock: &dyn Clock) -> Result<(), AuthorityError> {
        let unusable = |source| AuthorityError::Key {
            path: "a new key".to_owned(),
            source,
        };
        let generate = || SigningKey::generate().map_err(unusable);
        let (root, bundle, grant) = (generate()?, generate()?, generate()?);
        let (ca_key, ca_certificate) = make_ca(clock)?;
        let load = |bytes: &[u8]| SigningKey::from_pkcs8(bytes).map_err(unusable);
        let root_key = load(&root)?;
        let key_set = KeySet {
            version: 1,
            bundle: vec![load(&bundle)?.verifying()],
            grant: vec![load(&grant)?.verifying()],
            ca: Sha256::of(ca_certificate.der()),
        };
        files::create_directory(directory)?;
        write_secret(&directory.join("root.key"), &root)?;
        write_secret(&directory.join("root.pub"), root_key.verifying().as_bytes())?;
        write_secret(&directory.join("bundle.key"), &bundle)?;
        write_secret(&directory.join("grant.key"), &grant)?;
        write_secret(&directory.join("ca.key"), ca_key.serialize_pem().as_bytes())?;
        write_secret(&directory.join("ca.pem"), ca_certificate.pem().as_bytes())?;
        write_secret(&directory.join("masking.key"), &random_bytes::<32>())?;
        // Last: a directory that has it is whole.
        write_secret(
            &directory.join("key-set"),
            &key_set.sign(&root_key).encode_to_vec(),
        )
    }
}

impl Identity {
    /// When its certificate ends.
    pub fn not_after_ms(&self) -> Result<u64, AuthorityError> {
        not_after_ms(&self.certificate)
    }
}

/// When a certificate ends, PEM.
pub fn not_after_ms(certificate: &str) -> Result<u64, AuthorityError> {
    Ok(Certificate::parse(certificate, "a certificate")?.not_after_ms)
}

/// Which key a certificate certifies, PEM: SHA-256 of the public key.
pub fn key_sha256(certificate: &str) -> Result<Sha256, AuthorityError> {
    let certificate = Certificate::parse(certificate, "a certificate")?;
    Ok(Sha256::of(&certificate.public_key))
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("trust_domain", &self.trust_domain)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.spiffe_id)
    }
}

impl std::fmt::Debug for CaIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CaIssuer(…)")
    }
}

fn make_ca(clock: &dyn Clock) -> Result<(KeyPair, rcgen::Certificate), AuthorityError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Checkrein CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, clock, CA_LIFE);
    let certificate = params.self_signed(&key)?;
    Ok((key, certificate))
}

/// An X.509-SVID: one URI name, no CA, for one purpose.
fn leaf(id: &SpiffeId, purpose: ExtendedKeyUsagePurpose) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, id.name());
    params.subject_alt_names = vec![SanType::URI(id.as_str().try_into()?)];
    if id.role() == Some(Role::Enforcer) {
        params.subject_alt_names.extend(local_hosts()?);
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // An enforcer's certificate serves its own agents over TCP too.
    params.extended_key_usages = match id.role() {
        Some(Role::Enforcer) => vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ],
        _ => vec![purpose],
    };
    params.serial_number = Some(SerialNumber::from_slice(&random_bytes::<16>()));
    Ok(params)
}

/// An enforcer serves the agents beside it.
fn local_hosts() -> Result<[SanType; 3], AuthorityError> {
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    Ok([
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(v4),
        SanType::IpAddress(v6),
    ])
}

fn saturating(life: std::time::Duration) -> Duration {
    life.try_into().unwrap_or(Duration::MAX)
}

fn set_validity(params: &mut CertificateParams, clock: &dyn Clock, life: Duration) {
    let now: OffsetDateTime = from_ms(clock.wall_ms());
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + life;
}

#[cfg(test)]
mod tests;
