//! What a call of a tool uses up at most, known before it is made: constant, or what an argument says.
//!
//! **Invariant**: a cost is exactly what the arguments say, or the call is denied. Nothing is rounded, nothing is below 0.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Tool;
use crate::action::{Arguments, Json};
use crate::ledger::{AMOUNT_MAX, Amounts, Meter};
use crate::policy::argument::{ArgumentType, Scalar};

/// What a call uses up, by meter.
pub type Cost = BTreeMap<Meter, Price>;

/// How much of one meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The top-level argument that says it; none: it is constant.
    pub argument: Option<String>,
    /// How much, if the argument is not sent; none: such a call is denied.
    pub amount: Option<u64>,
}

/// As a catalog file writes it: `"amount"`, `100`, `{ argument = "max_tokens", default = 4000 }` or `{ amount = "0.05" }`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Written {
    Constant(u64),
    Argument(String),
    Table(Table),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    argument: Option<String>,
    default: Option<Number>,
    amount: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    /// Exact, which a number of TOML with a point in it is not.
    Text(String),
}

impl Tool {
    /// What this call uses up at most; else why that can't be said, of whoever made the call.
    pub fn cost_of(&self, arguments: &Arguments) -> Result<Amounts, String> {
        let mut amounts = Amounts::default();
        for (meter, price) in &self.cost {
            amounts.set(*meter, price.of(*meter, arguments)?);
        }
        Ok(amounts)
    }

    /// Why this can't be the price of its calls.
    pub(super) fn refuse_price(&self, price: &Price) -> Option<(String, &'static str)> {
        let Some(name) = &price.argument else { return None };
        match self.argument(name) {
            None => Some((
                format!("`{}` has no argument `{name}`", self.id),
                "name a top-level argument whose value is the amount",
            )),
            Some(ArgumentType::Scalar(Scalar::Long | Scalar::Decimal)) => None,
            Some(_) => Some((
                format!("the value of `{name}` is no amount"),
                "name an argument that is a number",
            )),
        }
    }

    /// Whether calls may leave out what says their price, and are denied then.
    pub(super) fn may_lack(&self, price: &Price) -> bool {
        let member = price
            .argument
            .as_ref()
            .and_then(|name| self.arguments.member(name));
        price.amount.is_none() && member.is_some_and(super::super::argument::Member::is_optional)
    }
}

impl Price {
    fn of(&self, meter: Meter, arguments: &Arguments) -> Result<u64, String> {
        let Some(name) = &self.argument else {
            return self
                .amount
                .ok_or_else(|| "the catalog names no amount".to_owned());
        };
        let said = match arguments.get(name) {
            None | Some(Json::Null) => {
                let missing = || {
                    format!(
                        "`{name}` says how much {} the call takes, and is missing",
                        meter.as_str()
                    )
                };
                return self.amount.ok_or_else(missing);
            }
            Some(Json::Number(number)) if meter == Meter::Money => number.to_decimal_units(),
            Some(Json::Number(number)) => number.to_long(),
            Some(_) => None,
        };
        let amount = said.and_then(|said| u64::try_from(said).ok());
        amount.filter(|amount| *amount <= AMOUNT_MAX).ok_or_else(|| {
            format!(
                "`{name}` says how much {} the call takes, and is not exactly an amount from 0 on",
                meter.as_str()
            )
        })
    }
}

impl Written {
    /// What it means for this meter; else why it means nothing.
    pub(super) fn price(self, meter: Meter) -> Result<Price, String> {
        let amount = |number: Number| {
            let text = match number {
                Number::Whole(number) => number.to_string(),
                Number::Text(text) => text,
            };
            meter.parse(&text).map_err(|error| error.to_string())
        };
        let (argument, number) = match self {
            Self::Argument(argument) => (Some(argument), None),
            Self::Constant(number) => (None, Some(Number::Whole(number))),
            Self::Table(Table {
                argument: Some(argument),
                default,
                amount: None,
            }) => (Some(argument), default),
            Self::Table(Table {
                argument: None,
                default: None,
                amount: Some(number),
            }) => (None, Some(number)),
            Self::Table(_) => {
                return Err(
                    "a price has an `argument`, with or without a `default`, or else an `amount`".to_owned(),
                );
            }
        };
        Ok(Price {
            argument,
            amount: number.map(amount).transpose()?,
        })
    }
}
