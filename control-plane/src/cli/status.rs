//! A gRPC status as a sentence: what was wrong, where, and what to do.

use std::error::Error;
use std::fmt;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: Code,
    /// The machine's word, if the control plane gave one.
    reason: String,
    message: String,
    violations: Vec<Violation>,
    /// The call failed between here and there; nobody refused it.
    cut: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Violation {
    place: String,
    description: String,
}

impl Refusal {
    /// The machine's word: the control plane's own, or the status code's name.
    pub fn code(&self) -> &str {
        if self.reason.is_empty() {
            code_name(self.code)
        } else {
            &self.reason
        }
    }

    /// Whether trying the same again may help.
    pub const fn is_passing(&self) -> bool {
        self.cut || matches!(self.code, Code::Unavailable)
    }

    /// Whether it was refused because of who asked.
    pub const fn is_forbidden(&self) -> bool {
        !self.cut && matches!(self.code, Code::PermissionDenied)
    }

    /// What to do next.
    pub fn next_step(&self) -> Option<&'static str> {
        if self.message.contains("alert") || self.code == Code::Unauthenticated {
            return Some(
                "the control plane does not know your certificate: have an operator make one with \
                 `checkrein fleet identity ROLE NAME`, and name its client.toml with --config",
            );
        }
        if self.cut {
            return Some("see whether the control plane is up, and try again");
        }
        match self.code {
            Code::PermissionDenied => Some(
                "use an identity whose role may do this: --config FILE, made by an operator with \
                 `checkrein fleet identity ROLE NAME`",
            ),
            Code::NotFound => Some("see what there is with this command's `list` or `search`"),
            Code::Unavailable | Code::Aborted => Some("try again"),
            Code::ResourceExhausted => Some("wait a little, or ask for less"),
            Code::DeadlineExceeded | Code::Cancelled => {
                Some("see whether the control plane and its database are well, and try again")
            }
            Code::Unimplemented => Some("use a `checkrein` of the control plane's version"),
            Code::Internal | Code::Unknown | Code::DataLoss => Some("the control plane's log says more"),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for violation in &self.violations {
            let description = violation.description.trim_end().replace('\n', "\n    ");
            match violation.place.as_str() {
                "" => write!(f, "\n  - {description}")?,
                place => write!(f, "\n  - `{place}`: {description}")?,
            }
        }
        Ok(())
    }
}

impl Error for Refusal {}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let fields = details.bad_request().map(|bad| bad.field_violations.clone());
        let unmet = details
            .precondition_failure()
            .map(|failed| failed.violations.clone());
        let violations = fields.into_iter().flatten().map(|violation| Violation {
            place: violation.field,
            description: violation.description,
        });
        let violations = violations.chain(unmet.into_iter().flatten().map(|violation| Violation {
            place: violation.subject,
            description: violation.description,
        }));
        let cut = innermost(&status);
        Self {
            code: status.code(),
            reason: details
                .error_info()
                .map(|info| info.reason.clone())
                .unwrap_or_default(),
            message: match (&cut, status.message()) {
                (Some(cause), _) => format!("the call to the control plane was cut off: {cause}"),
                (None, "") => format!("the control plane refused: {}", code_name(status.code())),
                (None, message) => message.to_owned(),
            },
            violations: violations.collect(),
            cut: cut.is_some(),
        }
    }
}

/// The first cause of a failure of the connection; a status that the control plane sent has none.
fn innermost(status: &Status) -> Option<String> {
    let causes = std::iter::successors(status.source(), |cause| (**cause).source());
    causes.last().map(ToString::to_string)
}

const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
mod tests;
