//! What a grant costs: looked up when it was seen before, verified at first sight, and remembered by the hundred thousand.
//!
//! *Seen* is the look-up that a decision makes, in blocks, for one grant that is asked again and again and for many that take
//! turns. *First sight* is the same call for a token that is new, beside a bare Ed25519 verification of the same bytes in the
//! same run; *of a chain* is the same for grants that were passed on twice, three signatures each. *Proof* is a proof of
//! possession, verified. *Live* asks 100,000 grants in turns, more than are remembered: what they take of memory is bounded, and what
//! was forgotten is verified anew.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use checkrein_enforcer::SeenGrants;
use checkrein_shared::action::{Arguments, Sha256};
use checkrein_shared::grant::{Grant, Limits, Narrowing, OwnGrant, Proof, Scope};
use checkrein_shared::id::{GrantId, TaskId};
use checkrein_shared::key::{KeySet, SigningKey, VerifyingKey};
use checkrein_shared::{Clock, SystemClock};
use checkrein_tests::generated::{AGENT, ENVIRONMENT, USER};
use checkrein_tests::{Conditions, Latency, Stopwatch, resident_bytes};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::Serialize;
use tokio::time::Instant;

/// Grants that take turns where one is too few.
const SOME: usize = 1_000;
/// Grants that are alive at once.
const LIVE: usize = 100_000;
/// Look-ups between two readings of the clock: one takes less than a reading.
const BLOCK: usize = 1_000;
const BLOCKS: usize = 2_000;
/// What a grant of that kind allows.
const SCOPE: &str = r#"{
    "desk/*": {},
    "bank/send_money": {
        "recipient": {"constraint_type": "one_of", "values": ["GB29NWBK60161331926819"]},
        "amount": {"constraint_type": "range", "max": 500},
        "memo": {"constraint_type": "wildcard", "optional": true}
    }
}"#;
const MIB: f64 = (1 << 20) as f64;

/// What is stored.
#[derive(Debug, Serialize)]
struct Figures {
    token_bytes: usize,
    /// Nanoseconds, means of blocks: one grant, over and over.
    seen_one_ns: f64,
    /// Grants in turns.
    seen_some_ns: f64,
    first_sight: Latency,
    bare_verify: Latency,
    /// Of p50: first sight by bare verification.
    ratio_first_sight: f64,
    chain_bytes: usize,
    first_sight_of_chain: Latency,
    /// Of p50, by bare verification.
    ratio_chain: f64,
    proof: Latency,
    /// Of p50, by bare verification.
    ratio_proof: f64,
    live: Live,
}

#[derive(Debug, Serialize)]
struct Live {
    grants: usize,
    /// All tokens, as text.
    tokens_mib: f64,
    /// What the process grew by while it saw them all twice.
    grew_mib: f64,
    /// What a look-up takes when every grant is asked in turn: most were forgotten.
    in_turn_us: f64,
}

fn main() -> Result<()> {
    let conditions = Conditions::now(&SystemClock);
    let key = new_key()?;
    let keys = KeySet {
        version: 1,
        bundle: Vec::new(),
        grant: vec![key.verifying()],
        ca: Sha256::of(b""),
    };
    let some = (0..SOME).map(|_| token(&key)).collect::<Result<Vec<_>>>()?;
    let first_sight = first_sight(&some, &keys)?;
    let bare_verify = bare_verify(&some)?;
    let chains = chains(&key)?;
    let first_sight_of_chain = self::first_sight(&chains, &keys)?;
    let proof = proof(&key)?;
    let figures = Figures {
        token_bytes: some[0].len(),
        seen_one_ns: seen(&some[..1], &keys)?,
        seen_some_ns: seen(&some, &keys)?,
        first_sight,
        bare_verify,
        ratio_first_sight: first_sight.p50_us / bare_verify.p50_us,
        chain_bytes: chains[0].len(),
        first_sight_of_chain,
        ratio_chain: first_sight_of_chain.p50_us / bare_verify.p50_us,
        proof,
        ratio_proof: proof.p50_us / bare_verify.p50_us,
        live: live(&key, &keys)?,
    };
    print(&figures);
    conditions.store("grant", &figures)
}

fn token(key: &SigningKey) -> Result<String> {
    Ok(grant(Limits::default(), None)?.sign(key)?)
}

fn new_key() -> Result<SigningKey> {
    Ok(SigningKey::from_pkcs8(&SigningKey::generate()?)?)
}

fn grant(limits: Limits, holder: Option<VerifyingKey>) -> Result<Grant> {
    let now_ms = SystemClock.wall_ms();
    Ok(Grant {
        id: GrantId::new(&SystemClock),
        task: TaskId::new(&SystemClock),
        epoch: 0,
        agent: AGENT.parse()?,
        user: USER.to_owned(),
        scope: Scope::parse_json(SCOPE.as_bytes())?,
        data: None,
        named: vec!["GB29NWBK60161331926819".to_owned()],
        intent: "pay the rent".to_owned(),
        environment: ENVIRONMENT.to_owned(),
        issued_ms: now_ms,
        expires_ms: now_ms + 60_000,
        holder,
        link: None,
        limits,
    })
}

