//! `--help`, made from the tables of commands and options; 80 columns wide.

use super::options::{COMMANDS, CommandInfo, Opt, PREFIX, options};
use crate::config::paths::DEFAULT_FILES;
use crate::exit::Exit;

const WIDTH: usize = 80;
/// Where the second column of a list begins.
const COLUMN: usize = 27;

/// The help of the whole program: all commands, all options.
pub fn general() -> String {
    let mut help = wrapped(0, concat!("lightbeam ", env!("CARGO_PKG_VERSION")));
    help += &wrapped(0, concat!(env!("CARGO_PKG_DESCRIPTION"), "."));
    help += "\nUsage:\n";
    help += "  lightbeam CONFIG [options]\n";
    for command in COMMANDS {
        help += &wrapped(2, &usage(command));
    }
    help += "  lightbeam COMMAND --help\n\n";
    help += &where_config();
    help += &wrapped(0, "With CONFIG alone, `send` is meant.");
    help += "\nCommands:\n";
    for command in COMMANDS {
        help += &entry(command.name, command.summary);
    }
    let mut rest: Vec<&Opt> = options().collect();
    while let Some(first) = rest.first() {
        let of = first.of;
        help += &match first.commands().collect::<Vec<_>>() {
            all if all.len() == COMMANDS.len() => "\nOptions of every command:\n".into(),
            some => format!("\n{}", wrapped(0, &format!("Options of {}:", some.join(", ")))),
        };
        let (group, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|option| option.of == of);
        help.extend(group.iter().map(|option| option_entry(option)));
        rest = others;
    }
    help + &environment() + &exit_codes()
}

/// The help of one command.
pub fn of(command: &CommandInfo) -> String {
    let mut help = format!("lightbeam {}: {}\n\n", command.name, command.summary);
    help += &wrapped(0, command.about);
    help += "\nUsage:\n";
    help += &wrapped(2, &usage(command));
    if command.takes_config {
        help += "\n";
        help += &where_config();
    }
    help += "\nOptions:\n";
    let own = options().filter(|option| option.of.contains(&command.name));
    help.extend(own.map(option_entry));
    help += &environment();
    if command.takes_config { help + &exit_codes() } else { help }
}

/// How the environment gives options.
fn environment() -> String {
    let text = format!(
        "The variable behind an option gives it too: {PREFIX}PARTIAL_OK=1, {PREFIX}LOG_FORMAT=json; 0 switches off. The \
         command line counts more than a variable, and a variable more than the configuration."
    );
    format!("\nEnvironment:\n{}", wrapped(2, &text))
}

fn usage(command: &CommandInfo) -> String {
    let config = if command.takes_config { " [CONFIG]" } else { "" };
    let operands: String = command.operands.iter().map(|operand| format!(" {operand}")).collect();
    format!("lightbeam {}{operands}{config} [options]", command.name)
}

fn where_config() -> String {
    let [first, second] = DEFAULT_FILES;
    wrapped(0, &format!("CONFIG is a YAML file. Where none is named, {first} is taken, or else {second}."))
}

fn exit_codes() -> String {
    let codes = Exit::ALL.iter().map(|exit| format!("  {:>3}  {}\n", exit.code(), exit.meaning()));
    format!("\nExit codes:\n{}", codes.collect::<String>())
}

/// What an option does, with its variable.
fn option_entry(option: &Opt) -> String {
    let variable = option.variable().map_or(String::new(), |name| format!(" [{name}]"));
    entry(&option.label(), &format!("{}{variable}", option.help))
}

/// A line of a list in two columns; the second begins below a label that is too long.
fn entry(label: &str, text: &str) -> String {
    let text = wrapped(COLUMN, text);
    match label.len() + 4 > COLUMN {
        true => format!("  {label}\n{text}"),
        false => format!("  {label:<width$}{}", text.trim_start(), width = COLUMN - 2),
    }
}

/// Words in lines that begin at a column.
fn wrapped(indent: usize, text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH - indent => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines.iter().map(|line| format!("{:indent$}{line}\n", "")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<String> {
        COMMANDS.iter().map(of).chain([general()]).collect()
    }

    #[test]
    fn no_line_is_longer_than_80_columns_or_ends_in_a_space() {
        for line in all().iter().flat_map(|help| help.lines()) {
            assert!(line.chars().count() <= 80 && !line.ends_with(' '), "{line}");
        }
    }

    #[test]
    fn the_general_help_holds_every_command_option_and_exit_code() {
        let help = general();
        for command in COMMANDS {
            assert!(help.contains(&format!("\n  {}  ", command.name)), "{}", command.name);
        }
        for option in options() {
            assert_eq!(help.matches(&format!("\n  {}", option.label())).count(), 1, "{}", option.label());
        }
        for exit in Exit::ALL {
            assert!(help.contains(&format!("{:>3}  {}\n", exit.code(), exit.meaning())), "{help}");
        }
    }

    #[test]
    fn a_commands_help_holds_its_own_options_and_no_others() {
        for command in COMMANDS {
            let help = of(command);
            for option in options() {
                let held = help.contains(&format!("\n  {}", option.label()));
                assert_eq!(held, option.of.contains(&command.name), "{} {}", command.name, option.label());
            }
        }
    }

    #[test]
    fn each_option_is_shown_with_its_variable() {
        let help = general().split_whitespace().collect::<Vec<_>>().join(" ");
        for variable in options().filter_map(Opt::variable) {
            assert_eq!(help.matches(&format!("[{variable}]")).count(), 1, "{variable}");
        }
    }

    #[test]
    fn long_labels_stand_alone_and_texts_are_wrapped_at_their_column() {
        assert_eq!(entry("--port N", "Listen."), format!("{:<27}Listen.\n", "  --port N"));
        let label = "-".repeat(COLUMN - 3);
        let text = "word ".repeat(12);
        let indent = " ".repeat(COLUMN);
        let expected = format!("  {label}\n{indent}{}\n{indent}word word\n", ["word"; 10].join(" "));
        assert_eq!(entry(&label, &text), expected);
    }
}
