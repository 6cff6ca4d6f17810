//! What a standing approval lets happen, in plain words; and the flags that say it.

use std::time::Duration;

use checkrein_proto::hold::v1 as wire;
use checkrein_proto::task::v1::TaskLabel;
use wire::bound::How;

use crate::cli::output::{Fields, Paint, Style, span};
use crate::cli::values::{duration, millis};
use crate::words::bound_words;

/// What else may happen, without asking.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Also allow the same again, without asking")]
pub(super) struct TermsArgs {
    /// For this long, at most 8h and never longer than the task [default with --times: 8h]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    for_: Option<Duration>,
    /// At most so many more times, up to 100 [default with --for: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    times: Option<u32>,
    /// This number may be anything from 0 to MAX, which is at most what `hold show` shows; may be repeated
    #[arg(long, value_name = "ARGUMENT=MAX", value_parser = at_most)]
    at_most: Vec<(String, String)>,
    /// This argument may have any value; may be repeated. What is not named stays exactly as it is shown
    #[arg(long, value_name = "ARGUMENT")]
    any: Vec<String>,
}

impl TermsArgs {
    /// As they are asked for; none if none of the flags was given. The labels are those that the page shows.
    pub(super) fn terms(&self, labels: &[TaskLabel]) -> Option<wire::Terms> {
        if *self == Self::default() {
            return None;
        }
        let at_most = self.at_most.iter().map(|(argument, most)| wire::Bound {
            argument: argument.clone(),
            how: Some(How::AtMost(most.clone())),
        });
        let any = self.any.iter().map(|argument| wire::Bound {
            argument: argument.clone(),
            how: Some(How::Any(true)),
        });
        Some(wire::Terms {
            for_ms: self.for_.map_or(checkrein_shared::hold::STANDING_MS_MAX, millis),
            times: self.times.unwrap_or(checkrein_shared::hold::STANDING_TIMES_MAX),
            bounds: at_most.chain(any).collect(),
            labels: labels.iter().map(|label| label.label.clone()).collect(),
        })
    }
}

/// `amount=500`
fn at_most(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((argument, most)) if !argument.is_empty() && !most.is_empty() => {
            Ok((argument.to_owned(), most.to_owned()))
        }
        _ => Err("expected `ARGUMENT=MAX`, as in `amount=500`".to_owned()),
    }
}

/// What else will be allowed with these terms on this hold, argument by argument.
pub(super) fn preview(hold: &wire::Hold, offer: &wire::Offer, terms: &wire::Terms, paint: Paint) -> String {
    let mut fields = Fields::default();
    let action = hold.action.clone().unwrap_or_default();
    let often = format!(
        "up to {} more {} within {}, in this task only",
        terms.times,
        if terms.times == 1 { "time" } else { "times" },
        span(terms.for_ms)
    );
    fields
        .styled("again", &often, Style::Strong)
        .line("by", &action.agent)
        .line("tool", &action.tool);
    for bound in &offer.bounds {
        let bound = terms
            .bounds
            .iter()
            .find(|asked| asked.argument == bound.argument)
            .cloned()
            .unwrap_or_else(|| exactly(&action, &bound.argument));
        let style = match bound.how {
            Some(How::Any(_)) => Style::Bad,
            _ => Style::Plain,
        };
        fields.styled("with", &bound_words(&bound), style);
    }
    let carries = if terms.labels.is_empty() {
        "the task carries no labels".to_owned()
    } else {
        format!("the task carries no more than {}", terms.labels.join(", "))
    };
    fields.line("while", &carries);
    let heading = "and, without asking anybody again:";
    format!(
        "{}\n{}",
        paint.apply(Style::Strong, heading),
        fields.render(paint)
    )
}

/// The widest that a standing approval could allow, for `hold show`.
pub(super) fn offered(offer: &wire::Offer, paint: Paint) -> String {
    let mut fields = Fields::default();
    let most = format!(
        "at most {} times within {}; each argument exactly as shown, unless you say otherwise:",
        offer.times,
        span(offer.for_ms)
    );
    fields.line("--for, --times", &most);
    for bound in &offer.bounds {
        let may = match &bound.how {
            Some(How::AtMost(most)) => format!("--at-most {}=N, from 0 up to {most}", bound.argument),
            Some(How::Any(_)) => format!("--any {}", bound.argument),
            _ if offer.fixed.contains(&bound.argument) => {
                format!("`{}` is what it acts on: always exactly as shown", bound.argument)
            }
            _ => format!("`{}` always exactly as shown", bound.argument),
        };
        fields.line("may be", &may);
    }
    let heading = "`hold approve` can also allow the same again, within this:";
    format!("{}\n{}", paint.apply(Style::Dim, heading), fields.render(paint))
}

fn exactly(action: &wire::HeldAction, argument: &str) -> wire::Bound {
    let held = checkrein_shared::action::Arguments::parse(&action.arguments).ok();
    let mut text = String::new();
    if let Some(value) = held.as_ref().and_then(|held| held.get(argument)) {
        value.write_canonical(&mut text);
    }
    wire::Bound {
        argument: argument.to_owned(),
        how: Some(How::Exactly(text)),
    }
}

#[cfg(test)]
mod tests;
