//! Whose database it is: one installation's, known by its trust domain and its root key.
//!
//! **Invariant**: a replica that signs with keys the fleet does not know is refused before it serves; the key set on record
//! never goes back to an older version.

use checkrein_shared::action::Sha256;
use deadpool_postgres::ClientWrapper;
use tokio_postgres::Row;

use super::{DatabaseError, inconsistent, signed, unsigned};

/// What a replica brings: the installation it is of, and the keys it would sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The SPIFFE trust domain it certifies.
    pub trust_domain: String,
    /// What enforcers pin.
    pub root_public_key: [u8; 32],
    /// Of its key set.
    pub key_set_version: u64,
    /// Of the encoded key set.
    pub key_set_sha256: Sha256,
}

/// Claims the database, or finds that it is this installation's already. Returns the epoch.
pub(super) async fn run(client: &mut ClientWrapper, ours: &Claim) -> Result<u64, DatabaseError> {
    let tx = client.transaction().await?;
    let claim = "-- installation.claim
        INSERT INTO installation (trust_domain, epoch, root_public_key, key_set_version, key_set_sha256)
        VALUES ($1, 1, $2, $3, $4) ON CONFLICT (only_row) DO NOTHING";
    let version = signed(ours.key_set_version);
    let (root, digest) = (&ours.root_public_key[..], &ours.key_set_sha256.0[..]);
    tx.execute(claim, &[&ours.trust_domain, &root, &version, &digest])
        .await?;
    let read = "-- installation.read
        SELECT trust_domain, epoch, root_public_key, key_set_version, key_set_sha256 FROM installation FOR UPDATE";
    let row = tx.query_one(read, &[]).await?;
    let known = decode(&row)?;
    check(&known, ours)?;
    if known.key_set_version < ours.key_set_version {
        let rotate = "-- installation.rotate
            UPDATE installation SET key_set_version = $1, key_set_sha256 = $2";
        tx.execute(rotate, &[&version, &digest]).await?;
    }
    tx.commit().await?;
    Ok(unsigned(row.get("epoch")))
}

fn check(known: &Claim, ours: &Claim) -> Result<(), DatabaseError> {
    if known.trust_domain != ours.trust_domain {
        return Err(DatabaseError::ForeignInstallation {
            found: known.trust_domain.clone(),
            expected: ours.trust_domain.clone(),
        });
    }
    if known.root_public_key != ours.root_public_key {
        return Err(DatabaseError::ForeignKeys {
            found: hexadecimal(&known.root_public_key),
            expected: hexadecimal(&ours.root_public_key),
        });
    }
    let is_later = ours.key_set_version > known.key_set_version;
    let is_same =
        ours.key_set_version == known.key_set_version && ours.key_set_sha256 == known.key_set_sha256;
    if is_later || is_same {
        return Ok(());
    }
    Err(DatabaseError::OtherKeySet {
        found: known.key_set_version,
        expected: ours.key_set_version,
    })
}

fn decode(row: &Row) -> Result<Claim, DatabaseError> {
    let bad = |column: &str| inconsistent("installation", &column);
    Ok(Claim {
        trust_domain: row.get("trust_domain"),
        root_public_key: row
            .get::<_, &[u8]>("root_public_key")
            .try_into()
            .map_err(|_| bad("root_public_key"))?,
        key_set_version: unsigned(row.get("key_set_version")),
        key_set_sha256: row
            .get::<_, &[u8]>("key_set_sha256")
            .try_into()
            .map_err(|_| bad("key_set_sha256"))?,
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
