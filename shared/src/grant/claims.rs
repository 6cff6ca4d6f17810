//! The members of a signed object, taken out one by one.
//!
//! **Invariant**: whoever has asked for all it knows, and then for the end, has read every member there is.

use std::collections::BTreeMap;

use crate::action::{Arguments, Json};
use crate::text::shown;

/// Those that were not asked for yet.
pub(super) struct Claims<'a>(BTreeMap<&'a str, &'a Json>);

impl<'a> Claims<'a> {
    pub(super) fn new(object: &'a Arguments) -> Self {
        Self(object.members().collect())
    }

    /// Its members, whatever they are called.
    pub(super) fn members(self) -> impl Iterator<Item = (&'a str, &'a Json)> {
        self.0.into_iter()
    }

    fn take(&mut self, name: &str) -> Result<&'a Json, String> {
        self.0.remove(name).ok_or_else(|| format!("`{name}` is missing"))
    }

    pub(super) fn text(&mut self, name: &str) -> Result<&'a str, String> {
        match self.take(name)? {
            Json::String(text) => Ok(text),
            _ => Err(format!("`{name}` is not a text")),
        }
    }

    pub(super) fn expect_text(&mut self, name: &str, expected: &str) -> Result<(), String> {
        match self.text(name)? {
            found if found == expected => Ok(()),
            found => Err(format!("`{name}` is `{}`, expected `{expected}`", shown(found))),
        }
    }

    pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &mut self,
        name: &str,
    ) -> Result<T, String> {
        self.text(name)?
            .parse()
            .map_err(|error: T::Err| error.to_string())
    }

    /// A number that is not below 0.
    pub(super) fn whole(&mut self, name: &str) -> Result<u64, String> {
        let number = match self.take(name)? {
            Json::Number(number) => number.as_str().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| format!("`{name}` is not a whole number"))
    }

    /// One that fits a byte.
    pub(super) fn small(&mut self, name: &str) -> Result<u8, String> {
        u8::try_from(self.whole(name)?).map_err(|_| format!("`{name}` is larger than it can be"))
    }

    pub(super) fn whole_or_null(&mut self, name: &str) -> Result<Option<u64>, String> {
        if self.is_null(name) {
            return Ok(None);
        }
        self.whole(name).map(Some)
    }

    fn list(&mut self, name: &str) -> Result<&'a [Json], String> {
        match self.take(name)? {
            Json::Array(elements) => Ok(elements),
            _ => Err(format!("`{name}` is not a list")),
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        let text = |element: &Json| match element {
            Json::String(text) => Ok(text.clone()),
            _ => Err(format!("`{name}` has an entry that is not a text")),
        };
        self.list(name)?.iter().map(text).collect()
    }

    pub(super) fn texts_or_null(&mut self, name: &str) -> Result<Option<Vec<String>>, String> {
        if self.is_null(name) {
            return Ok(None);
        }
        self.texts(name).map(Some)
    }

    pub(super) fn object(&mut self, name: &str) -> Result<Self, String> {
        Self::of(name, self.take(name)?)
    }

    fn of(name: &str, json: &'a Json) -> Result<Self, String> {
        match json {
            Json::Object(members) => Ok(Self(
                members
                    .iter()
                    .map(|(name, value)| (name.as_str(), value))
                    .collect(),
            )),
            _ => Err(format!("`{name}` is not an object")),
        }
    }

    /// That there is nothing to say under this name.
    pub(super) fn expect_null(&mut self, name: &str) -> Result<(), String> {
        match self.take(name)? {
            Json::Null => Ok(()),
            _ => Err(format!("`{name}` is not `null`")),
        }
    }

    pub(super) fn object_or_null(&mut self, name: &str) -> Result<Option<Self>, String> {
        if self.is_null(name) {
            return Ok(None);
        }
        self.object(name).map(Some)
    }

    /// The one object of a list.
    pub(super) fn only_object(&mut self, name: &str) -> Result<Self, String> {
        let [one] = self.list(name)? else {
            return Err(format!("`{name}` must have one entry"));
        };
        Self::of(name, one)
    }

    /// Takes a `null` out, if there is one.
    fn is_null(&mut self, name: &str) -> bool {
        let is_null = matches!(self.0.get(name), Some(Json::Null));
        if is_null {
            self.0.remove(name);
        }
        is_null
    }

    pub(super) fn end(self) -> Result<(), String> {
        match self.0.first_key_value() {
            Some((name, _)) => Err(format!(
                "`{}` is a claim this verifier does not know",
                shown(name)
            )),
            None => Ok(()),
        }
    }
}
