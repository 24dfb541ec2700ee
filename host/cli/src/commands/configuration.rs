//! `session3 serve --config FILE`: a file with the options of the command.
//!
//! What the file sets becomes arguments, which clap parses together with those of the command
//! line. So the file takes the values that the command line takes, with the same checks.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result, anyhow};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, Parser};

use super::serve::Serve;
use super::settings::{self, Setting, argument_of, key_of};
use super::usage_error::message;
use super::{Cli, input};

/// The key whose changed value is taken over without a restart.
const APPLICATION: &str = "application";

/// The file of a server, and the command line that named it.
pub struct Configuration {
    file: PathBuf,
    command_line: Vec<OsString>,
    /// The keys of the options that the command line has.
    given: Vec<String>,
    /// What the file set when the server started.
    settings: Vec<Setting>,
}

/// A file that was read again.
pub struct Reloaded {
    /// The command with the new application. Its other options are those of the start.
    pub serve: Serve,
    /// The keys whose values have changed otherwise.
    pub needs_restart: Vec<String>,
}

/// Parses the command line, and the file that it names for `serve`.
///
/// # Errors
///
/// If the file cannot be read, or has something that the command does not take;
/// [`clap::Error`] if the command line itself is wrong.
pub fn parse(command_line: Vec<OsString>) -> Result<Cli> {
    let matches = given(&command_line);
    let file = matches.as_ref().and_then(|matches| {
        let file: Option<&PathBuf> = matches.get_one("config");
        Some((file?.clone(), given_keys(matches)))
    });
    let Some((file, given)) = file else {
        return Ok(Cli::try_parse_from(command_line)?);
    };
    let configuration = Configuration {
        settings: read(&file)?,
        file,
        command_line,
        given,
    };
    let mut cli = configuration.parse(&configuration.settings)?;
    if let super::Command::Serve(serve) = &mut cli.command {
        serve.set_configuration(configuration);
    }
    Ok(cli)
}

impl Configuration {
    /// Reads the file again.
    ///
    /// # Errors
    ///
    /// Those of [`parse`].
    pub fn reload(&self) -> Result<Reloaded> {
        let settings = read(&self.file)?;
        // A server has to start with the file as it is, also if nothing is taken over.
        self.parse(&settings)?;
        let (old, new) = (self.applied(&self.settings), self.applied(&settings));
        let needs_restart = changed_keys(&old, &new);
        let is_application = |setting: &&Setting| setting.key == APPLICATION;
        let kept = self.settings.iter().filter(|old| !is_application(old));
        let taken_over = settings.iter().filter(is_application);
        let taken_over: Vec<Setting> = kept.chain(taken_over).cloned().collect();
        match self.parse(&taken_over)?.command {
            super::Command::Serve(serve) => Ok(Reloaded {
                serve: *serve,
                needs_restart,
            }),
            _ => Err(anyhow!("the command line is not that of a server")),
        }
    }

    /// Returns the keys of the file that have no effect, because the command line has their
    /// options or contradicts them.
    pub fn replaced_keys(&self) -> Vec<&str> {
        let applied = self.applied(&self.settings);
        let is_applied = |key: &str| applied.iter().any(|setting| setting.key == key);
        let keys = self.settings.iter().map(|setting| setting.key.as_str());
        keys.filter(|key| !is_applied(key)).collect()
    }

    /// Returns the path of the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Parses the command line together with what a file sets.
    fn parse(&self, settings: &[Setting]) -> Result<Cli> {
        let command = serve_command();
        let applied = self.applied(settings);
        let arguments = applied.iter().filter_map(|setting| {
            let argument = argument_of(&command, &setting.key)?;
            Some(setting.arguments(argument))
        });
        let mut line = self.command_line.clone();
        // The first argument is the name of the program.
        let serve = line.iter().skip(1).position(|argument| argument == "serve");
        let after_serve = serve.map_or(line.len(), |serve| serve + 2);
        line.splice(after_serve..after_serve, arguments.flatten());
        Cli::try_parse_from(line).map_err(|error| self.explain(error, &applied))
    }

