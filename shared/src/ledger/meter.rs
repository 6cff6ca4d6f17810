//! What calls use up: money, rows, bytes, tokens, calls of models.
//!
//! Money is counted in ten-thousandths of its unit, as exact as rules can read it.
//!
//! **Invariant**: an amount is exact or refused, never below 0, and so small that any two of them can be added.

use std::str::FromStr;

use thiserror::Error;

use crate::text::shown;

/// No amount, and no budget, is larger.
pub const AMOUNT_MAX: u64 = 1_000_000_000_000_000_000;
/// Money has so many places behind the point.
const MONEY_PLACES: usize = 4;
const MONEY_UNIT: u64 = 10_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Meter {
    /// In ten-thousandths.
    Money,
    /// Records that were read or changed.
    Rows,
    /// Bytes that were moved.
    Bytes,
    /// Tokens of models.
    Tokens,
    /// Calls of models.
    ModelCalls,
    /// Calls, over tasks; those of one task are [limited](crate::grant::Limits) by themselves.
    Calls,
}

/// Amounts by meter; of a meter that is absent nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Amounts([Option<u64>; Meter::ALL.len()]);

/// What is no amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidAmount {
    /// No such meter.
    #[error("`{0}` is not counted; expected `money`, `rows`, `bytes`, `tokens`, `model_calls` or `calls`")]
    Meter(String),
    /// Not an amount of it.
    #[error(
        "`{text}` is no amount of {meter}; expected a number from 0 on{}",
        places(meter)
    )]
    Amount {
        /// Of what.
        meter: &'static str,
        /// As it was written.
        text: String,
    },
    /// Not both.
    #[error("`{0}` is not `<meter>=<amount>`, such as `money=500`")]
    NoPair(String),
    /// Said twice.
    #[error("{0} stands twice")]
    Twice(&'static str),
}

impl Meter {
    /// Every one of them.
    pub const ALL: [Self; 6] = [
        Self::Money,
        Self::Rows,
        Self::Bytes,
        Self::Tokens,
        Self::ModelCalls,
        Self::Calls,
    ];

    /// Those of which a task and its grants have budgets, and rules read what is spent.
    pub const OF_TASKS: [Self; 5] = [
        Self::Money,
        Self::Rows,
        Self::Bytes,
        Self::Tokens,
        Self::ModelCalls,
    ];

    /// The word for it, everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Money => "money",
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Tokens => "tokens",
            Self::ModelCalls => "model_calls",
            Self::Calls => "calls",
        }
    }

    /// An amount of it as people write it.
    pub fn parse(self, text: &str) -> Result<u64, InvalidAmount> {
        let amount = match self {
            Self::Money => parse_money(text),
            _ => digits(text),
        };
        let amount = amount.filter(|amount| *amount <= AMOUNT_MAX);
        amount.ok_or_else(|| InvalidAmount::Amount {
            meter: self.as_str(),
            text: shown(text),
        })
    }

    /// An amount of it as people read it.
    pub fn text(self, amount: u64) -> String {
        if self != Self::Money {
            return amount.to_string();
        }
        let (whole, rest) = (amount / MONEY_UNIT, amount % MONEY_UNIT);
        if rest == 0 {
            return whole.to_string();
        }
        let rest = format!("{rest:0MONEY_PLACES$}");
        format!("{whole}.{}", rest.trim_end_matches('0'))
    }

    const fn place(self) -> usize {
        self as usize
    }
}

impl FromStr for Meter {
    type Err = InvalidAmount;

    fn from_str(word: &str) -> Result<Self, InvalidAmount> {
        let known = Self::ALL.into_iter().find(|meter| meter.as_str() == word);
        known.ok_or_else(|| InvalidAmount::Meter(shown(word)))
    }
}

impl Amounts {
    /// The amount of this meter, if one is said.
    pub const fn get(&self, meter: Meter) -> Option<u64> {
        self.0[meter.place()]
    }

    /// Says one.
    pub const fn set(&mut self, meter: Meter, amount: u64) {
        self.0[meter.place()] = Some(amount);
    }

    /// The same with one.
    #[must_use]
    pub const fn with(mut self, meter: Meter, amount: u64) -> Self {
        self.set(meter, amount);
        self
    }

    /// Nothing is said.
    pub const fn none() -> Self {
        Self([None; Meter::ALL.len()])
    }

    /// 0 of everything.
    pub const fn zero() -> Self {
        Self([Some(0); Meter::ALL.len()])
    }

    /// Those that are said.
    pub fn iter(&self) -> impl Iterator<Item = (Meter, u64)> + '_ {
        Meter::ALL
            .into_iter()
            .filter_map(|meter| Some((meter, self.get(meter)?)))
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// These, and the others where these say nothing.
    #[must_use]
    pub fn or(mut self, others: Self) -> Self {
        for (meter, amount) in others.iter() {
            self.0[meter.place()].get_or_insert(amount);
        }
        self
    }

    /// Both together, at most so much as there can be.
    #[must_use]
    pub fn plus(mut self, others: &Self) -> Self {
        for (meter, amount) in others.iter() {
            let own = self.get(meter).unwrap_or_default();
            self.set(meter, own.saturating_add(amount).min(AMOUNT_MAX));
        }
        self
    }

    /// What is left of these without the others.
    #[must_use]
    pub fn minus(mut self, others: &Self) -> Self {
        for (meter, amount) in others.iter() {
            if let Some(own) = self.get(meter) {
                self.set(meter, own.saturating_sub(amount));
            }
        }
        self
    }

    /// Whether whoever has these as its budgets has no more than whoever has the others: absent is without bound.
    pub fn is_within(&self, parent: &Self) -> bool {
        parent
            .iter()
            .all(|(meter, most)| self.get(meter).is_some_and(|own| own <= most))
    }

    /// From pairs of words, each meter once.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, InvalidAmount> {
        let mut amounts = Self::default();
        for (word, text) in pairs {
            let meter: Meter = word.parse()?;
            if amounts.get(meter).is_some() {
                return Err(InvalidAmount::Twice(meter.as_str()));
            }
            amounts.set(meter, meter.parse(text)?);
        }
        Ok(amounts)
    }
}

/// One pair as people write it: `money=500`.
pub fn parse_pair(text: &str) -> Result<(Meter, u64), InvalidAmount> {
    let (word, amount) = text
        .split_once('=')
        .ok_or_else(|| InvalidAmount::NoPair(shown(text)))?;
    let meter: Meter = word.parse()?;
    Ok((meter, meter.parse(amount)?))
}

fn parse_money(text: &str) -> Option<u64> {
    let (whole, places) = text.split_once('.').unwrap_or((text, "0"));
    if places.len() > MONEY_PLACES {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(MONEY_PLACES - places.len()).ok()?);
    digits(whole)?
        .checked_mul(MONEY_UNIT)?
        .checked_add(digits(places)?.checked_mul(scale)?)
}

/// Digits and nothing else: no sign, no space.
fn digits(text: &str) -> Option<u64> {
    let are_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| text.parse().ok()).flatten()
}

fn places(meter: &str) -> &'static str {
    if meter == Meter::Money.as_str() {
        " with at most four places"
    } else {
        ", whole"
    }
}

#[cfg(test)]
mod tests;
