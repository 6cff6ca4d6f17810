//! How often, of how many.

use checkrein_proto::hold::v1::Numbers;

/// So many places are what so few holds can say.
const PLACES: f64 = 1_000.0;

/// How many of a hundred calls were put to people; none: no call was counted.
pub(crate) fn interruption_rate(numbers: &Numbers) -> Option<f64> {
    share(numbers.asked, numbers.calls).map(|share| (share * 100.0 * PLACES).round() / PLACES)
}

/// Which part of what people were asked, and will not answer any more, expired; none: there is nothing of the kind.
pub(crate) fn expired_share(numbers: &Numbers) -> Option<f64> {
    let ended = numbers.approved + numbers.denied + numbers.expired;
    share(numbers.expired, ended).map(|share| (share * PLACES).round() / PLACES)
}

#[expect(clippy::cast_precision_loss, reason = "a share is shown in three places")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
