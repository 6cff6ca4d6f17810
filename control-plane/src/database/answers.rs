//! Answers already given, so that a mutation that is asked for again changes nothing twice.
//!
//! **Invariant**: one key of one caller and one verb is one request. The same key with another request is refused, never
//! answered with what the first one did.

use checkrein_shared::action::Sha256;
use checkrein_shared::identity::SpiffeId;
use prost::Message;

use super::{Database, DatabaseError, Transaction, inconsistent};

/// An answer is remembered under a key of at most this many bytes.
const KEY_BYTES_MAX: usize = 128;

impl Database {
    /// Forgets answers that nobody will ask for again.
    pub async fn forget_old_answers(&self) -> Result<(), DatabaseError> {
        let forget = "-- idempotency.forget
            DELETE FROM idempotency WHERE answered_at < clock_timestamp() - interval '1 day'";
        self.pool.get().await?.execute(forget, &[]).await?;
        Ok(())
    }
}

impl Transaction {
    /// The answer already given to this caller under this key, if any. Until the transaction ends, a second request with
    /// the same key waits here.
    pub async fn answer_given<A: Message + Default>(
        &self,
        caller: &SpiffeId,
        key: &str,
    ) -> Result<Option<A>, DatabaseError> {
        self.find_answer(caller, key, None).await
    }

    /// The same, for a verb that says by its digest what it was asked: another request under the key is refused.
    pub async fn answer_given_to<A: Message + Default>(
        &self,
        caller: &SpiffeId,
        key: &str,
        request: &Sha256,
    ) -> Result<Option<A>, DatabaseError> {
        self.find_answer(caller, key, Some(request)).await
    }

    /// Remembers the answer given under this key.
    pub async fn remember_answer<A: Message>(
        &self,
        caller: &SpiffeId,
        key: &str,
        answer: &A,
    ) -> Result<(), DatabaseError> {
        self.insert_answer(caller, key, None, answer).await
    }

    /// Remembers the answer given to this request under this key.
    pub async fn remember_answer_to<A: Message>(
        &self,
        caller: &SpiffeId,
        key: &str,
        request: &Sha256,
        answer: &A,
    ) -> Result<(), DatabaseError> {
        self.insert_answer(caller, key, Some(request), answer).await
    }

    async fn find_answer<A: Message + Default>(
        &self,
        caller: &SpiffeId,
        key: &str,
        request: Option<&Sha256>,
    ) -> Result<Option<A>, DatabaseError> {
        let lock = "-- idempotency.lock
            SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
        let name = format!("{caller} {} {key}", self.name);
        self.query_one(lock, &[&name])
            .await
            .map_err(|source| self.failed(source))?;
        let find = "-- idempotency.find
            SELECT answer, request_sha256 FROM idempotency WHERE caller = $1 AND verb = $2 AND key = $3";
        let row = self
            .query_opt(find, &[&caller.as_str(), &self.name, &key])
            .await
            .map_err(|source| self.failed(source))?;
        let Some(row) = row else { return Ok(None) };
        let known: Option<&[u8]> = row.get(1);
        if request.is_some_and(|request| known != Some(&request.0[..])) {
            return Err(DatabaseError::KeyReused(key.to_owned()));
        }
        A::decode(row.get::<_, &[u8]>(0))
            .map(Some)
            .map_err(|_| inconsistent("idempotency", &name))
    }

    async fn insert_answer<A: Message>(
        &self,
        caller: &SpiffeId,
        key: &str,
        request: Option<&Sha256>,
        answer: &A,
    ) -> Result<(), DatabaseError> {
        let remember = "-- idempotency.remember
            INSERT INTO idempotency (caller, verb, key, request_sha256, answer) VALUES ($1, $2, $3, $4, $5)";
        let request = request.map(|request| &request.0[..]);
        self.change_one(
            remember,
            &[
                &caller.as_str(),
                &self.name,
                &key,
                &request,
                &answer.encode_to_vec(),
            ],
        )
        .await
    }
}

/// Whether a caller's idempotency key can be used.
pub fn is_good_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= KEY_BYTES_MAX
}
