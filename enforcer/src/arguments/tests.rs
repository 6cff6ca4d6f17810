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
