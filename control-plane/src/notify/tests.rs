//! What needs no database and no receiver.

mod forms;
mod settings;

use std::collections::BTreeSet;
use std::time::Duration;

use super::address::may_reach;
use super::retry::{AGE_MAX, ATTEMPTS_MAX, wait_after};
use super::{Kind, webhook};

#[test]
fn every_kind_has_one_row_and_its_word_names_it() {
    let words: BTreeSet<&str> = Kind::usual().map(Kind::as_str).collect();
    assert!(words.contains("hold.opened") && !words.contains("test"));
    for word in [
        "hold.opened",
        "hold.reminder",
        "hold.asked",
        "hold.handed_on",
        "hold.escalated",
        "hold.glass_requested",
        "hold.approved",
        "hold.glass_broken",
        "hold.denied",
        "hold.expired",
        "hold.cancelled",
        "hold.unknown",
        "standing.given",
        "standing.used",
        "standing.revoked",
        "test",
    ] {
        assert_eq!(word.parse::<Kind>().unwrap().as_str(), word);
    }
    assert!(Kind::asked("test").is_err());
}

#[test]
fn an_internal_address_is_reached_only_if_its_network_is_allowed() {
    let internal = [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.31.255.255",
        "192.168.0.1",
        "198.19.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];
    for address in internal.map(|address| address.parse().unwrap()) {
        assert!(!may_reach(address, true, &[]), "{address}");
    }
    let public = [
        "1.1.1.1",
        "172.32.0.1",
        "100.128.0.1",
        "2606:4700::1",
        "64:ff9b::101:101",
    ];
    for address in public.map(|address| address.parse().unwrap()) {
        assert!(may_reach(address, true, &[]), "{address}");
        assert!(!may_reach(address, false, &[]), "{address} in the clear");
    }
    let allowed = ["10.0.0.0/8".parse().unwrap()];
    for (address, reached) in [
        ("10.9.8.7", true),
        ("::ffff:10.9.8.7", true),
        ("192.168.0.1", false),
    ] {
        assert_eq!(
            may_reach(address.parse().unwrap(), false, &allowed),
            reached,
            "{address}"
        );
    }
}

#[test]
fn tries_come_further_and_further_apart_and_end() {
    let mut age = Duration::ZERO;
    for attempt in 1..ATTEMPTS_MAX {
        let wait = wait_after(attempt, age, None).unwrap();
        let doubled = Duration::from_secs(5 << (attempt - 1)).min(Duration::from_hours(1));
        assert!(wait >= doubled / 2 && wait < doubled, "{attempt}: {wait:?}");
        age += wait;
    }
    assert_eq!(wait_after(ATTEMPTS_MAX, age, None), None);
    // What a receiver asks for is honoured, and ends with the time there is.
    let asked = Some(Duration::from_hours(1));
    assert_eq!(wait_after(1, Duration::ZERO, asked), asked);
    assert_eq!(wait_after(1, AGE_MAX, asked), None);
}

/// The example of the specification's own test suites.
#[test]
fn the_published_vector_of_standard_webhooks_is_signed_as_published() {
    let key = webhook::parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let body = br#"{"test": 2432232314}"#;
    let headers = webhook::sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, body, &[key]);
    let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(headers[2], ("webhook-signature", expected.to_owned()));
    assert_eq!(headers[1], ("webhook-timestamp", "1614265330".to_owned()));
}
