//! Packs, segments and bundles in Postgres.

mod group;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;
use checkrein_proto::policy::v1 as wire;
use checkrein_shared::action::Sha256;
use checkrein_shared::id::Generation;
use checkrein_shared::identity::SpiffeId;
use checkrein_shared::policy::{Budget, PackSource, Segment};
use prost::Message;
use tokio_postgres::Row;

use super::prepare::Labels;
use super::{Heads, INSTANCE_DAYS_MAX, PackRevision, Published, Registered};
use crate::database::{
    DatabaseError, FeedName, Transaction, from_ms, inconsistent, moment_ms, parsed, signed, unsigned,
};

pub(super) use group::replace_groups;

/// The bundles of so many generations are kept, and may be fetched by those whose they are or were a moment ago.
const GENERATIONS_KEPT: i64 = 64;
/// Bundles retired in one transaction, which everyone who publishes waits for.
const RETIRED_AT_ONCE_MAX: i64 = 1_000;

pub(super) async fn heads(tx: &Transaction) -> Result<Heads, DatabaseError> {
    let read = "-- policy.heads
        SELECT DISTINCT ON (pack) pack, revision, files FROM pack_revision ORDER BY pack, revision DESC";
    let rows = tx.query(read, &[]).await.map_err(|source| tx.failed(source))?;
    let head = |row: &Row| {
        let (pack, revision): (String, i64) = (row.get("pack"), row.get("revision"));
        let source = decode_source(&pack, row)?;
        Ok((pack, (unsigned(revision), source)))
    };
    rows.iter().map(head).collect()
}

pub(super) async fn head_revisions(tx: &Transaction) -> Result<BTreeMap<String, u64>, DatabaseError> {
    let read = "-- policy.head_revisions
        SELECT pack, max(revision) FROM pack_revision GROUP BY pack";
    let rows = tx.query(read, &[]).await.map_err(|source| tx.failed(source))?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), unsigned(row.get(1))))
        .collect())
}

pub(super) async fn head_revision(tx: &Transaction, pack: &str) -> Result<Option<u64>, DatabaseError> {
    Ok(head_revisions(tx).await?.get(pack).copied())
}

/// Every distinct set of labels in the register, and the empty one: what an enforcer without labels would run.
pub(super) async fn label_sets(tx: &Transaction) -> Result<BTreeSet<Labels>, DatabaseError> {
    let read = "-- policy.label_sets
        SELECT DISTINCT labels FROM enforcer";
    let rows = tx.query(read, &[]).await.map_err(|source| tx.failed(source))?;
    let mut sets: BTreeSet<Labels> = rows
        .iter()
        .map(|row| pairs(&row.get::<_, Vec<String>>(0)))
        .collect();
    sets.insert(Labels::new());
    Ok(sets)
}

/// `key=value` as pairs.
pub(super) fn pairs(labels: &[String]) -> Labels {
    let pair = |label: &String| {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        (key.to_owned(), value.to_owned())
    };
    labels.iter().map(pair).collect()
}

pub(super) async fn insert_pack(
    tx: &Transaction,
    revision: &PackRevision,
    source: &PackSource,
) -> Result<(), DatabaseError> {
    let insert = "-- policy.insert_pack
        INSERT INTO pack_revision (pack, revision, generation, source_sha256, files, rules, tools, pushed_by, pushed_at, note)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    tx.change_one(
        insert,
        &[
            &revision.pack,
            &signed(revision.revision),
            &signed(revision.generation.0),
            &&revision.source_sha256.0[..],
            &encode_source(source),
            &i32::try_from(revision.rules).unwrap_or(i32::MAX),
            &i32::try_from(revision.tools).unwrap_or(i32::MAX),
            &revision.pushed_by.as_str(),
            &from_ms(revision.pushed_ms),
            &revision.note,
        ],
    )
    .await
}

