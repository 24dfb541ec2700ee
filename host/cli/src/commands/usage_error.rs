//! Errors of the command line, in one line each.

use clap::CommandFactory;

use super::Cli;

/// Returns an error with its advice as one line.
///
/// `command` is the first argument of the program.
pub fn in_one_line(error: &clap::Error, command: Option<&str>) -> String {
    let names = Cli::command();
    let command = match command.filter(|name| names.find_subcommand(name).is_some()) {
        Some(name) => format!("session3 {name}"),
        None => "session3".into(),
    };
    let advice = match tip(error) {
        Some(tip) => format!("; {tip}"),
        None => String::new(),
    };
    format!("{}{advice}; see `{command} --help`", message(error))
}

/// Returns the message of an error without the advice below it.
pub fn message(error: &clap::Error) -> String {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    lines.join(" ")
}

/// Returns the first piece of advice, such as an option with a similar name.
fn tip(error: &clap::Error) -> Option<String> {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim);
    lines.find_map(|line| Some(line.strip_prefix("tip: ")?.to_owned()))
}
