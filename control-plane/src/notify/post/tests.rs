//! How long a receiver may ask to be left alone.

use std::time::Duration;

use super::{RETRY_AFTER_MAX, retry_after};

/// Sun, 06 Nov 1994 08:49:37 GMT
const THEN_MS: u64 = 784_111_777_000;

#[test]
fn retry_after_is_seconds_or_a_date_and_never_more_than_the_bound() {
    let wait = |text| retry_after(text, THEN_MS - 90_000);
    assert_eq!(wait("7"), Some(Duration::from_secs(7)));
    assert_eq!(
        wait("Sun, 06 Nov 1994 08:49:37 GMT"),
        Some(Duration::from_secs(90))
    );
    // A date that has passed asks for nothing.
    assert_eq!(wait("Sat, 06 Nov 1993 08:49:37 GMT"), Some(Duration::ZERO));
    assert_eq!(wait("18446744073709551615"), Some(RETRY_AFTER_MAX));
    assert_eq!(wait("Sat, 06 Nov 2094 08:49:37 GMT"), Some(RETRY_AFTER_MAX));
    assert_eq!(wait("soon"), None);
}
