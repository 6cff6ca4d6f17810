//! What a newcomer is told to type.

use super::*;

const README: &str = include_str!("../../../../README.md");

#[test]
fn what_serve_prints_on_the_defaults_is_what_the_readme_says() {
    let config = "$PWD/checkrein-data/operator/client.toml";
    let printed = welcome(
        ("https://localhost:7443", Some("http://localhost:7444")),
        config,
        TRUST_DOMAIN_DEFAULT,
    );
    let typed: Vec<&str> = printed.lines().filter(|line| line.starts_with("  ")).collect();
    assert_eq!(typed.len(), 5, "{printed}");
    for line in typed {
        assert!(
            README.contains(&format!("\n    {}\n", line.trim())),
            "the README lacks `{line}`"
        );
    }
}

#[test]
fn another_trust_domain_is_in_every_line_that_names_one() {
    let printed = welcome(("https://localhost:7443", None), "client.toml", "acme.example");
    assert!(
        printed.contains("policy init mail --trust-domain acme.example &&"),
        "{printed}"
    );
    assert_eq!(
        printed.matches("spiffe://acme.example/agent/assistant").count(),
        2,
        "{printed}"
    );
    assert!(!printed.contains(TRUST_DOMAIN_DEFAULT), "{printed}");
}
