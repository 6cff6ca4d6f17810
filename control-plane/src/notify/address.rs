//! Which addresses a channel may connect to.
//!
//! A receiver's name is looked up anew for each delivery, and whoever answers for the name could point it at this network. So
//! the address that is connected to is judged, and never the name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// IPv4 networks that nobody on the Internet is in: this network, private ones, carriers', loopback, link-local with the
/// metadata services of clouds, protocol assignments, examples, benchmarks, multicast, reserved (RFC 6890).
const INTERNAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Whether a connection to this address is allowed: a public one is, over TLS; any other only if it is in `allowed`.
pub(super) fn may_reach(address: IpAddr, is_encrypted: bool, allowed: &[IpNet]) -> bool {
    let address = plain(address);
    allowed.iter().any(|net| net.contains(&address)) || (is_encrypted && !is_internal(address))
}

/// An IPv4 address in the clothes of an IPv6 one is an IPv4 address.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_internal_v4(address),
        IpAddr::V6(address) => is_internal_v6(address),
    }
}

fn is_internal_v4(address: Ipv4Addr) -> bool {
    let address = u32::from(address);
    INTERNAL_V4
        .iter()
        .any(|(net, bits)| (address ^ u32::from(*net)) >> (32 - bits) == 0)
}

/// Of IPv6 only what is global unicast is public, and of that neither examples nor what tunnels to an IPv4 address; the gateways
/// of NAT64 are as public as the address behind them.
fn is_internal_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let last = |segments: [u16; 8]| {
        let ([a, b], [c, d]) = (segments[6].to_be_bytes(), segments[7].to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    if address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        return is_internal_v4(last(address.segments()));
    }
    let is_global_unicast = first & 0xe000 == 0x2000;
    let is_special = (first == 0x2001 && (second < 0x200 || second == 0xdb8))
        || first == 0x2002
        || first & 0xfff0 == 0x3ff0;
    !is_global_unicast || is_special
}
