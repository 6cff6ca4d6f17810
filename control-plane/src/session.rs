//! Who is signed in at the console, and links that sign somebody in once.
//!
//! ```text
//! link (by certificate) --> redeem, once --\
//! OIDC ------------------------------------> open --> find, with every request --> end
//! ```
//!
//! **Invariant**: of a token nothing is kept but its hash; each is of 256 random bits, made anew at every sign-in; a session ends
//! after half an hour in which nobody used it, and after half a day whatever happens, by the database's clock.

mod store;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_shared::action::Sha256;
use checkrein_shared::id::random_bytes;
use checkrein_shared::identity::SpiffeId;

use crate::database::{Database, DatabaseError};

/// How long a link is good for.
const LINK_LIFE: Duration = Duration::from_mins(1);
/// Links of one person that may be good at once; another takes the place of the oldest.
const LINKS_MAX: i64 = 5;
/// A session that nobody used for so long is over.
const IDLE_MAX: Duration = Duration::from_mins(30);
/// A session is over after so long.
const LIFE_MAX: Duration = Duration::from_hours(12);
/// Sessions of one person; another takes the place of the oldest.
const SESSIONS_MAX: i64 = 20;
/// What a token that proves where a form came from is derived with.
const CSRF: &[u8] = b"checkrein console form\0";

/// The sessions, shared by all replicas.
#[derive(Debug, Clone)]
pub struct Sessions {
    database: Database,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Session {
    /// Who, in each role they have.
    pub ids: Arc<[SpiffeId]>,
    /// What every form of theirs carries: nobody without the session's token can know it.
    pub csrf: String,
}

/// What a browser keeps, or a link carries.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A link's token, and until when it is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Goes into the link.
    pub token: Token,
    /// Until when.
    pub expires_ms: u64,
}

impl Sessions {
    /// Those in this database.
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Signs a person in who was proved to have these identities, until then at most: what a token proves ends with the token.
    pub async fn open(&self, ids: &[SpiffeId], until_ms: Option<u64>) -> Result<Token, DatabaseError> {
        let token = Token::fresh();
        let tx = self.database.begin("session.open").await?;
        store::open(&tx, &token.digest(), ids, (LIFE_MAX, until_ms), SESSIONS_MAX).await?;
        tx.commit().await?;
        Ok(token)
    }

    /// Who has this token.
    pub async fn find(&self, token: &str) -> Result<Option<Session>, DatabaseError> {
        let tx = self.database.begin("session.find").await?;
        let ids = store::find(&tx, &Token::digest_of(token), IDLE_MAX).await?;
        tx.commit().await?;
        Ok(ids.map(|ids| Session {
            ids: ids.into(),
            csrf: csrf(token),
        }))
    }

    /// Signs out whoever has this token.
    pub async fn end(&self, token: &str) -> Result<(), DatabaseError> {
        let tx = self.database.begin("session.end").await?;
        store::end(&tx, &Token::digest_of(token)).await?;
        tx.commit().await
    }

    /// A link that signs this person in, once and soon.
    pub async fn link(&self, id: &SpiffeId) -> Result<Link, DatabaseError> {
        let token = Token::fresh();
        let tx = self.database.begin("session.link").await?;
        let expires_ms = store::keep_link(&tx, &token.digest(), id, LINK_LIFE, LINKS_MAX).await?;
        tx.commit().await?;
        Ok(Link { token, expires_ms })
    }

    /// Whom a link would sign in; it stays as good as it was.
    pub async fn whose(&self, link: &str) -> Result<Option<SpiffeId>, DatabaseError> {
        let tx = self.database.begin("session.whose").await?;
        let id = store::read_link(&tx, &Token::digest_of(link)).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Whom a link signs in: the first who shows it, in time.
    pub async fn redeem(&self, link: &str) -> Result<Option<SpiffeId>, DatabaseError> {
        let tx = self.database.begin("session.redeem").await?;
        let id = store::take_link(&tx, &Token::digest_of(link)).await?;
        tx.commit().await?;
        Ok(id)
    }
}

/// Deletes what is over. Any replica may.
pub async fn sweep(database: &Database) -> Result<(), DatabaseError> {
    let tx = database.begin("session.sweep").await?;
    store::sweep(&tx, IDLE_MAX).await?;
    tx.commit().await
}

impl Token {
    fn fresh() -> Self {
        Self(URL_SAFE_NO_PAD.encode(random_bytes::<32>()))
    }

    /// As it is given away, once.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn digest(&self) -> Sha256 {
        Self::digest_of(&self.0)
    }

    fn digest_of(token: &str) -> Sha256 {
        Sha256::of(token.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn csrf(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::of_parts(&[CSRF, token.as_bytes()]).0)
}
