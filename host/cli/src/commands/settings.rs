//! The section `serve` of a configuration file. What it may contain follows from the options of
//! the command, so that an option can never be missing here.

use std::any::TypeId;
use std::ffi::OsString;
use std::fmt;
use std::ops::Range;

use clap::{Arg, ArgAction, Command};
use session3::policy::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The section with the options of the command.
const SECTION: &str = "serve";
/// The sections of a file.
const SECTIONS: [&str; 3] = [SECTION, "policy", "dev"];
/// What a file cannot set, because it is about the file itself.
const COMMAND_LINE_ONLY: [&str; 2] = ["config", "check"];
/// The types of values that a file writes as numbers.
const NUMBERS: [TypeId; 6] = [
    TypeId::of::<u8>(),
    TypeId::of::<u16>(),
    TypeId::of::<u32>(),
    TypeId::of::<u64>(),
    TypeId::of::<usize>(),
    TypeId::of::<i64>(),
];

/// An option that a file sets.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The name of the option without dashes, or that of the argument.
    pub key: String,
    /// The line of the key, counted from 1.
    pub line: usize,
    /// The values. A flag has `true` or `false`.
    pub values: Vec<Value>,
}

/// A value of an option.
#[derive(Clone, Debug)]
pub struct Value {
    /// The value as it is on the command line.
    pub text: String,
    /// Its line, counted from 1.
    pub line: usize,
}

/// What is wrong in a file.
#[derive(Debug)]
pub struct Fault {
    /// The line, counted from 1.
    line: usize,
    why: String,
}

impl Fault {
    /// Says why a text is not what was expected of it.
    pub fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        Self {
            line: error.span().map_or(1, |span| line_of(text, &span)),
            why: error.message().trim().replace('\n', "; "),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.line, self.why)
    }
}

impl Setting {
    /// Returns whether another setting has the same values.
    pub fn has_values_of(&self, other: &Self) -> bool {
        let texts = |setting: &Self| -> Vec<String> {
            let values = setting.values.iter();
            values.map(|value| value.text.clone()).collect()
        };
        texts(self) == texts(other)
    }

    /// Returns the arguments of the command line with the same effect.
    pub fn arguments(&self, argument: &Arg) -> Vec<OsString> {
        let values = self.values.iter().map(|value| value.text.as_str());
        let arguments = values.filter_map(|text| match (argument.get_action(), text) {
            (ArgAction::SetTrue, "true") => Some(format!("--{}", self.key)),
            (ArgAction::SetTrue, _) => None,
            _ if argument.is_positional() => Some(text.to_owned()),
            _ => Some(format!("--{}={text}", self.key)),
        });
        arguments.map(OsString::from).collect()
    }
}

/// Returns the name of an option or argument in a file.
pub fn key_of(argument: &Arg) -> &str {
    let id = argument.get_id().as_str();
    argument.get_long().unwrap_or(id)
}

/// Returns the option or argument of a command that has this name in a file.
pub fn argument_of<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|argument| key_of(argument) == key)
}

/// Returns what the section `serve` of a file sets; nothing if there is no such section.
///
/// # Errors
///
/// If the text is not TOML, or if the section has an unknown key or a value of the wrong type.
pub fn parse(text: &str, command: &Command) -> Result<Vec<Setting>, Fault> {
    let line_of = |span: Range<usize>| line_of(text, &span);
    let file = DeTable::parse(text).map_err(|error| Fault::of_toml(text, &error))?;
    for name in file.get_ref().keys() {
        check_section(name.get_ref()).map_err(|why| Fault {
            line: line_of(name.span()),
            why,
        })?;
    }
    let mut sections = file.get_ref().iter();
    let section = sections.find(|(name, _)| name.get_ref().as_ref() == SECTION);
    let Some((name, section)) = section else {
        return Ok(Vec::new());
    };
    let section = section.get_ref().as_table().ok_or_else(|| Fault {
        line: line_of(name.span()),
        why: format!("{SECTION} is a section: write [{SECTION}], and the options below it"),
    })?;
    let mut settings = Vec::new();
    for (key, value) in section {
        let line = line_of(key.span());
        let key = key.get_ref().to_string();
        let fault = |why| Fault { line, why };
        let argument = known(command, &key).map_err(fault)?;
        let values = values_of(argument, value);
        let values = values.ok_or_else(|| fault(wrong_type(argument, value.get_ref())))?;
        let values = values.into_iter().map(|(text, span)| Value {
            text,
            line: line_of(span),
        });
        let values = values.collect();
        settings.push(Setting { key, line, values });
    }
    Ok(settings)
}

