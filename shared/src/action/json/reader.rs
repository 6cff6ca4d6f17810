//! From JSON text to values, in one pass.
//!
//! Whether the text is JSON at all was said before; so a value's kind shows in its first byte, and nothing is looked at twice.

use serde::de::IgnoredAny;

use super::{ARGUMENT_BYTES_MAX, ARGUMENT_DEPTH_MAX, InvalidArguments, Json, Number};
use crate::text::shown;

/// What is not read yet of a text that is JSON.
struct Reader<'a> {
    rest: &'a str,
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The argument it is part of; none: it is the object of all arguments.
    argument: Option<&'a str>,
    /// So many levels may still be opened.
    depth_left: usize,
}

/// Parses the text of an object into sorted members.
pub(in super::super) fn parse_object(text: &[u8]) -> Result<Vec<(String, Json)>, InvalidArguments> {
    if text.len() > ARGUMENT_BYTES_MAX {
        return Err(InvalidArguments::TooLong(text.len()));
    }
    let not_json = |error: &dyn std::error::Error| InvalidArguments::Syntax(error.to_string());
    let text = std::str::from_utf8(text).map_err(|error| not_json(&error))?;
    // Builds nothing, and takes no stack however deep the text is.
    let _is_json: IgnoredAny = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let mut reader = Reader { rest: text };
    let all = Place {
        argument: None,
        depth_left: ARGUMENT_DEPTH_MAX,
    };
    if reader.take('{') {
        reader.members(all.inside()?)
    } else {
        Err(InvalidArguments::NotAnObject)
    }
}

impl Reader<'_> {
    fn value(&mut self, place: Place<'_>) -> Result<Json, InvalidArguments> {
        if self.take('{') {
            return self.members(place.inside()?).map(Json::Object);
        }
        if self.take('[') {
            return self.elements(place.inside()?).map(Json::Array);
        }
        if self.rest.starts_with('"') {
            return self.string().map(Json::String);
        }
        let ends = |c: char| matches!(c, ',' | ']' | '}' | ' ' | '\t' | '\r' | '\n');
        let word = self.cut(self.rest.find(ends).unwrap_or(self.rest.len()));
        match word {
            "null" => Ok(Json::Null),
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            "" => Err(unreadable("a value is missing")),
            number => Ok(Json::Number(Number(number.to_owned()))),
        }
    }

    fn elements(&mut self, place: Place<'_>) -> Result<Vec<Json>, InvalidArguments> {
        let mut elements = Vec::new();
        while !self.take(']') {
            self.take(',');
            self.skip_space();
            elements.push(self.value(place)?);
        }
        Ok(elements)
    }

    /// The members of an object, sorted, each once. One that stands twice is named only if it is an argument: the names
    /// inside an argument may be as secret as its value.
    fn members(&mut self, place: Place<'_>) -> Result<Vec<(String, Json)>, InvalidArguments> {
        let mut members = Vec::new();
        while !self.take('}') {
            self.take(',');
            self.skip_space();
            let name = self.string()?;
            self.take(':');
            self.skip_space();
            let value = self.value(Place {
                argument: place.argument.or(Some(&name)),
                ..place
            })?;
            members.push((name, value));
        }
        members.sort_by(|(left, _), (right, _)| left.cmp(right));
        match members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            None => Ok(members),
            Some(twice) => Err(match place.argument {
                None => unreadable(&format!("member `{}` stands twice", shown(&twice[0].0))),
                Some(argument) => unreadable(&format!("a member inside `{}` stands twice", shown(argument))),
            }),
        }
    }

    /// The string that begins here, unescaped.
    fn string(&mut self) -> Result<String, InvalidArguments> {
        let mut is_escaped = false;
        let ends = |byte: u8| {
            let ends = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            ends
        };
        let length = self.rest.bytes().skip(1).position(ends);
        let quoted = length.map(|length| self.cut(length + 2));
        // JSON allows half a character as an escape; no text has one.
        quoted
            .and_then(|quoted| serde_json::from_str(quoted).ok())
            .ok_or_else(|| unreadable("a string is not text"))
    }

    /// Goes past this character and the white space before it, if it is next.
    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        let rest = self.rest.strip_prefix(wanted);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }
}

impl<'a> Reader<'a> {
    /// Takes so many bytes.
    fn cut(&mut self, bytes: usize) -> &'a str {
        // INVARIANT: every token ends before or after an ASCII character.
        let (token, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        token
    }
}

impl Place<'_> {
    /// One level down.
    fn inside(self) -> Result<Self, InvalidArguments> {
        let depth_left = self.depth_left.checked_sub(1);
        let depth_left = depth_left.ok_or(InvalidArguments::TooDeep)?;
        Ok(Self { depth_left, ..self })
    }
}

fn unreadable(why: &str) -> InvalidArguments {
    InvalidArguments::Syntax(why.to_owned())
}