/// Grants that were passed on twice.
fn chains(key: &SigningKey) -> Result<Vec<String>> {
    let limits = Limits {
        depth: 2,
        ..Limits::default()
    };
    let holder = new_key()?;
    let chain = |_| {
        let mut presented = grant(limits, Some(holder.verifying()))?.sign(key)?;
        for _ in 0..limits.depth {
            let child = Narrowing {
                holder: Some(holder.verifying()),
                ..Narrowing::to(AGENT.parse()?)
            };
            presented = OwnGrant::read(&presented)?.pass_on(child, &holder, &SystemClock)?;
        }
        Ok(presented)
    };
    (0..SOME).map(chain).collect()
}

/// What a proof of possession adds to a call.
fn proof(key: &SigningKey) -> Result<Latency> {
    let holder = new_key()?;
    let presented = grant(Limits::default(), Some(holder.verifying()))?.sign(key)?;
    let own = OwnGrant::read(&presented)?;
    let arguments = Arguments::parse(br#"{"recipient":"GB29NWBK60161331926819","amount":10.0}"#)?;
    let tool = "bank/send_money";
    let mut stopwatch = Stopwatch::new()?;
    for _ in 0..SOME {
        let proof = own.prove(tool, &arguments, &holder, &SystemClock)?;
        let (call, leaf) = ((tool, &arguments), own.chain().leaf());
        let started = Instant::now();
        black_box(Proof::verify(
            &proof,
            &presented,
            leaf,
            call,
            SystemClock.wall_ms(),
        )?);
        stopwatch.record(started.elapsed());
    }
    Ok(stopwatch.latency())
}

/// The median of blocks, by look-up.
fn seen(tokens: &[String], keys: &KeySet) -> Result<f64> {
    let grants = SeenGrants::default();
    for token in tokens {
        grants.verify(token, keys)?;
    }
    let mut stopwatch = Stopwatch::new()?;
    let mut turns = tokens.iter().cycle();
    for _ in 0..BLOCKS {
        let started = Instant::now();
        for token in turns.by_ref().take(BLOCK) {
            black_box(grants.verify(black_box(token), keys)?);
        }
        stopwatch.record(started.elapsed());
    }
    // A microsecond for a block of a thousand is a nanosecond for each.
    Ok(stopwatch.latency().p50_us)
}

fn first_sight(tokens: &[String], keys: &KeySet) -> Result<Latency> {
    let mut stopwatch = Stopwatch::new()?;
    for _ in 0..20 {
        let grants = SeenGrants::default();
        for token in tokens {
            let started = Instant::now();
            black_box(grants.verify(token, keys)?);
            stopwatch.record(started.elapsed());
        }
    }
    Ok(stopwatch.latency())
}

/// Of messages as long as the signed part of each token, by the same library.
fn bare_verify(tokens: &[String]) -> Result<Latency> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32])
        .ok()
        .context("a key")?;
    let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().to_vec());
    let mut stopwatch = Stopwatch::new()?;
    for token in tokens.iter().cycle().take(tokens.len() * 20) {
        let (message, signature) = token.rsplit_once('.').context("a token")?;
        ensure!(URL_SAFE_NO_PAD.decode(signature)?.len() == 64, "a signature");
        let signature = pair.sign(message.as_bytes());
        let started = Instant::now();
        let verified = public.verify(message.as_bytes(), signature.as_ref());
        stopwatch.record(started.elapsed());
        ensure!(verified.is_ok(), "a signature that was just made");
    }
    Ok(stopwatch.latency())
}

fn live(key: &SigningKey, keys: &KeySet) -> Result<Live> {
    let tokens = (0..LIVE).map(|_| token(key)).collect::<Result<Vec<_>>>()?;
    let before = resident_bytes()?;
    let grants = SeenGrants::default();
    let started = Instant::now();
    for token in tokens.iter().chain(&tokens) {
        black_box(grants.verify(token, keys)?);
    }
    let in_turn = started.elapsed().as_secs_f64() * 1e6;
    Ok(Live {
        grants: LIVE,
        tokens_mib: mib(tokens.iter().map(String::len).sum()),
        grew_mib: (resident_bytes()? - before) / MIB,
        in_turn_us: in_turn / count(2 * LIVE),
    })
}

fn mib(bytes: usize) -> f64 {
    count(bytes) / MIB
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn count(number: usize) -> f64 {
    number as f64
}

fn print(figures: &Figures) {
    let Figures { live, .. } = figures;
    println!("\nA grant of {} bytes\n", figures.token_bytes);
    println!("  seen before, one       {:>9.1} ns", figures.seen_one_ns);
    println!(
        "  seen before, {SOME:>5}     {:>9.1} ns   aim: 100",
        figures.seen_some_ns
    );
    println!(
        "  first sight            {:>9.1} us p50",
        figures.first_sight.p50_us
    );
    println!(
        "  bare Ed25519 verify    {:>9.1} us p50",
        figures.bare_verify.p50_us
    );
    println!("  first sight by bare    {:>9.2} x", figures.ratio_first_sight);
    println!(
        "  a chain of three       {:>9.1} us p50, {:.2} x bare, {} bytes",
        figures.first_sight_of_chain.p50_us, figures.ratio_chain, figures.chain_bytes
    );
    println!(
        "  a proof of possession  {:>9.1} us p50, {:.2} x bare",
        figures.proof.p50_us, figures.ratio_proof
    );
    println!(
        "\n{} live grants, {:.0} MiB of tokens, asked in turns: {:.1} us each, {:.0} MiB remembered\n",
        live.grants, live.tokens_mib, live.in_turn_us, live.grew_mib
    );
}