/// Returns the line where a part of a text begins, counted from 1.
fn line_of(text: &str, part: &Range<usize>) -> usize {
    let before = text.get(..part.start).unwrap_or_default();
    1 + before.matches('\n').count()
}

/// Refuses a misspelt section: otherwise the file would be a session policy as a whole, whose
/// errors say nothing of sections.
fn check_section(name: &str) -> Result<(), String> {
    match nearest(SECTIONS.into_iter(), name) {
        Some(section) if section != name => {
            Err(format!("unknown section {name}: did you mean [{section}]?"))
        }
        _ => Ok(()),
    }
}

/// Returns the option or argument for a key, or what is wrong with the key.
fn known<'a>(command: &'a Command, key: &str) -> Result<&'a Arg, String> {
    if COMMAND_LINE_ONLY.contains(&key) {
        return Err(format!(
            "{key} cannot be set in a file: leave it out, and give --{key} on the command line"
        ));
    }
    argument_of(command, key).ok_or_else(|| {
        let keys = command.get_arguments().map(key_of);
        let advice = match nearest(keys, key) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => "the keys are the options of `session3 serve --help`, without dashes".into(),
        };
        format!("unknown key {key}: {advice}")
    })
}

/// Returns the values of an option with their places in the text; `None` if the value is of
/// another type than the option.
fn values_of(argument: &Arg, value: &Spanned<DeValue<'_>>) -> Option<Vec<(String, Range<usize>)>> {
    match argument.get_action() {
        ArgAction::Append => {
            let items = value.get_ref().as_array()?.iter();
            items.map(|item| single(argument, item)).collect()
        }
        _ => single(argument, value).map(|value| vec![value]),
    }
}

fn single(argument: &Arg, value: &Spanned<DeValue<'_>>) -> Option<(String, Range<usize>)> {
    let text = match value.get_ref() {
        DeValue::Boolean(is_on) if is_flag(argument) => is_on.to_string(),
        DeValue::Integer(number) if is_number(argument) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            number.ok()?.to_string()
        }
        DeValue::String(text) if !is_flag(argument) && !is_number(argument) => text.to_string(),
        _ => return None,
    };
    Some((text, value.span()))
}

fn is_flag(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::SetTrue)
}

fn is_number(argument: &Arg) -> bool {
    let parser = argument.get_value_parser();
    NUMBERS.iter().any(|number| parser.type_id() == *number)
}

