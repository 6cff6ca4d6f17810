//! Mail addresses in some domains.
//!
//! One bare address of a small form (RFC 5321's dot-string, without what old relays take for a route): no display name, no
//! comment, no quotes, no address literal, and a domain in ASCII; one of another script is written as its A-label.
//!
//! **Invariant**: there is one `@` in an admitted address, and what follows it is the domain it is delivered to.

use serde_json::{Value, json};

use super::member::{Budget, Members, wrong};
use super::{InvalidConstraint, Refused, met, text};
use crate::action::Json;

/// An address may have this many bytes (RFC 5321, section 4.5.3.1.3).
const ADDRESS_BYTES_MAX: usize = 254;
/// What stands before the `@` may have this many (RFC 5321, section 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;

/// Domains, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domains(Vec<String>);

impl Domains {
    pub(super) fn read(members: &mut Members<'_>, budget: &mut Budget) -> Result<Self, InvalidConstraint> {
        let domains = budget.texts("domains", members.take("domains")?)?;
        if domains.iter().all(|domain| is_host(domain)) {
            return Ok(Self(domains));
        }
        Err(wrong(
            "domains",
            "each must be a domain in lower case; one of another script is written as its A-label (`xn--…`)",
        ))
    }

    pub(super) fn write(&self) -> Value {
        json!({"constraint_type": "email_domain", "domains": self.0})
    }

    /// One address, or a list of them.
    pub(super) fn admits(&self, value: &Json) -> Result<(), Refused> {
        match value {
            Json::Array(addresses) => addresses.iter().try_for_each(|each| self.admits_one(text(each)?)),
            one => self.admits_one(text(one)?),
        }
    }

    pub(super) fn narrows(&self, parent: &Self) -> bool {
        self.0.iter().all(|domain| parent.0.contains(domain))
    }

    fn admits_one(&self, address: &str) -> Result<(), Refused> {
        let unreadable = Refused("it is not one bare mail address");
        let (local, domain) = address.split_once('@').ok_or(unreadable)?;
        let domain = domain.to_ascii_lowercase();
        let is_atom = |atom: &str| {
            !atom.is_empty()
                && atom
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_+-='".contains(&byte))
        };
        let is_local =
            local.len() <= LOCAL_BYTES_MAX && local.split('.').all(is_atom) && !local.starts_with('-');
        met(
            is_local && is_host(&domain) && address.len() <= ADDRESS_BYTES_MAX,
            unreadable.0,
        )?;
        met(
            self.0.contains(&domain),
            "the address is in none of the domains that are allowed",
        )
    }
}

/// Whether this is a host name in lower case (RFC 1123, section 2.1), and no address: its last label begins with a letter.
pub(super) fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_within = (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        is_within
            && label
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_name = last.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    name.len() <= 253 && name.split('.').all(is_label) && is_name
}
