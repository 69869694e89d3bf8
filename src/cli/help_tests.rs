//! The help as a stranger reads it, option by option.

use super::{Cli, VALUES};
use clap::{Arg, Command, CommandFactory as _};
use std::collections::BTreeMap;

/// Names of values that need no explanation beside what the option says of them.
const PLAIN: [&str; 23] = [
    "NUMBERS",
    "BASE..CAP",
    "N/s",
    "NAME",
    "TEXT",
    "DIR",
    "FILE.html",
    "OTHER",
    "END",
    "PATH",
    "LINK",
    "ADDR:PORT",
    "[ADDR:]PORT",
    "ADDR,...",
    "ADDR:PORT,...",
    "HOST:PORT",
    "I/N",
    "WHO",
    "FILE",
    "INSTANT",
    "BITS/s",
    "PERCENT",
    "PLAN",
];
/// Options that are another thing from command to command.
const OF_TWO_KINDS: [&str; 2] = ["for", "out"];

/// Every subcommand with its options and arguments, but for clap's own.
fn read(mut each: impl FnMut(&Command, &Arg, &str)) {
    let mut definition = Cli::command();
    definition.build();
    let ours = |command: &&Command| command.get_name() != "help";
    for command in definition.get_subcommands().filter(ours) {
        let own = |argument: &&Arg| !argument.is_hide_set() && argument.get_id() != "help";
        for argument in command.get_arguments().filter(own) {
            let place = format!("{} {argument}", command.get_name());
            each(command, argument, &place);
        }
    }
}

fn value_name(argument: &Arg) -> Option<String> {
    let takes_value = argument
        .get_num_args()
        .is_none_or(|count| count.takes_values());
    let names = argument.get_value_names().filter(|_| takes_value)?;
    names.first().map(ToString::to_string)
}

#[test]
fn every_option_is_explained_in_a_sentence_or_two() {
    let mut seen = 0;
    read(|_, argument, place| {
        let help = argument.get_long_help().or_else(|| argument.get_help());
        let length = help.map_or(0, |help| help.to_string().chars().count());
        assert!((10..=330).contains(&length), "{place}: {length} characters");
        for value in argument.get_possible_values() {
            let of_product = matches!(argument.get_id().as_str(), "shell" | "snippets");
            assert!(
                of_product || value.get_help().is_some() || !takes(argument),
                "{place}: {value:?}"
            );
        }
        seen += 1;
    });
    assert!(seen > 100, "{seen} options were read");
}

fn takes(argument: &Arg) -> bool {
    value_name(argument).is_some()
}

#[test]
fn every_value_has_a_name_that_says_how_it_is_written() {
    read(|command, argument, place| {
        let Some(name) = value_name(argument) else {
            return;
        };
        let listed = !argument.get_possible_values().is_empty();
        let explained = VALUES.contains(&format!("{name} ")) && shown_by(command);
        assert!(
            listed || explained || PLAIN.contains(&name.as_str()),
            "{place}: <{name}> is neither among the names that the end of the help explains nor plain"
        );
    });
}

fn shown_by(command: &Command) -> bool {
    command
        .get_after_help()
        .is_some_and(|text| text.to_string() == VALUES)
}

#[test]
fn an_option_takes_the_same_value_in_every_command() {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    read(|_, argument, place| {
        let (Some(option), Some(name)) = (argument.get_long(), value_name(argument)) else {
            return;
        };
        if OF_TWO_KINDS.contains(&option) {
            return;
        }
        let first = names
            .entry(option.to_owned())
            .or_insert_with(|| name.clone());
        assert_eq!(*first, name, "{place}: --{option} is <{first}> elsewhere");
    });
}

#[test]
fn help_fits_a_terminal_of_80_columns() {
    for command in Cli::command().get_subcommands() {
        let help = command
            .clone()
            .term_width(80)
            .render_long_help()
            .to_string();
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
        }
    }
}