fn wrong_type(argument: &Arg, value: &DeValue<'_>) -> String {
    let key = key_of(argument);
    let expected = match argument.get_action() {
        _ if is_flag(argument) => "true or false",
        ArgAction::Append => "a list of texts, such as [\"a\", \"b\"]",
        _ if is_number(argument) => "a whole number, without quotes",
        _ => "a text in quotes",
    };
    format!(
        "{key} takes {expected}, and this is of the type {}",
        value.type_str()
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;

    fn serve() -> Command {
        let cli = Cli::command();
        cli.find_subcommand("serve").expect("a command").clone()
    }

    /// Returns a value that an option takes, as a file has it.
    fn sample(argument: &Arg) -> String {
        let text = match key_of(argument) {
            "metrics" => "127.0.0.1:9090".to_owned(),
            "listen" => "127.0.0.1:8080".to_owned(),
            "allow-outbound" => "api.example.com".to_owned(),
            "trust-proxy" => "10.0.0.0/8".to_owned(),
            _ => match argument.get_possible_values().last() {
                Some(value) => value.get_name().to_owned(),
                None => "a text".to_owned(),
            },
        };
        match argument.get_action() {
            ArgAction::SetTrue => "true".into(),
            ArgAction::Append => format!("[{text:?}, {text:?}]"),
            _ if is_number(argument) => "7".into(),
            _ => format!("{text:?}"),
        }
    }

    #[test]
    fn every_option_can_be_set() {
        let command = serve();
        let mut count = 0;
        for argument in command.get_arguments() {
            let key = key_of(argument);
            let text = format!("[serve]\n{key} = {}\n", sample(argument));
            let parsed = parse(&text, &command);
            if COMMAND_LINE_ONLY.contains(&key) {
                assert!(parsed.is_err(), "{key}");
                continue;
            }
            let settings = parsed.unwrap_or_else(|fault| panic!("{text}: {fault}"));
            let arguments = settings[0].arguments(argument);
            let line = [vec!["serve".into()], arguments].concat();
            // Options that need others are read all the same.
            let matches = command
                .clone()
                .ignore_errors(true)
                .try_get_matches_from(line);
            let matches = matches.expect(key);
            let mut given = matches.get_raw(argument.get_id().as_str()).expect(key);
            let given = given.next().expect(key).to_str().expect("UTF-8");
            assert!(
                text.contains(given) && settings[0].line == 2,
                "{text}: {given}"
            );
            count += 1;
        }
        assert!(count > 30, "{count}");
    }

    #[test]
    fn a_flag_that_is_false_is_not_given() {
        let command = serve();
        let settings = parse("[serve]\naccess-log = false\n", &command).expect("fine");
        let argument = argument_of(&command, "access-log").expect("an option");
        assert!(settings[0].arguments(argument).is_empty());
    }

    #[test]
    fn a_session_policy_as_a_whole_sets_nothing() {
        let fields = [
            "idle-timeout",
            "absolute-timeout",
            "first-use-timeout",
            "renew-after",
            "renew-grace",
            "touch-after",
            "max-sessions-per-user",
        ];
        let numbers: String = fields.map(|field| format!("{field} = 1\n")).concat();
        let policy = format!(
            "{numbers}on-client-change = \"end\"\non-damage = \"end\"\nuser-caching = \"private\"\n\
             clear-cache = true\n[cookie]\n[remember]\n[require]\n"
        );
        let settings = parse(&policy, &serve()).expect("no misspelt section");
        assert!(settings.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let command = serve();
        for (text, expected) in [
            (
                "[serve]\n\nmax-memry = 5",
                "3: unknown key max-memry: did you mean max-memory?",
            ),
            (
                "[serve]\naplication = \"x\"",
                "2: unknown key aplication: did you mean application?",
            ),
            (
                "[serve]\nxyz = 5",
                "2: unknown key xyz: the keys are the options of",
            ),
            (
                "[serve]\nmax-memory = \"64\"",
                "2: max-memory takes a whole number, without quotes",
            ),
            (
                "[serve]\nmax-memory = 6.4",
                "2: max-memory takes a whole number, without quotes",
            ),
            (
                "[serve]\nstore = 5",
                "2: store takes a text in quotes, and this is of the type integer",
            ),
            (
                "[serve]\nstore = [\"a\"]",
                "2: store takes a text in quotes",
            ),
            (
                "[serve]\naccess-log = \"true\"",
                "2: access-log takes true or false",
            ),
            ("[serve]\ndir = \"data\"", "2: dir takes a list of texts"),
            ("[serve]\ndir = [5]", "2: dir takes a list of texts"),
            (
                "[serve]\nconfig = \"x\"",
                "2: config cannot be set in a file: leave it out",
            ),
            ("[serve]\nport = 1\nport = 2", "3: duplicate key"),
            ("\n[serv]", "2: unknown section serv: did you mean [serve]?"),
            (
                "[polcy.cookie]",
                "1: unknown section polcy: did you mean [policy]?",
            ),
            ("serve = 5", "1: serve is a section: write [serve]"),
            ("[serve", "1: "),
        ] {
            let why = parse(text, &command).expect_err(text).to_string();
            assert!(why.starts_with(expected), "{text}: {why}");
            assert_eq!(why.lines().count(), 1, "{why}");
        }
    }
}
