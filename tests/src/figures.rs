//! Figures: what was measured, under which conditions, as a table for people and as JSON under `target/bench/`.
//!
//! **Invariant**: a figure without its conditions is never stored, and only ratios within one run say anything: the machine
//! is part of every number.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use checkrein_shared::Clock;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Significant digits that a histogram keeps.
const DIGITS: u8 = 3;
/// The longest duration it tells from longer ones.
const LONGEST: Duration = Duration::from_mins(10);

/// Where and when something was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Conditions {
    /// RFC 3339, UTC.
    pub date: String,
    /// How many threads the machine runs at once.
    pub cores: usize,
    /// How busy it was before: processes that wanted to run, averaged over a minute.
    pub load: f64,
    /// `release` or `debug`.
    pub profile: &'static str,
    /// What `rustc --version` says.
    pub rustc: String,
}

/// How long something took, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// How often it was measured.
    pub count: u64,
    /// The mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: f64,
    /// One in a hundred took longer.
    pub p99_us: f64,
    /// One in a thousand took longer.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// Counts durations.
#[derive(Debug, Clone)]
pub struct Stopwatch(Histogram<u64>);

/// Conditions and figures, as they are stored.
#[derive(Serialize)]
struct Stored<'a, F> {
    conditions: &'a Conditions,
    #[serde(flatten)]
    figures: &'a F,
}

impl Conditions {
    /// Of this moment.
    pub fn now(clock: &dyn Clock) -> Self {
        let date = UNIX_EPOCH + Duration::from_millis(clock.wall_ms());
        let rustc = Command::new("rustc").arg("--version").output();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            date: humantime::format_rfc3339_seconds(date).to_string(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load: load
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or_default(),
            profile: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
            rustc: rustc.map_or_else(
                |_| "unknown".to_owned(),
                |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            ),
        }
    }

    /// Prints figures' conditions and stores both as `target/bench/<name>.json`.
    pub fn store(&self, name: &str, figures: &impl Serialize) -> Result<()> {
        let directory = target()?.join("bench");
        fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{name}.json"));
        let stored = Stored {
            conditions: self,
            figures,
        };
        fs::write(&path, serde_json::to_vec_pretty(&stored)?)?;
        println!(
            "({}, {} cores, load {}, {} build, {}; stored in {})\n",
            self.date,
            self.cores,
            self.load,
            self.profile,
            self.rustc,
            path.display()
        );
        Ok(())
    }
}

impl Stopwatch {
    /// Nothing counted yet.
    pub fn new() -> Result<Self> {
        let longest = u64::try_from(LONGEST.as_nanos())?;
        Ok(Self(Histogram::new_with_max(longest, DIGITS)?))
    }

    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        self.0
            .saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Takes in what another counted.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0).context("two histograms that don't fit")
    }

    /// What was counted.
    pub fn latency(&self) -> Latency {
        let us = |quantile| micros(self.0.value_at_quantile(quantile));
        Latency {
            count: self.0.len(),
            mean_us: self.0.mean() / 1_000.0,
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            max_us: micros(self.0.max()),
        }
    }
}

/// What the process has in memory, in bytes, as the kernel counts it.
pub fn resident_bytes() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmRSS")?.trim().parse::<f64>()? * 1024.0)
}

/// The directory this executable was built into: `target`, wherever that is.
pub fn target() -> Result<PathBuf> {
    let executable = std::env::current_exe()?;
    // target/<profile>/deps/<executable>
    let target = executable.ancestors().nth(3);
    Ok(target
        .context("an executable outside a target directory")?
        .to_owned())
}

fn micros(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1e6
}