pub(super) async fn insert_segment(tx: &Transaction, segment: &Segment) -> Result<(), DatabaseError> {
    let insert = "-- policy.insert_segment
        INSERT INTO segment (sha256, content) VALUES ($1, $2) ON CONFLICT (sha256) DO NOTHING";
    tx.execute(insert, &[&&segment.sha256.0[..], &&segment.bytes[..]])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

pub(super) async fn insert_bundle(
    tx: &Transaction,
    generation: Generation,
    audience: &str,
    packs: &[String],
    segments: &[Segment],
    manifest: &wire::SignedManifest,
) -> Result<(), DatabaseError> {
    let insert = "-- policy.insert_bundle
        INSERT INTO bundle (generation, audience, packs, segments, manifest, manifest_sha256, signature, key_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let digest = Sha256::of(&manifest.manifest);
    let segments: Vec<&[u8]> = segments.iter().map(|segment| &segment.sha256.0[..]).collect();
    tx.change_one(
        insert,
        &[
            &signed(generation.0),
            &audience,
            &packs,
            &segments,
            &&manifest.manifest[..],
            &&digest.0[..],
            &&manifest.signature[..],
            &manifest.key_id,
        ],
    )
    .await
}

pub(super) async fn has_bundle(
    tx: &Transaction,
    generation: Generation,
    audience: &str,
) -> Result<bool, DatabaseError> {
    let read = "-- policy.has_bundle
        SELECT EXISTS (SELECT FROM bundle WHERE generation = $1 AND audience = $2)";
    let row = tx
        .query_one(read, &[&signed(generation.0), &audience])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(row.get(0))
}

pub(super) async fn set_audience(
    tx: &Transaction,
    labels: &Labels,
    audience: &str,
) -> Result<(), DatabaseError> {
    let set = "-- policy.set_audience
        UPDATE enforcer SET audience = $2 WHERE labels = $1 AND audience <> $2";
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    tx.execute(set, &[&labels, &audience])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(())
}

/// How many enforcers' bundles carry a pack.
pub(super) async fn count_audience(tx: &Transaction, pack: &str) -> Result<u32, DatabaseError> {
    let count = "-- policy.count_audience
        SELECT count(*) FROM enforcer JOIN bundle USING (audience)
        WHERE generation = (SELECT value FROM revision WHERE feed = $2) AND $1 = ANY (packs)";
    let row = tx
        .query_one(count, &[&pack, &FeedName::Policy.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    Ok(u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX))
}

pub(super) async fn replace_budgets(
    tx: &Transaction,
    budgets: &[(String, Budget)],
) -> Result<(), DatabaseError> {
    tx.execute("-- policy.clear_budgets\nDELETE FROM pack_budget", &[])
        .await
        .map_err(|source| tx.failed(source))?;
    let insert = "-- policy.insert_budget
        INSERT INTO pack_budget (pack, name, per, meter, amount, window_ms, tools) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    for (pack, budget) in budgets {
        let (per, meter) = (budget.per.as_str(), budget.meter.as_str());
        let (limit, window) = (signed(budget.limit), budget.window_ms.map(signed));
        tx.change_one(
            insert,
            &[pack, &budget.name, &per, &meter, &limit, &window, &budget.tools],
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn answered(
    tx: &Transaction,
    by: &SpiffeId,
    key: &str,
    request: &Sha256,
) -> Result<Option<PackRevision>, DatabaseError> {
    let Some(known) = tx.answer_given_to::<wire::ShowRequest>(by, key, request).await? else {
        return Ok(None);
    };
    Ok(find(tx, &known.pack, known.revision)
        .await?
        .map(|(revision, _)| revision))
}

pub(super) async fn remember(
    tx: &Transaction,
    by: &SpiffeId,
    key: &str,
    request: &Sha256,
    revision: &PackRevision,
) -> Result<(), DatabaseError> {
    let known = wire::ShowRequest {
        pack: revision.pack.clone(),
        revision: revision.revision,
    };
    tx.remember_answer_to(by, key, request, &known).await
}

pub(super) async fn find(
    tx: &Transaction,
    pack: &str,
    revision: u64,
) -> Result<Option<(PackRevision, PackSource)>, DatabaseError> {
    let read = "-- policy.find
        SELECT * FROM pack_revision WHERE pack = $1 AND ($2::bigint = 0 OR revision = $2) ORDER BY revision DESC LIMIT 1";
    let row = tx
        .query_opt(read, &[&pack, &signed(revision)])
        .await
        .map_err(|source| tx.failed(source))?;
    row.map(|row| Ok((decode(&row)?, decode_source(pack, &row)?)))
        .transpose()
}

/// The revisions in force of the packs that follow a name.
pub(super) async fn list_heads(
    tx: &Transaction,
    after: &str,
    rows: i64,
) -> Result<Vec<PackRevision>, DatabaseError> {
    let read = "-- policy.list_heads
        SELECT DISTINCT ON (pack) * FROM pack_revision WHERE pack > $1 ORDER BY pack, revision DESC LIMIT $2";
    let found = tx.query(read, &[&after, &rows]).await;
    decode_all(&found.map_err(|source| tx.failed(source))?)
}

/// The revisions of one pack before a number, newest first.
pub(super) async fn list_revisions(
    tx: &Transaction,
    pack: &str,
    before: u64,
    rows: i64,
) -> Result<Vec<PackRevision>, DatabaseError> {
    let read = "-- policy.list_revisions
        SELECT * FROM pack_revision WHERE pack = $1 AND revision < $2 ORDER BY revision DESC LIMIT $3";
    let found = tx.query(read, &[&pack, &signed(before), &rows]).await;
    decode_all(&found.map_err(|source| tx.failed(source))?)
}

/// The register and the bundles of the newest generation, in one statement: two would each see another moment, and a push
/// between them would leave every enforcer without a bundle.
pub(super) async fn published(tx: &Transaction) -> Result<Published, DatabaseError> {
    let read = "-- policy.published
        SELECT value, name, spiffe_id, labels, agents, manifest, manifest_sha256, signature, key_id
        FROM revision LEFT JOIN enforcer ON true
            LEFT JOIN bundle ON bundle.audience = enforcer.audience AND generation = value
        WHERE feed = $1";
    let rows = tx
        .query(read, &[&FeedName::Policy.as_str()])
        .await
        .map_err(|source| tx.failed(source))?;
    let newest = rows
        .first()
        .ok_or_else(|| inconsistent("revision", &FeedName::Policy.as_str()))?;
    let is_entry = |row: &&Row| row.get::<_, Option<&str>>("name").is_some();
    let entry = |row: &Row| Ok((row.get("name"), registered(row)?));
    Ok(Published {
        generation: Generation(unsigned(newest.get("value"))),
        enforcers: rows
            .iter()
            .filter(is_entry)
            .map(entry)
            .collect::<Result<_, DatabaseError>>()?,
    })
}

/// Which of these are segments of a bundle that an enforcer's audience was given in one of the last generations.
pub(super) async fn recent_segments(
    tx: &Transaction,
    enforcer: &str,
    wanted: &[Vec<u8>],
) -> Result<HashSet<Sha256>, DatabaseError> {
    let read = "-- policy.recent_segments
        SELECT DISTINCT sha256 FROM (
            SELECT unnest(segments) AS sha256 FROM enforcer JOIN bundle USING (audience)
            WHERE name = $1 AND generation > (SELECT value FROM revision WHERE feed = $2) - $3
        ) AS recent WHERE sha256 = ANY ($4)";
    let rows = tx
        .query(
            read,
            &[&enforcer, &FeedName::Policy.as_str(), &GENERATIONS_KEPT, &wanted],
        )
        .await
        .map_err(|source| tx.failed(source))?;
    let digest =
        |row: &Row| Sha256::try_from(row.get::<_, &[u8]>(0)).map_err(|_| inconsistent("bundle", &"segments"));
    rows.iter().map(digest).collect()
}

/// Deletes bundles that nobody runs or may still be fetching, and the segments that were only theirs. Packs stay: a rollback
/// composes from them anew. Returns how many bundles went.
pub(super) async fn retire(tx: &Transaction) -> Result<u64, DatabaseError> {
    // Whoever publishes waits: a segment that a push finds stored must not go before the push's own bundle is there.
    let newest = tx.lock(FeedName::Policy).await?;
    let bundles = "-- policy.retire_bundles
        DELETE FROM bundle WHERE generation IN (
            SELECT generation FROM bundle WHERE generation <= $1 AND NOT EXISTS (
                SELECT FROM enforcer_instance WHERE acked_generation = bundle.generation
                    AND last_seen_at > clock_timestamp() - $2::bigint * interval '1 day')
            ORDER BY generation LIMIT $3)";
    let oldest = signed(newest).saturating_sub(GENERATIONS_KEPT);
    let retired = tx
        .execute(bundles, &[&oldest, &INSTANCE_DAYS_MAX, &RETIRED_AT_ONCE_MAX])
        .await
        .map_err(|source| tx.failed(source))?;
    let segments = "-- policy.retire_segments
        DELETE FROM segment WHERE NOT EXISTS (
            SELECT FROM (SELECT unnest(segments) AS sha256 FROM bundle) AS used WHERE used.sha256 = segment.sha256)";
    if retired > 0 {
        tx.execute(segments, &[])
            .await
            .map_err(|source| tx.failed(source))?;
    }
    Ok(retired)
}

pub(super) async fn segments(
    tx: &Transaction,
    wanted: &[Vec<u8>],
) -> Result<Vec<(Sha256, Bytes)>, DatabaseError> {
    let read = "-- policy.segments
        SELECT sha256, content FROM segment WHERE sha256 = ANY ($1)";
    let rows = tx
        .query(read, &[&wanted])
        .await
        .map_err(|source| tx.failed(source))?;
    let segment = |row: &Row| {
        let sha256 =
            Sha256::try_from(row.get::<_, &[u8]>(0)).map_err(|_| inconsistent("segment", &"sha256"))?;
        Ok((sha256, Bytes::from(row.get::<_, Vec<u8>>(1))))
    };
    rows.iter().map(segment).collect()
}

fn registered(row: &Row) -> Result<Registered, DatabaseError> {
    let manifest: Option<Vec<u8>> = row.get("manifest");
    let bundle = match manifest {
        None => None,
        Some(manifest) => {
            let digest = row.get::<_, &[u8]>("manifest_sha256");
            let digest = Sha256::try_from(digest).map_err(|_| inconsistent("bundle", &"manifest_sha256"))?;
            let signature: Vec<u8> = row.get("signature");
            let signed = wire::SignedManifest {
                manifest: manifest.into(),
                signature: signature.into(),
                key_id: row.get("key_id"),
            };
            Some((signed, digest))
        }
    };
    Ok(Registered {
        spiffe_id: parsed(row, "spiffe_id", "enforcer")?,
        labels: row.get("labels"),
        agents: row.get("agents"),
        bundle,
    })
}

fn decode_all(rows: &[Row]) -> Result<Vec<PackRevision>, DatabaseError> {
    rows.iter().map(decode).collect()
}

fn decode(row: &Row) -> Result<PackRevision, DatabaseError> {
    let pack: String = row.get("pack");
    let digest = Sha256::try_from(row.get::<_, &[u8]>("source_sha256"));
    let count = |column: &str| u32::try_from(row.get::<_, i32>(column)).unwrap_or_default();
    Ok(PackRevision {
        source_sha256: digest.map_err(|_| inconsistent("pack_revision", &pack))?,
        pack,
        revision: unsigned(row.get("revision")),
        generation: Generation(unsigned(row.get("generation"))),
        rules: count("rules"),
        tools: count("tools"),
        pushed_by: parsed(row, "pushed_by", "pack_revision")?,
        pushed_ms: moment_ms(row, "pushed_at"),
        note: row.get("note"),
    })
}

fn encode_source(source: &PackSource) -> Vec<u8> {
    let file = |(path, content): (&String, &Vec<u8>)| wire::PackFile {
        path: path.clone(),
        content: Bytes::copy_from_slice(content),
    };
    wire::ShowResponse {
        revision: None,
        files: source.files.iter().map(file).collect(),
    }
    .encode_to_vec()
}

fn decode_source(pack: &str, row: &Row) -> Result<PackSource, DatabaseError> {
    let files = wire::ShowResponse::decode(row.get::<_, &[u8]>("files"))
        .map_err(|_| inconsistent("pack_revision", &pack))?
        .files;
    let files = files
        .into_iter()
        .map(|file| (file.path, file.content.to_vec()))
        .collect();
    Ok(PackSource {
        name: pack.to_owned(),
        files,
    })
}

#[cfg(test)]
mod tests;
