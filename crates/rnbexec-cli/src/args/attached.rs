//! `-pNAME VALUE` and `--parameters=NAME VALUE`, which click reads and clap does not.
//!
//! clap takes an attached value as the option's only one. For options of two values the attached one is therefore
//! split off before parsing; nothing else of the command line is touched.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// The same arguments with the attached first value of every two-value option standing alone.
pub(super) fn split_attached_pairs(program: &Command, arguments: Vec<OsString>) -> Vec<OsString> {
    let mut command = program;
    let mut split = Vec::with_capacity(arguments.len() + 2);
    let mut rest = arguments.into_iter();
    split.extend(rest.next());
    while let Some(argument) = rest.next() {
        if argument == "--" {
            split.push(argument);
            break;
        }
        match option(command, &argument) {
            Some(Found { option, attached: None, .. }) => {
                split.push(argument);
                split.extend(rest.by_ref().take(values(option)));
            }
            Some(Found { option, spelled, attached: Some(value) }) if values(option) == 2 => {
                split.extend([spelled, value]);
                split.extend(rest.by_ref().take(1));
            }
            Some(_) => split.push(argument),
            None => {
                if let Some(sub) = argument.to_str().and_then(|name| command.find_subcommand(name)) {
                    command = sub;
                }
                split.push(argument);
            }
        }
    }
    split.extend(rest);
    split
}

struct Found<'a> {
    option: &'a Arg,
    spelled: OsString,
    attached: Option<OsString>,
}

/// The option an argument names, with the value attached to it.
fn option<'a>(command: &'a Command, argument: &OsStr) -> Option<Found<'a>> {
    let text = argument.to_str()?;
    if let Some(long) = text.strip_prefix("--") {
        let (name, attached) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.into())),
            None => (long, None),
        };
        let named = |arg: &&Arg| {
            arg.get_long() == Some(name)
                || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
        };
        let option = command.get_arguments().find(named)?;
        return Some(Found { option, spelled: format!("--{name}").into(), attached });
    }
    let letter = text.strip_prefix('-')?.chars().next()?;
    let option = command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
    let behind = &text[1 + letter.len_utf8()..];
    let attached = (!behind.is_empty()).then(|| behind.into());
    Some(Found { option, spelled: format!("-{letter}").into(), attached })
}

/// How many values an option takes.
fn values(option: &Arg) -> usize {
    match option.get_num_args() {
        Some(range) => range.min_values(),
        None => usize::from(option.get_action().takes_values()),
    }
}
