//! A JSON number without loss: its digits and a power of ten.
//!
//! **Invariant**: no floating point. Two numbers that a double can't tell apart are still two.

use std::cmp::Ordering;

use super::Number;

/// A number without loss: its digits times a power of ten.
pub(super) struct Exact<'a> {
    pub(super) is_negative: bool,
    /// Without a zero at either end; none: it is 0.
    pub(super) digits: String,
    pub(super) exponent: i64,
    written: &'a str,
}

impl<'a> Exact<'a> {
    pub(super) fn of(number: &'a Number) -> Self {
        let (is_negative, text) = match number.0.strip_prefix('-') {
            Some(text) => (true, text),
            None => (false, number.0.as_str()),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = format!("{whole}{fraction}");
        let all = digits.len();
        digits.truncate(digits.trim_end_matches('0').len());
        let at_end = all - digits.len();
        digits.drain(..digits.len() - digits.trim_start_matches('0').len());
        let count = |digits: usize| i64::try_from(digits).unwrap_or(i64::MAX);
        // A power that no 64 bits hold is as far from 1 as makes no difference.
        let far = if exponent.starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        };
        Self {
            is_negative,
            digits,
            exponent: exponent
                .parse()
                .unwrap_or(far)
                .saturating_add(count(at_end))
                .saturating_sub(count(fraction.len())),
            written: exponent,
        }
    }

    /// Which is greater; none: one of them is out of reach.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self.sign(), other.sign()) {
            (0, 0) => return Some(Ordering::Equal),
            (left, right) if left != right => return Some(left.cmp(&right)),
            _ => {}
        }
        let size = self.magnitude()?.cmp(&other.magnitude()?);
        // Of one magnitude, the first digit that differs decides; the rest of a shorter one is zeros.
        let size = size.then_with(|| self.digits.cmp(&other.digits));
        Some(if self.is_negative { size.reverse() } else { size })
    }

    /// Where the first digit stands; none where that was cut to what 64 bits hold.
    fn magnitude(&self) -> Option<i64> {
        let _is_held: i64 = self.written.parse().ok()?;
        self.exponent.checked_add(i64::try_from(self.digits.len()).ok()?)
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}
