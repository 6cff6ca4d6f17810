//! Half of a sign-in is refused before a port opens, and so is one that would let in whom nobody meant.

use super::*;

fn oidc() -> OidcSettings {
    OidcSettings {
        issuer: Some("https://login.acme.example".to_owned()),
        audience: Some("checkrein".to_owned()),
        operators: vec!["ops".to_owned()],
        ..OidcSettings::default()
    }
}

#[test]
fn sign_in_by_oidc_is_whole_or_refused() {
    assert_eq!(OidcSettings::default().resolve(), Ok(None));
    assert!(oidc().resolve().unwrap().is_some());
    let without = |change: fn(&mut OidcSettings)| {
        let mut settings = oidc();
        change(&mut settings);
        settings.resolve().unwrap_err().to_string()
    };
    assert!(without(|oidc| oidc.issuer = None).contains("needs --oidc-issuer"));
    assert!(without(|oidc| oidc.audience = None).contains("needs --oidc-audience"));
    assert!(without(|oidc| oidc.operators.clear()).contains("--oidc-approvers"));
    assert!(without(|oidc| oidc.audience = Some(String::new())).contains("--oidc-audience is empty"));
    // A token that lists an empty group is no operator's.
    assert!(without(|oidc| oidc.operators.push(String::new())).contains("is empty"));
}

#[test]
fn the_console_is_a_client_with_a_name_or_none() {
    let of = |id: Option<&str>, secret: Option<&str>, scopes: &[&str]| {
        OidcSettings {
            client_id: id.map(ToOwned::to_owned),
            client_secret: secret.map(PathBuf::from),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            ..oidc()
        }
        .resolve()
        .map(|oidc| oidc.unwrap().client)
    };
    assert_eq!(of(None, None, &[]), Ok(None));
    assert_eq!(
        of(Some("console"), None, &[]).unwrap().unwrap().scopes,
        ["profile"]
    );
    let asked = of(Some("console"), Some("secret"), &["profile", "groups"]);
    assert_eq!(asked.unwrap().unwrap().scopes, ["profile", "groups"]);
    for (id, secret, scopes) in [
        (None, Some("secret"), &[][..]),
        (None, None, &["groups"]),
        (Some(""), None, &[]),
        (Some("console"), None, &["profile groups"]),
        (Some("console"), None, &[""]),
    ] {
        assert!(of(id, secret, scopes).is_err(), "{id:?} {secret:?} {scopes:?}");
    }
    let alone = OidcSettings {
        client_id: Some("console".to_owned()),
        ..OidcSettings::default()
    };
    assert!(alone.resolve().unwrap_err().to_string().contains("--oidc-issuer"));
}

#[test]
fn an_issuer_is_asked_over_tls_or_on_this_machine() {
    let of = |issuer: &str| {
        let issuer = Some(issuer.to_owned());
        OidcSettings { issuer, ..oidc() }.resolve()
    };
    for good in [
        "https://login.acme.example/realm",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://localhost",
    ] {
        assert!(of(good).is_ok(), "{good}");
    }
    for bad in [
        "http://login.acme.example",
        "http://localhost.evil.example",
        "https://user@login.acme.example",
        "https://login.acme.example?x",
        "https://login.acme.example#x",
        "ftp://localhost",
        "login.acme.example",
        "",
    ] {
        assert_eq!(of(bad), Err(InvalidSignIn::Issuer(bad.to_owned())));
    }
}

#[test]
fn sign_in_by_jwt_svid_takes_keys_and_an_audience() {
    let of = |keys: Option<&str>, audience: Option<&str>| {
        let (keys, audience) = (keys.map(PathBuf::from), audience.map(ToOwned::to_owned));
        JwtSvidSettings { keys, audience }.resolve()
    };
    assert_eq!(of(None, None), Ok(None));
    assert!(of(Some("keys.json"), Some("checkrein")).unwrap().is_some());
    for (keys, audience) in [
        (Some("keys.json"), None),
        (None, Some("checkrein")),
        (Some("keys.json"), Some("")),
    ] {
        assert!(of(keys, audience).is_err(), "{keys:?} {audience:?}");
    }
}
