//! The body of a request, read whole, within bounds.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use thiserror::Error;
use tokio::time::timeout;

/// All of it comes within this.
const BODY_MAX: Duration = Duration::from_secs(30);

/// A body that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Unread {
    #[error("the body does not come")]
    Late,
    #[error("a body may have at most {0} bytes here")]
    TooLong(usize),
    #[error("the body broke off")]
    BrokeOff,
}

/// All of a body that has at most so many bytes.
pub(super) async fn whole(body: Body, most: usize) -> Result<Bytes, Unread> {
    match timeout(BODY_MAX, Limited::new(body, most).collect()).await {
        Err(_) => Err(Unread::Late),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLong(most)),
        Ok(Err(_)) => Err(Unread::BrokeOff),
        Ok(Ok(read)) => Ok(read.to_bytes()),
    }
}

impl Unread {
    /// As HTTP says it.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BrokeOff => StatusCode::BAD_REQUEST,
        }
    }
}
