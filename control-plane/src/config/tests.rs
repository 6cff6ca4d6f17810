//! What is refused before a port opens, and what is never printed.

use super::{InvalidConfig, Settings};

fn settings(beat: Option<&str>, retention: Option<&str>) -> Settings {
    Settings {
        beat: beat.map(ToOwned::to_owned),
        retention: retention.map(ToOwned::to_owned),
        ..Settings::default()
    }
}

#[test]
fn a_retention_that_would_drop_today_or_outlast_the_calendar_is_refused() {
    for retention in ["0s", "23h", "36501d", "500000y"] {
        let resolved = settings(None, Some(retention)).resolve();
        assert!(matches!(resolved, Err(InvalidConfig::Retention)), "{retention}");
    }
    for retention in ["1d", "90d", "36500d"] {
        settings(None, Some(retention)).resolve().unwrap();
    }
}

#[test]
fn a_certificate_life_that_is_no_time_or_for_ever_is_refused() {
    let living = |life: &str| Settings {
        certificate_life: Some(life.to_owned()),
        ..Settings::default()
    };
    for life in ["0s", "9m", "366d"] {
        let resolved = living(life).resolve();
        assert!(matches!(resolved, Err(InvalidConfig::CertificateLife)), "{life}");
    }
    for life in ["10m", "24h", "365d"] {
        living(life).resolve().unwrap();
    }
}

#[test]
fn a_beat_is_short_enough_for_the_full_tier_to_stay_fresh() {
    assert!(matches!(
        settings(Some("11s"), None).resolve(),
        Err(InvalidConfig::Beat)
    ));
    settings(Some("10s"), None).resolve().unwrap();
}

#[test]
fn no_password_of_the_database_is_printed() {
    for url in [
        "postgres://checkrein:hunter2@db/checkrein",
        "postgres://db/checkrein?password=hunter2",
        "host=db user=checkrein password=hunter2",
    ] {
        let settings = Settings {
            database_url: Some(url.to_owned()),
            ..Settings::default()
        };
        assert!(!format!("{settings:?}").contains("hunter2"), "{url}");
        let config = settings.resolve().unwrap();
        assert!(!format!("{config:?}").contains("hunter2"), "{url}");
    }
}

#[test]
fn a_workload_api_is_asked_over_a_unix_socket_and_nothing_else() {
    let at = |socket: &str| Settings {
        spiffe_socket: Some(socket.to_owned()),
        ..Settings::default()
    };
    for socket in ["tcp://127.0.0.1:8081", "/run/spire/agent.sock", "unix:", ""] {
        let resolved = at(socket).resolve();
        assert!(
            matches!(resolved, Err(InvalidConfig::SpiffeSocket(_))),
            "{socket}"
        );
    }
    let resolved = at("unix:///run/spire/agent.sock").resolve().unwrap();
    assert!(resolved.spiffe_socket.is_some());
}
