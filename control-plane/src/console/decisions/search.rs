//! What a person asks of the record, as the form sends it.

use checkrein_proto::decision::v1::{SearchRequest, Verdict as Word};
use checkrein_shared::decision::Verdict;
use serde::Deserialize;

use crate::words::when;

/// The fields of the form, as they were typed.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(in crate::console) struct Asked {
    pub task: String,
    pub agent: String,
    pub tool: String,
    pub verdict: String,
    pub rule: String,
    pub enforcer: String,
    pub since: String,
    pub until: String,
    pub after: String,
}

impl Asked {
    /// The search; or what can't be understood of it.
    pub(super) fn request(&self, now_ms: u64, page_size: u32) -> Result<SearchRequest, String> {
        let moment = |field: &str, text: &str| match text.trim() {
            "" => Ok(0),
            text => when(text)
                .map(|when| when.resolve(now_ms))
                .map_err(|said| format!("{field}: {said}")),
        };
        let verdict = match self.verdict.as_str() {
            "" => Word::Unspecified,
            word => word
                .parse::<Verdict>()
                .map(Word::from)
                .map_err(|_| "verdict: expected permit, hold or deny".to_owned())?,
        };
        Ok(SearchRequest {
            task_id: self.task.trim().to_owned(),
            agent: self.agent.trim().to_owned(),
            tool: self.tool.trim().to_owned(),
            verdict: verdict.into(),
            rule: self.rule.trim().to_owned(),
            enforcer: self.enforcer.trim().to_owned(),
            since_unix_ms: moment("since", &self.since)?,
            until_unix_ms: moment("until", &self.until)?,
            page_size,
            page_token: self.after.clone(),
            ascending: false,
        })
    }

    /// Whether anything at all was asked.
    pub(super) fn is_anything(&self) -> bool {
        let fields = [
            &self.task,
            &self.agent,
            &self.tool,
            &self.verdict,
            &self.rule,
            &self.enforcer,
            &self.since,
            &self.until,
        ];
        fields.iter().any(|field| !field.is_empty())
    }
}

#[cfg(test)]
mod tests;
