//! Terms of standing approvals, and the bounds that are shown of them.

use std::collections::BTreeSet;

use checkrein_proto::hold::v1 as wire;
use wire::bound::How;

use super::InvalidMessage;
use crate::action::{Arguments, Number};
use crate::hold::{Bound, Bounds, Terms};
use crate::text::shown;

/// Terms name at most so many arguments.
const BOUNDS_MAX: usize = 256;
/// A task carries at most so many labels.
const LABELS_MAX: usize = 256;
/// A number is written in at most so many bytes.
const NUMBER_BYTES_MAX: usize = 64;

impl From<&Terms> for wire::Terms {
    fn from(terms: &Terms) -> Self {
        let at_most = terms.bounds.at_most.iter().map(|(argument, most)| wire::Bound {
            argument: argument.clone(),
            how: Some(How::AtMost(most.as_str().to_owned())),
        });
        let any = terms.bounds.any.iter().map(|argument| wire::Bound {
            argument: argument.clone(),
            how: Some(How::Any(true)),
        });
        Self {
            for_ms: terms.for_ms,
            times: terms.times,
            bounds: at_most.chain(any).collect(),
            labels: terms.labels.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Terms say only what may differ: what is exactly as shown has no word in them.
impl TryFrom<wire::Terms> for Terms {
    type Error = InvalidMessage;

    fn try_from(terms: wire::Terms) -> Result<Self, InvalidMessage> {
        let too_many = |field, max| Err(InvalidMessage::TooMany { field, max });
        if terms.bounds.len() > BOUNDS_MAX {
            return too_many("terms.bounds", BOUNDS_MAX);
        }
        if terms.labels.len() > LABELS_MAX {
            return too_many("terms.labels", LABELS_MAX);
        }
        let mut bounds = Bounds::default();
        for bound in terms.bounds {
            match bound.how {
                Some(How::AtMost(most)) => {
                    bounds.at_most.insert(bound.argument, number(&most)?);
                }
                Some(How::Any(true)) => {
                    bounds.any.insert(bound.argument);
                }
                _ => return Err(InvalidMessage::Missing("terms.bounds.how")),
            }
        }
        let labels = terms.labels.iter().map(|label| label.parse());
        Ok(Self {
            for_ms: terms.for_ms,
            times: terms.times,
            bounds,
            labels: labels.collect::<Result<BTreeSet<_>, _>>()?,
        })
    }
}

/// The bound of every argument that was shown, in their order.
pub fn bounds_to_wire(bounds: &Bounds, held: &Arguments) -> Vec<wire::Bound> {
    let encode = |(name, value)| wire::Bound {
        argument: String::from(name),
        how: Some(match bounds.of(name, value) {
            Bound::Exactly(value) => {
                let mut text = String::new();
                value.write_canonical(&mut text);
                How::Exactly(text)
            }
            Bound::AtMost(most) => How::AtMost(most.as_str().to_owned()),
            Bound::Any => How::Any(true),
        }),
    };
    held.members().map(encode).collect()
}

fn number(text: &str) -> Result<Number, InvalidMessage> {
    Number::parse(text)
        .filter(|_| text.len() <= NUMBER_BYTES_MAX)
        .ok_or_else(|| InvalidMessage::UnknownValue {
            field: "terms.bounds.at_most",
            value: format!("`{}`: expected a number", shown(text)),
        })
}
