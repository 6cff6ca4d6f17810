//! What a variable means to one program it does not mean to another.

use clap::CommandFactory;

use super::*;

#[test]
fn the_file_of_an_enforcer_has_a_variable_that_the_client_does_not_read() {
    let mut command = Arguments::command();
    command.build();
    let serve = command.find_subcommand("serve").unwrap();
    let config = serve
        .get_arguments()
        .find(|argument| argument.get_id() == "config");
    assert_eq!(config.unwrap().get_env().unwrap(), "CHECKREIN_ENFORCER_CONFIG");
}

const WITHOUT_IDENTITY: [&str; 6] = [
    "checkrein-enforcer",
    "serve",
    "--config=/nowhere/enforcer.toml",
    "--control-plane=https://127.0.0.1:7443",
    "--directory=/state",
    "--root-key=d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
];

/// The configuration of somebody who types this on a machine whose Workload API is known.
fn read(flags: &[&str], machine_socket: Option<&str>) -> anyhow::Result<Config> {
    let typed = WITHOUT_IDENTITY.iter().chain(flags);
    let Command::Serve(serve) = Arguments::try_parse_from(typed)?.command else {
        anyhow::bail!("another command");
    };
    serve.settings.read_where(machine_socket.map(str::to_owned))
}

#[test]
fn the_machines_workload_api_gives_an_identity_only_where_none_is_configured() {
    let socket = |config: Config| config.spiffe.map(|spiffe| spiffe.socket);
    let machine = Some("unix:///run/machine.sock");
    assert_eq!(socket(read(&[], machine).unwrap()).as_deref(), machine);
    assert!(read(&[], None).is_err());
    let named = ["--spiffe-socket=unix:///run/named.sock"];
    assert_eq!(
        socket(read(&named, machine).unwrap()).as_deref(),
        Some("unix:///run/named.sock")
    );
    let files = ["--certificate=/c", "--key=/k", "--ca=/a"];
    assert_eq!(socket(read(&files, machine).unwrap()), None);
    let both = [&files[..], &named[..]].concat();
    let refused = read(&both, None).unwrap_err().to_string();
    assert!(refused.contains("two identities"), "{refused}");
    // A part of one is not completed by the machine's.
    read(&files[..1], machine).unwrap_err();
}
