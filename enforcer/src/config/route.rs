//! Which tool a request in plain HTTP is a call of: its method, and a pattern of its path.
//!
//! **Invariant**: a path is read in one way, or not at all. Whatever a service might take for another path (an encoded slash, an empty
//! segment, `..`) matches nothing.

use serde::Deserialize;
use thiserror::Error;

/// A path and query may have at most this many bytes.
const TARGET_BYTES_MAX: usize = 8_192;
/// And a query this many values.
const QUERY_MAX: usize = 64;

/// A request in plain HTTP that is a call of a tool.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayRoute {
    /// `POST /accounts/{recipient}/payments`: what stands in braces is an argument.
    pub request: RequestPattern,
    /// As the catalog names it.
    pub tool: String,
}

/// A method, and a pattern of a path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RequestPattern {
    method: String,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no method and path; expected one like `POST /accounts/{{recipient}}/payments`")]
pub struct InvalidPattern(String);

/// Where a request goes, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
}

/// A path or query that has no one reading.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum InvalidTarget {
    #[error("a path and query of {0} bytes are longer than the {TARGET_BYTES_MAX} allowed")]
    TooLong(usize),
    #[error(
        "the path has a part that services read in more than one way: an empty one, `.`, `..`, or an encoded slash"
    )]
    Path,
    #[error("the query has a part that services read in more than one way")]
    Query,
    #[error("the query has more than the {QUERY_MAX} values allowed")]
    TooMany,
}

impl RequestPattern {
    /// What stands in the place of each parameter; none, if the request is another.
    pub(crate) fn matches(&self, method: &str, target: &Target) -> Option<Vec<(String, String)>> {
        if method != self.method || target.segments.len() != self.segments.len() {
            return None;
        }
        let mut found = Vec::new();
        for (segment, given) in self.segments.iter().zip(&target.segments) {
            match segment {
                Segment::Literal(literal) if literal == given => {}
                Segment::Literal(_) => return None,
                Segment::Parameter(name) => found.push((name.clone(), given.clone())),
            }
        }
        Some(found)
    }

    /// Which of its parts are parameters: of two patterns that match, the one with the earlier literal is meant.
    pub(crate) fn looseness(&self) -> Vec<bool> {
        let is_parameter = |segment: &Segment| matches!(segment, Segment::Parameter(_));
        self.segments.iter().map(is_parameter).collect()
    }

    /// Whether the two match the same requests.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let nameless = |pattern: &Self| -> Vec<Option<String>> {
            let literal = |segment: &Segment| match segment {
                Segment::Literal(literal) => Some(literal.clone()),
                Segment::Parameter(_) => None,
            };
            pattern.segments.iter().map(literal).collect()
        };
        self.method == other.method && nameless(self) == nameless(other)
    }
}

impl std::fmt::Display for RequestPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.method)?;
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(literal) => write!(f, "/{literal}"),
            Segment::Parameter(name) => write!(f, "/{{{name}}}"),
        })
    }
}

impl TryFrom<String> for RequestPattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl std::str::FromStr for RequestPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPattern(text.to_owned());
        let (method, path) = text.split_once(' ').ok_or_else(invalid)?;
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        let rest = path.strip_prefix('/').filter(|_| is_method).ok_or_else(invalid)?;
        let mut segments = Vec::new();
        for part in rest.split('/').filter(|_| !rest.is_empty()) {
            segments.push(Segment::parse(part).ok_or_else(invalid)?);
        }
        let mut names: Vec<String> = segments
            .iter()
            .filter_map(|segment| match segment {
                Segment::Parameter(name) => Some(name.to_lowercase()),
                Segment::Literal(_) => None,
            })
            .collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(invalid());
        }
        Ok(Self {
            method: method.to_owned(),
            segments,
        })
    }
}

impl Segment {
    fn parse(part: &str) -> Option<Self> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        };
        if let Some(name) = part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            return is_name(name).then(|| Self::Parameter(name.to_owned()));
        }
        let plain = segment(part).filter(|_| !part.contains(['{', '}', '*', '%', '?']));
        plain.map(Self::Literal)
    }
}

impl Target {
    /// Reads a path with its query.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidTarget> {
        if text.len() > TARGET_BYTES_MAX {
            return Err(InvalidTarget::TooLong(text.len()));
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let rest = path.strip_prefix('/').ok_or(InvalidTarget::Path)?;
        let parts = rest.split('/').filter(|_| !rest.is_empty());
        let segments = parts.map(|part| segment(part).ok_or(InvalidTarget::Path));
        let pairs: Vec<&str> = query.split('&').filter(|_| !query.is_empty()).collect();
        if pairs.len() > QUERY_MAX {
            return Err(InvalidTarget::TooMany);
        }
        let pairs = pairs
            .into_iter()
            .map(|part| pair(part).ok_or(InvalidTarget::Query));
        Ok(Self {
            segments: segments.collect::<Result<_, _>>()?,
            query: pairs.collect::<Result<_, _>>()?,
        })
    }
}

/// One part of a path, if it has one reading.
fn segment(part: &str) -> Option<String> {
    let decoded = decode(part)?;
    let is_plain = !part.contains([';', '#', '\\', '?']) && !decoded.contains(['/', '\\', '%']);
    (is_plain && !matches!(decoded.as_str(), "" | "." | "..")).then_some(decoded)
}

/// One value of a query, if it has one reading.
fn pair(part: &str) -> Option<(String, String)> {
    if part.contains([';', '#']) {
        return None;
    }
    let (name, value) = part.split_once('=')?;
    let (name, value) = (name.replace('+', " "), value.replace('+', " "));
    let name = decode(&name).filter(|name| !name.is_empty())?;
    Some((name, decode(&value)?))
}

/// What percent signs stand for; none, if that is no text that can be printed.
fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else {
            return None;
        };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = after;
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests;
