//! What askers mean is said once, or not believed.

use std::path::Path;

use super::*;
use crate::config::Gateway;

fn parsed(text: &str) -> Result<AuthZen, String> {
    let authzen: AuthZen = toml::from_str(text).map_err(|error| error.to_string())?;
    authzen.check().map_err(|error| error.to_string())?;
    Ok(authzen)
}

#[test]
fn a_place_in_a_question_is_one_of_its_parts_or_refused() {
    let source = |text: &str| ArgumentSource::try_from(text.to_owned());
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(source("subject.id"), Ok(ArgumentSource::SubjectId));
    assert_eq!(
        source("resource.properties.owner.mail"),
        Ok(ArgumentSource::Resource(names(&["owner", "mail"])))
    );
    assert_eq!(source("context.ip"), Ok(ArgumentSource::Context(names(&["ip"]))));
    for wrong in [
        "",
        "subject",
        "subject.role",
        "subject.properties",
        "resource.properties.",
        "resource.properties..x",
        "context",
        "context.",
        "grant.user",
        "subject.id.more",
    ] {
        assert!(source(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_would_be_two_things_and_whoever_is_no_agent_are_refused() {
    let alice = "[[subject]]\ntype = \"user\"\nid = \"alice\"\nagent = \"spiffe://a.example/agent/x\"\ngrant = \"g\"\n";
    assert!(parsed(alice).is_ok());
    assert!(parsed(&format!("{alice}{alice}")).unwrap_err().contains("twice"));
    let person = alice.replace("/agent/", "/approver/");
    assert!(parsed(&person).unwrap_err().contains("not an agent"));
    let read = "[[action]]\nname = \"read\"\nresource = \"record\"\ntool = \"records/read\"\n";
    assert!(parsed(&format!("{read}{read}")).unwrap_err().contains("twice"));
    for url in ["http://pdp.example", "https://pdp.example/?x=1", "pdp.example"] {
        assert!(
            parsed(&format!("url = \"{url}\"")).unwrap_err().contains("https"),
            "{url}"
        );
    }
    assert!(parsed("colour = 1").unwrap_err().contains("unknown field"));
}

#[test]
fn the_file_of_a_grant_is_found_beside_the_configuration() {
    let text = "path = \"pep.sock\"\n[[authzen.subject]]\ntype = \"user\"\nid = \"alice\"\nagent = \"spiffe://a.example/agent/x\"\ngrant = \"alice.grant\"\n";
    let mut gateway: Gateway = toml::from_str(text).unwrap();
    for file in gateway.files() {
        *file = Path::new("/etc/checkrein").join(&*file);
    }
    assert_eq!(
        gateway.authzen.subject[0].grant,
        Path::new("/etc/checkrein/alice.grant")
    );
}
