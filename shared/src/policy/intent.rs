//! Which arguments the user named: those whose every value stands among the values of the grant.
//!
//! Strings are compared exactly, numbers as numbers (`10`, `10.0` and `1e1` are one). Booleans and the empty string are
//! values like others: named only if the user's values hold the word `true` or `false`, or the empty string itself. So a
//! flag beside a named address (`public`, `recursive`) leaves the argument unnamed. The names of members that the catalog
//! does not list are values too: they come from whoever wrote the arguments.
//!
//! What holds no value at all (`null`, `[]`, `{}`, and nothing else inside) is not named. To a tool it may mean "all" or
//! "none", and the user said neither; a rule that knows which asks with `has` or `isEmpty`.

use std::collections::HashSet;

use super::argument::{ArgumentType, RecordType};
use crate::action::{Arguments, Json};

/// What the user named, in the forms it is asked for.
struct Named<'a> {
    texts: HashSet<&'a str>,
    numbers: HashSet<Decimal>,
}

/// A decimal number of any size, in the one form it has: no zeros at either end.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

/// What has been seen of one argument.
#[derive(Default)]
struct Seen {
    values: usize,
    unnamed: bool,
}

/// The names of the arguments whose every value the user named.
pub(super) fn named_arguments<'a>(
    arguments: &'a Arguments,
    types: &RecordType,
    named: &[String],
) -> impl Iterator<Item = &'a str> {
    let named = Named::of(named);
    let is_named = move |name: &str, json: &Json| {
        let mut seen = Seen::default();
        let member = types.member(name);
        if member.is_none() {
            seen.text(name, &named);
        }
        seen.look(json, member.map(|member| &member.ty), &named);
        !seen.unnamed && seen.values > 0
    };
    let found: Vec<_> = arguments
        .members()
        .filter(|(name, json)| is_named(name, json))
        .collect();
    found.into_iter().map(|(name, _)| name)
}

impl<'a> Named<'a> {
    fn of(named: &'a [String]) -> Self {
        Self {
            texts: named.iter().map(String::as_str).collect(),
            numbers: named.iter().filter_map(|text| Decimal::parse(text)).collect(),
        }
    }
}

/// Whether the user named a value: text or a number, as either is compared here.
pub(super) fn is_named(named: &[String]) -> impl Fn(&str) -> bool {
    let named = Named::of(named);
    let folded: HashSet<String> = named
        .texts
        .iter()
        .map(|text| text.trim().to_lowercase())
        .collect();
    move |value| {
        named.texts.contains(value)
            || folded.contains(value)
            || Decimal::parse(value).is_some_and(|number| named.numbers.contains(&number))
    }
}

impl Seen {
    fn look(&mut self, json: &Json, ty: Option<&ArgumentType>, named: &Named<'_>) {
        match json {
            Json::Null => {}
            Json::Bool(true) => self.text("true", named),
            Json::Bool(false) => self.text("false", named),
            Json::String(text) => self.text(text, named),
            Json::Number(number) => {
                self.values += 1;
                let known =
                    Decimal::parse(number.as_str()).is_some_and(|number| named.numbers.contains(&number));
                self.unnamed |= !known;
            }
            Json::Array(elements) => {
                let ty = element_type(ty);
                for element in elements {
                    self.look(element, ty, named);
                }
            }
            Json::Object(members) => {
                for (name, member) in members {
                    let listed = listed_member(ty, name);
                    if listed.is_none() {
                        self.text(name, named);
                    }
                    self.look(member, listed, named);
                }
            }
        }
    }

    fn text(&mut self, text: &str, named: &Named<'_>) {
        self.values += 1;
        self.unnamed |= !named.texts.contains(text);
    }
}

impl Decimal {
    /// Any JSON number.
    fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let kept = all.trim_end_matches('0');
        let exponent = exponent.checked_add(i64::try_from(all.len() - kept.len()).ok()?)?;
        let digits = kept.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self {
                negative: false,
                digits,
                exponent: 0,
            });
        }
        Some(Self {
            negative,
            digits,
            exponent,
        })
    }
}

fn element_type(ty: Option<&ArgumentType>) -> Option<&ArgumentType> {
    match ty? {
        ArgumentType::List(element) => Some(element),
        // Which alternative it is does not matter here: member names count as listed if any lists them.
        ArgumentType::Choice(alternatives) => alternatives.iter().find_map(|ty| element_type(Some(ty))),
        _ => None,
    }
}

fn listed_member<'t>(ty: Option<&'t ArgumentType>, name: &str) -> Option<&'t ArgumentType> {
    match ty? {
        ArgumentType::Record(record) => record.member(name).map(|member| &member.ty),
        ArgumentType::Choice(alternatives) => {
            alternatives.iter().find_map(|ty| listed_member(Some(ty), name))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
