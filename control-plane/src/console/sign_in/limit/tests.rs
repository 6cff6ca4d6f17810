//! Tries at signing in are counted.

use std::net::{IpAddr, Ipv4Addr};

use super::{ADDRESSES_MAX, Limit, TRIES_MAX, TRIES_OF_ALL_MAX, TooOften, WINDOW_MS};

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(number))
}

#[test]
fn one_address_is_refused_after_so_many_tries_and_others_are_not() {
    let limit = Limit::default();
    for _ in 0..TRIES_MAX {
        assert_eq!(limit.try_once(address(1), 5), Ok(()));
    }
    assert_eq!(limit.try_once(address(1), WINDOW_MS - 1), Err(TooOften));
    assert_eq!(limit.try_once(address(2), 6), Ok(()));
    assert_eq!(limit.try_once(address(1), 2 * WINDOW_MS), Ok(()));
}

#[test]
fn the_addresses_of_one_network_are_one() {
    let limit = Limit::default();
    let of = |text: &str| text.parse().unwrap();
    for _ in 0..TRIES_MAX / 2 {
        assert_eq!(limit.try_once(of("2001:db8:1:2::1"), 5), Ok(()));
        assert_eq!(limit.try_once(of("2001:db8:1:2:ffff::9"), 5), Ok(()));
    }
    assert_eq!(limit.try_once(of("2001:db8:1:2:3::"), 5), Err(TooOften));
    assert_eq!(limit.try_once(of("2001:db8:1:3::1"), 5), Ok(()));
    for _ in 0..TRIES_MAX {
        assert_eq!(limit.try_once(of("::ffff:192.0.2.1"), 5), Ok(()));
    }
    assert_eq!(limit.try_once(of("192.0.2.1"), 5), Err(TooOften));
}

#[test]
fn many_addresses_share_one_bound_and_take_no_more_room_than_there_is() {
    let limit = Limit::default();
    for number in 0..TRIES_OF_ALL_MAX {
        assert_eq!(limit.try_once(address(number), 1), Ok(()));
    }
    for number in 0..2 * u32::try_from(ADDRESSES_MAX).unwrap_or_default() {
        assert_eq!(limit.try_once(address(number + 10_000), 1), Err(TooOften));
    }
    assert!(
        limit
            .0
            .lock()
            .is_ok_and(|tries| tries.by_address.len() <= ADDRESSES_MAX)
    );
}
