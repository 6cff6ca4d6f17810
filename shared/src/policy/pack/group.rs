//! Groups of approvers, as `checkrein.toml` writes them.
//!
//! ```toml
//! [groups]
//! board = ["spiffe://acme.example/approver/frank", "spiffe://acme.example/approver/grace"]
//!
//! [groups.treasury]
//! members = ["spiffe://acme.example/approver/bob", "spiffe://acme.example/approver/carol"]
//! excludes = ["agent_owner"]
//! escalate_after = "10m"
//! escalate_to = "board"
//! deputies = { "spiffe://acme.example/approver/bob" = "spiffe://acme.example/approver/dave" }
//! quiet = { from = "22:00", to = "07:00", utc_offset = "+01:00", escalate_to = "board" }
//! ```
//!
//! What a group says of others is `check`'s to judge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::hold::{Escalation, Exclusion, Group, Person, Quiet, Then};
use crate::identity::{Role, SpiffeId};
use crate::policy::duration::DurationMs;
use crate::policy::finding::{Finding, Place};

/// No clock on a wall is further from UTC than this.
const OFFSET_MINUTES_MAX: i32 = 14 * 60;

/// A group as it is written: a list of people, or a table.
pub(super) struct Written(Table);

/// Where the parts of a group stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::policy) struct Spans {
    pub(in crate::policy) name: Range<usize>,
    /// After how long another group is asked.
    pub(in crate::policy) escalate_after: Range<usize>,
    /// The other groups that it names.
    pub(in crate::policy) named: Vec<(String, Range<usize>)>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Table {
    members: Vec<Spanned<SpiffeId>>,
    #[serde(default)]
    excludes: Vec<Spanned<String>>,
    #[serde(default)]
    deputies: BTreeMap<Spanned<SpiffeId>, Spanned<SpiffeId>>,
    escalate_after: Option<Spanned<DurationMs>>,
    escalate_to: Option<Spanned<String>>,
    quiet: Option<Spanned<Hours>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    from: Spanned<String>,
    to: Spanned<String>,
    utc_offset: Option<Spanned<String>>,
    escalate_to: Option<Spanned<String>>,
    #[serde(default)]
    wait: bool,
}

/// One group while it is read.
struct Reader<'p> {
    place: Place<'p>,
    spans: Spans,
    findings: Vec<Finding>,
}

struct WrittenVisitor;

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WrittenVisitor)
    }
}

impl<'de> Visitor<'de> for WrittenVisitor {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of approvers, or a table with `members`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, people: A) -> Result<Written, A::Error> {
        let members = Vec::deserialize(SeqAccessDeserializer::new(people))?;
        Ok(Written(Table {
            members,
            ..Table::default()
        }))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Written, A::Error> {
        Table::deserialize(MapAccessDeserializer::new(table)).map(Written)
    }
}

impl Written {
    /// The group, where its parts stand, and what is wrong with it.
    pub(super) fn read(self, place: Place<'_>, name: &Spanned<String>) -> (Group, Spans, Vec<Finding>) {
        let mut reader = Reader {
            place,
            spans: Spans {
                name: name.span(),
                ..Spans::default()
            },
            findings: Vec::new(),
        };
        let Self(table) = self;
        let members = reader.members(name, table.members);
        let group = Group {
            excludes: reader.excludes(table.excludes),
            deputies: reader.deputies(&members, table.deputies),
            escalation: reader.escalation(name, table.escalate_after, table.escalate_to),
            quiet: None,
            members,
            break_glass: None,
        };
        let quiet = table
            .quiet
            .and_then(|hours| reader.quiet(hours, group.escalation.is_some()));
        (Group { quiet, ..group }, reader.spans, reader.findings)
    }
}

