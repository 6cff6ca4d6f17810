//! A configuration is read whole or refused with the reason.

use super::*;

const SAMPLE: &str = include_str!("../../../deploy/enforcer.toml");

fn parse(text: &str) -> Result<Config, InvalidConfig> {
    Config::parse(text, Path::new("/etc/checkrein"))
}

#[test]
fn the_sample_file_is_a_configuration() {
    let config = parse(SAMPLE).unwrap();
    assert_eq!(config.control_plane, ["https://127.0.0.1:7443"]);
    assert_eq!(
        config.unix[0].agent.as_str(),
        "spiffe://acme.example/agent/billing"
    );
    assert_eq!(config.tcp.unwrap().address.port(), 7500);
    assert_eq!(config.journal.max_bytes, 268_435_456);
    assert_eq!(config.console_url.unwrap(), "https://checkrein.acme.example");
}

#[test]
fn relative_paths_are_relative_to_the_file() {
    let config = parse(SAMPLE).unwrap();
    assert_eq!(config.directory, Path::new("/etc/checkrein/state"));
    assert_eq!(config.unix[0].path, Path::new("/etc/checkrein/gate.sock"));
    let absolute = SAMPLE.replace("\"key.pem\"", "\"/run/key.pem\"");
    assert_eq!(parse(&absolute).unwrap().key.unwrap(), Path::new("/run/key.pem"));
}

#[test]
fn a_field_nobody_knows_is_refused() {
    let error = parse(&SAMPLE.replace("[tcp]", "[tcp]\nplaintext = true")).unwrap_err();
    assert!(
        matches!(&error, InvalidConfig::Toml(inner) if inner.to_string().contains("plaintext")),
        "{error}"
    );
}

#[test]
fn what_would_fail_open_is_refused() {
    let plain = SAMPLE.replace("https://", "http://");
    assert!(matches!(parse(&plain), Err(InvalidConfig::NotHttps(_))));
    let nobody = SAMPLE.replace("[\"https://127.0.0.1:7443\"]", "[]");
    assert!(matches!(parse(&nobody), Err(InvalidConfig::NoControlPlane)));
    let person = SAMPLE.replace("agent/billing", "operator/alice");
    assert!(matches!(parse(&person), Err(InvalidConfig::NotAnAgent(_))));
    let tiny = SAMPLE.replace("268435456", "1000");
    assert!(matches!(parse(&tiny), Err(InvalidConfig::JournalTooSmall(1000))));
    for nowhere in [
        "checkrein.acme.example",
        "javascript:alert(1)",
        "https://x.example/?a=b",
        "https://a@x.example",
    ] {
        let text = SAMPLE.replace("https://checkrein.acme.example", nowhere);
        assert!(
            matches!(parse(&text), Err(InvalidConfig::ConsoleUrl(_))),
            "{nowhere}"
        );
    }
    for key in ["", "zz", &"g".repeat(64), &"a".repeat(63)] {
        let text = SAMPLE.replace(
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            key,
        );
        assert!(parse(&text).is_err(), "{key}");
    }
}

#[test]
fn an_identity_is_of_files_or_of_the_workload_api_and_never_of_both_or_of_a_part() {
    let files = "certificate = \"certificate.pem\"\nkey = \"key.pem\"\nca = \"ca.pem\"\n";
    assert!(SAMPLE.contains(files));
    let with = |head: &str, tail: &str| parse(&format!("{}{tail}", SAMPLE.replace(files, head)));
    let spiffe = "[spiffe]\nsocket = \"unix:///run/spire/agent.sock\"\n";
    assert!(matches!(
        with("", spiffe).unwrap().origin(),
        Ok(Origin::WorkloadApi(_))
    ));
    assert!(matches!(with(files, "").unwrap().origin(), Ok(Origin::Files(_))));
    assert!(matches!(with(files, spiffe), Err(InvalidConfig::TwoIdentities)));
    let part = "ca = \"ca.pem\"\n";
    // Whom else to believe is no identity.
    assert!(matches!(
        with(part, spiffe).unwrap().origin(),
        Ok(Origin::WorkloadApi(_))
    ));
    for part in ["certificate = \"certificate.pem\"\n", "key = \"key.pem\"\n"] {
        assert!(matches!(with(part, spiffe), Err(InvalidConfig::TwoIdentities)));
    }
    assert!(matches!(with(part, ""), Err(InvalidConfig::NoIdentity)));
    assert!(matches!(with("", ""), Err(InvalidConfig::NoIdentity)));
}

