//! Addresses and networks within ranges.
//!
//! **Invariant**: an address is written in its one way (no octal, no zone, no IPv4 inside IPv6), and a network covers what
//! it says: no bits beyond its prefix.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use serde_json::{Value, json};

use super::member::{Budget, Members, wrong};
use super::{InvalidConstraint, Refused, met};

/// Networks, any of which may hold what is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges(Vec<IpNet>);

impl Ranges {
    pub(super) fn read(members: &mut Members<'_>, budget: &mut Budget) -> Result<Self, InvalidConstraint> {
        let texts = budget.texts("ranges", members.take("ranges")?)?;
        let range = |text: &String| network(text).map_err(|Refused(why)| wrong("ranges", why));
        texts.iter().map(range).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn write(&self) -> Value {
        let ranges: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        json!({"constraint_type": "cidr", "ranges": ranges})
    }

    pub(super) fn admits(&self, text: &str) -> Result<(), Refused> {
        let network = network(text)?;
        met(
            self.hold(&network),
            "the address is in none of the ranges that are allowed",
        )
    }

    pub(super) fn narrows(&self, parent: &Self) -> bool {
        self.0.iter().all(|range| parent.hold(range))
    }

    fn hold(&self, network: &IpNet) -> bool {
        self.0.iter().any(|range| range.contains(network))
    }
}

/// An address, as the network of itself alone, or a network.
fn network(text: &str) -> Result<IpNet, Refused> {
    let unreadable = Refused("it is not an IP address or network written in the usual way");
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| unreadable)?;
    let Some(prefix) = prefix else {
        met(
            !is_disguised(&IpNet::from(address)),
            "it is an IPv4 address written as IPv6",
        )?;
        return Ok(address.into());
    };
    let bits: u8 = prefix.parse().map_err(|_| unreadable)?;
    met(
        bits.to_string() == prefix,
        "its prefix is not written in the usual way",
    )?;
    let network = IpNet::new(address, bits).map_err(|_| unreadable)?;
    met(
        network.trunc() == network,
        "the network's address has bits beyond its prefix",
    )?;
    met(!is_disguised(&network), "it is an IPv4 network written as IPv6")?;
    Ok(network)
}

/// Whether it is an IPv4 address or network in the clothes of IPv6 (RFC 4291, section 2.5.5).
fn is_disguised(network: &IpNet) -> bool {
    let mapped = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
    matches!(network, IpNet::V6(network) if mapped.contains(network))
}