impl Reader<'_> {
    fn members(&mut self, name: &Spanned<String>, people: Vec<Spanned<SpiffeId>>) -> BTreeSet<SpiffeId> {
        let mut known: BTreeMap<Person, SpiffeId> = BTreeMap::new();
        for person in &people {
            self.is_approver(person);
            let id = person.get_ref();
            let same = known.insert(Person::of(id), id.clone()).filter(|same| same != id);
            if let Some(same) = same {
                let message = format!("`{id}` and `{same}` are the same person");
                self.find(
                    person.span(),
                    message,
                    "name each person once: nobody counts twice",
                );
            }
        }
        if people.is_empty() {
            let message = format!("nobody is in `{}`", name.get_ref());
            self.find(
                name.span(),
                message,
                "a hold for it could only expire; name its people",
            );
        }
        people.into_iter().map(Spanned::into_inner).collect()
    }

    fn excludes(&mut self, words: Vec<Spanned<String>>) -> BTreeSet<Exclusion> {
        let mut excludes = BTreeSet::new();
        for word in words {
            if let Some(exclusion) = Exclusion::named(word.get_ref()) {
                excludes.insert(exclusion);
            } else {
                let message = format!("a group can't leave out `{}`", word.get_ref());
                let help = "write `agent_owner`: whoever answers for an agent of the chain in `fleet agents`";
                self.find(word.span(), message, help);
            }
        }
        excludes
    }

    fn deputies(
        &mut self,
        members: &BTreeSet<SpiffeId>,
        written: BTreeMap<Spanned<SpiffeId>, Spanned<SpiffeId>>,
    ) -> BTreeMap<SpiffeId, SpiffeId> {
        let people: BTreeSet<Person> = members.iter().map(Person::of).collect();
        let mut deputies = BTreeMap::new();
        for (member, deputy) in written {
            self.is_approver(&deputy);
            if !members.contains(member.get_ref()) {
                let message = format!("`{}` is not in the group", member.get_ref());
                self.find(
                    member.span(),
                    message,
                    "only a member has a deputy: add them to `members`",
                );
            }
            if people.contains(&Person::of(deputy.get_ref())) {
                let message = format!("`{}` is in the group already", deputy.get_ref());
                let help = "a member answers for themselves, once: name somebody else as deputy";
                self.find(deputy.span(), message, help);
            }
            deputies.insert(member.into_inner(), deputy.into_inner());
        }
        deputies
    }

    fn escalation(
        &mut self,
        name: &Spanned<String>,
        after: Option<Spanned<DurationMs>>,
        to: Option<Spanned<String>>,
    ) -> Option<Escalation> {
        match (after, to) {
            (None, None) => None,
            (Some(after), Some(to)) => {
                self.spans.escalate_after = after.span();
                self.name(&to);
                Some(Escalation {
                    after_ms: after.get_ref().0,
                    to: to.into_inner(),
                })
            }
            (after, to) => {
                let (at, missing) = match (after, to) {
                    (Some(after), _) => (after.span(), "escalate_to = \"board\""),
                    (_, Some(to)) => (to.span(), "escalate_after = \"10m\""),
                    _ => (name.span(), ""),
                };
                let message = format!(
                    "`{}` says only half of when another group is asked",
                    name.get_ref()
                );
                self.find(at, message, &format!("write `{missing}` as well"));
                None
            }
        }
    }

    fn quiet(&mut self, hours: Spanned<Hours>, escalates: bool) -> Option<Quiet> {
        let at = hours.span();
        let hours = hours.into_inner();
        let (from, to) = (self.minute(&hours.from), self.minute(&hours.to));
        let utc_offset = match &hours.utc_offset {
            None => Some(0),
            Some(written) => self.offset(written),
        };
        let then = match (hours.escalate_to, hours.wait) {
            (Some(to), false) => {
                self.name(&to);
                Then::Ask(to.into_inner())
            }
            (None, true) if escalates => Then::Wait,
            (None, true) => {
                let help = "write `escalate_after` and `escalate_to` as well, or leave `quiet` out";
                self.find(at, "there is no escalation that could wait", help);
                return None;
            }
            _ => {
                let help = "write either `escalate_to = \"on-call\"`, who are asked at once, or `wait = true`: the time does \
                            not count towards `escalate_after`";
                self.find(at, "quiet hours say what happens in them, once", help);
                return None;
            }
        };
        let (from, to, utc_offset) = (from?, to?, utc_offset?);
        if from == to {
            let help = "name hours that end before they begin again; a group that is never asked is left out of the rule";
            self.find(at, "these hours are a whole day, or nothing", help);
        }
        Some(Quiet {
            from,
            to,
            utc_offset,
            then,
        })
    }

    fn minute(&mut self, written: &Spanned<String>) -> Option<u32> {
        let minute = minutes(written.get_ref());
        if minute.is_none() {
            let message = format!("`{}` is no time of day", written.get_ref());
            self.find(
                written.span(),
                message,
                "write hours and minutes, from `00:00` to `23:59`",
            );
        }
        minute
    }

    fn offset(&mut self, written: &Spanned<String>) -> Option<i32> {
        let text = written.get_ref();
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => (0, ""),
        };
        let offset = minutes(rest).and_then(|minutes| Some(sign * i32::try_from(minutes).ok()?));
        let offset = offset.filter(|offset| offset.abs() <= OFFSET_MINUTES_MAX);
        if offset.is_none() {
            let message = format!("`{text}` is no offset from UTC");
            self.find(
                written.span(),
                message,
                "write it as `+01:00` or `-05:30`, at most 14 hours",
            );
        }
        offset
    }

    fn is_approver(&mut self, person: &Spanned<SpiffeId>) {
        if person.get_ref().role() != Some(Role::Approver) {
            let message = format!("`{}` is not an approver", person.get_ref());
            let help = "a group holds identities like `spiffe://acme.example/approver/bob`";
            self.find(person.span(), message, help);
        }
    }

    fn name(&mut self, group: &Spanned<String>) {
        self.spans.named.push((group.get_ref().clone(), group.span()));
    }

    fn find(&mut self, at: Range<usize>, message: impl Into<String>, help: &str) {
        self.findings.push(self.place.error(at, message, help));
    }
}

/// Minutes since midnight, of `HH:MM`.
fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str| -> Option<u32> {
        let is_two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_two_digits.then(|| text.parse().ok())?
    };
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}