#[test]
fn a_workload_api_is_only_spoken_to_over_a_socket_of_this_machine() {
    for address in [
        "tcp://127.0.0.1:8081",
        "/run/spire/agent.sock",
        "unix://",
        "unix:agent.sock",
        "unix://host/agent.sock",
        "",
    ] {
        assert!(WorkloadApi::at(address, None).is_none(), "{address}");
    }
    for address in ["unix:///run/spire/agent.sock", "unix:/run/spire/agent.sock"] {
        assert!(WorkloadApi::at(address, None).is_some(), "{address}");
    }
}

#[test]
fn a_gateway_listens_in_one_place_where_it_is_known_who_asks() {
    let with = |section: &str| parse(&format!("{SAMPLE}\n[[gateway]]\n{section}"));
    let ingress = r#"callers = ["spiffe://acme.example/gateway/ingress"]"#;
    let port = "address = \"127.0.0.1:7600\"\n";
    let config = with(&format!("{port}{ingress}")).unwrap();
    assert_eq!(config.gateway.last().unwrap().callers.len(), 1);
    let config = with("path = \"gateway.sock\"\nuid = 101").unwrap();
    let path = config.gateway.last().unwrap().path.as_deref();
    assert_eq!(path, Some(Path::new("/etc/checkrein/gateway.sock")));
    for nowhere in ["", &format!("{port}path = \"g.sock\"\n{ingress}")] {
        assert!(
            matches!(with(nowhere), Err(InvalidConfig::GatewayPlace)),
            "{nowhere}"
        );
    }
    let beside = format!("path = \"g.sock\"\n{ingress}");
    for unknown in [port, &format!("{port}uid = 101\n{ingress}"), &beside] {
        assert!(
            matches!(with(unknown), Err(InvalidConfig::GatewayCallers)),
            "{unknown}"
        );
    }
    let agent = format!("{port}{}", ingress.replace("gateway/ingress", "agent/billing"));
    assert!(matches!(with(&agent), Err(InvalidConfig::GatewayAgent(_))));
}

#[test]
fn a_request_at_a_gateway_is_one_call_of_an_agent_that_is_one() {
    let with = |section: &str| {
        let gateway = "[[gateway]]\npath = \"g.sock\"\nagent_from = [\"jwt\", \"principal\"]\n";
        parse(&format!("{SAMPLE}\n{gateway}{section}"))
    };
    let route = |request: &str| format!("[[gateway.route]]\nrequest = \"{request}\"\ntool = \"bank/pay\"\n");
    let (one, other) = (
        route("POST /accounts/{to}/payments"),
        route("POST /accounts/{id}"),
    );
    let config = with(&format!("{one}{other}")).unwrap();
    let gateway = config.gateway.last().unwrap();
    assert_eq!(gateway.agent_from, [AgentFrom::Jwt, AgentFrom::Principal]);
    assert_eq!(gateway.route.len(), 2);
    let again = route("POST /accounts/{account}");
    assert!(matches!(
        with(&format!("{other}{again}")),
        Err(InvalidConfig::GatewayRouteTwice(_))
    ));
    assert!(with(&route("POST accounts")).is_err());
    let named = |id: &str| {
        with(&format!(
            "agents = {{ \"spiffe://cluster.local/ns/a/sa/b\" = \"{id}\" }}"
        ))
    };
    assert!(named("spiffe://acme.example/agent/billing").is_ok());
    assert!(matches!(
        named("spiffe://acme.example/operator/olga"),
        Err(InvalidConfig::NotAnAgent(_))
    ));
}
