//! The way to a server that we ask ourselves: pipes to one that was started for it, or HTTP.

use tokio::process::{ChildStdin, ChildStdout};
use tokio_util::sync::CancellationToken;

use super::{InventoryError, Whereabouts};
use crate::child::Child;
use crate::surface::mcp::http::{Asked, Heard};
use crate::surface::mcp::methods::Era;
use crate::surface::mcp::server;
use crate::surface::mcp::wire::{Id, Lines, write_line};

pub(super) enum Way {
    Pipes {
        child: Child,
        says: ChildStdin,
        hears: Lines<ChildStdout>,
    },
    Http(Asked),
}

impl Way {
    pub(super) fn to(server: &Whereabouts) -> Result<Self, InventoryError> {
        match server {
            Whereabouts::Started(command) => {
                let (child, says, stdout) = server::started(command)?;
                let hears = Lines::new(stdout);
                Ok(Self::Pipes { child, says, hears })
            }
            Whereabouts::At(remote) => Ok(Self::Http(Asked::new(remote)?)),
        }
    }

    /// From now on this era is spoken; over pipes each message says so itself.
    pub(super) fn speak(&mut self, era: Era) {
        if let Self::Http(asked) = self {
            asked.speak(era);
        }
    }

    /// Asks; gives the line that answers.
    pub(super) async fn answer(
        &mut self,
        id: &Id,
        line: String,
        method: &'static str,
    ) -> Result<String, InventoryError> {
        match self {
            Self::Pipes { says, hears, .. } => {
                write_line(says, line).await?;
                let answer = server::answer(hears, id).await?;
                answer.ok_or(InventoryError::Silent(method))
            }
            Self::Http(asked) => {
                let unreached = |words: String| InventoryError::Unreached(method, words);
                match asked.ask(id, line).await {
                    Ok(Heard::Answer(line)) => Ok(line),
                    Ok(Heard::Refused(status)) => Err(InventoryError::Refused(method, status.to_string())),
                    Ok(Heard::Nothing) => Err(unreached("what answers there speaks no MCP".to_owned())),
                    Err(error) => Err(unreached(error.to_string())),
                }
            }
        }
    }

    /// Says something to which there is no answer.
    pub(super) async fn tell(&mut self, line: String, method: &'static str) -> Result<(), InventoryError> {
        match self {
            Self::Pipes { says, .. } => Ok(write_line(says, line).await?),
            Self::Http(asked) => {
                let told = asked.tell(line).await;
                told.map_err(|error| InventoryError::Unreached(method, error.to_string()))
            }
        }
    }

    /// Leaves the server; one that was started has ended then.
    pub(super) async fn end(self) {
        match self {
            Self::Pipes { child, says, hears } => {
                drop((says, hears));
                server::end(child, &CancellationToken::new()).await;
            }
            Self::Http(asked) => asked.end().await,
        }
    }
}