    /// Returns the settings that the command line does not replace. It replaces those of the
    /// options that it has, also of options that may be given more than once, and those that
    /// contradict such an option. An environment variable replaces its option, too.
    fn applied<'a>(&self, settings: &'a [Setting]) -> Vec<&'a Setting> {
        let command = serve_command();
        let is_applied = |setting: &&Setting| {
            let is_in_the_way =
                |given: &String| *given == setting.key || contradict(&command, given, &setting.key);
            !self.given.iter().any(is_in_the_way)
        };
        settings.iter().filter(is_applied).collect()
    }

    /// Says where in the file an error is, in one line. An error of the command line alone is
    /// returned as it is.
    fn explain(&self, error: clap::Error, settings: &[&Setting]) -> Error {
        let named = |kind| match error.get(kind) {
            Some(ContextValue::String(name)) => vec![name.clone()],
            Some(ContextValue::Strings(names)) => names.clone(),
            _ => Vec::new(),
        };
        let names = [named(ContextKind::InvalidArg), named(ContextKind::PriorArg)].concat();
        let is_named = |setting: &&&Setting| names.iter().any(|name| names_key(name, &setting.key));
        let file = self.file.display();
        if let Some(setting) = settings.iter().find(is_named) {
            let wrong = named(ContextKind::InvalidValue);
            let mut values = setting.values.iter();
            let value = values.find(|value| wrong.contains(&value.text));
            let line = value.map_or(setting.line, |value| value.line);
            let key = &setting.key;
            return anyhow!(
                "{file}:{line}: {key}: {}; see `session3 serve --help`",
                message(&error)
            );
        }
        match error.kind() {
            ErrorKind::MissingRequiredArgument if !settings.is_empty() => anyhow!(
                "{file}: {}: set them in [serve], or on the command line",
                message(&error)
            ),
            _ => error.into(),
        }
    }
}

fn read(file: &Path) -> Result<Vec<Setting>> {
    let parsed = settings::parse(&input::read_text(file)?, &serve_command());
    parsed.map_err(|fault| anyhow!("{}:{fault}", file.display()))
}

fn serve_command() -> Command {
    let mut cli = Cli::command();
    match cli.find_subcommand_mut("serve") {
        Some(serve) => std::mem::take(serve),
        None => Command::default(),
    }
}

/// Returns what the command line has for `serve`, although the file may have to add to it.
fn given(command_line: &[OsString]) -> Option<ArgMatches> {
    let command = Cli::command().ignore_errors(true);
    let matches = command.try_get_matches_from(command_line).ok()?;
    matches.subcommand_matches("serve").cloned()
}

/// Returns the keys of the options and arguments that the command line has.
fn given_keys(matches: &ArgMatches) -> Vec<String> {
    let command = serve_command();
    let arguments = command.get_arguments();
    let given = arguments.filter(|argument| is_given(matches, argument.get_id().as_str()));
    given.map(|argument| key_of(argument).to_owned()).collect()
}

fn is_given(matches: &ArgMatches, id: &str) -> bool {
    let source = matches.value_source(id);
    source.is_some_and(|source| source != ValueSource::DefaultValue)
}

/// Returns whether two options cannot be given together.
fn contradict(command: &Command, one: &str, other: &str) -> bool {
    let excludes = |one: &str, other: &str| {
        argument_of(command, one).is_some_and(|argument| {
            let mut excluded = command.get_arg_conflicts_with(argument).into_iter();
            excluded.any(|argument| key_of(argument) == other)
        })
    };
    excludes(one, other) || excludes(other, one)
}

/// Returns whether an error names an option, as in `--port <PORT>`, or an argument, as in
/// `<APPLICATION>`.
fn names_key(name: &str, key: &str) -> bool {
    let name = name.split([' ', '=']).next().unwrap_or_default();
    match name.strip_prefix("--") {
        Some(option) => option == key,
        None => name.trim_matches(['<', '>']).eq_ignore_ascii_case(key),
    }
}

/// Returns the keys whose values differ, without that of the application.
fn changed_keys(old: &[&Setting], new: &[&Setting]) -> Vec<String> {
    let is_in = |setting: &Setting, others: &[&Setting]| {
        let is_same = |other: &&Setting| other.key == setting.key && other.has_values_of(setting);
        others.iter().any(is_same)
    };
    let changed = old.iter().filter(|setting| !is_in(setting, new));
    let added = new.iter().filter(|setting| !is_in(setting, old));
    let keys = changed.chain(added).map(|setting| setting.key.clone());
    let mut keys: Vec<String> = keys.filter(|key| key != APPLICATION).collect();
    keys.sort();
    keys.dedup();
    keys
}
