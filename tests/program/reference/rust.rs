//! What a source in Rust documents: constants, errors, defaults.

use std::fs;

use proc_macro2::TokenStream;
use session3_test_program::project::root;
use session3_test_support::files;
use syn::{Attribute, Expr, Fields, Item, ItemEnum, Lit, Meta, Pat, Stmt};

use super::constants::Constants;
use super::macros::{Line, log_lines};

/// A file in Rust, without its tests.
pub struct Source {
    /// The path from the root of the repository.
    pub path: String,
    pub tokens: TokenStream,
    file: syn::File,
}

/// A constant that the page lists.
pub struct Constant {
    pub name: String,
    pub value: String,
    pub docs: String,
}

/// A case of an error.
pub struct Case {
    pub name: String,
    pub message: String,
    pub docs: String,
}

impl Source {
    /// Reads the crates that are published, and the session manager, in the order of their paths.
    pub fn all() -> Vec<Self> {
        let root = root();
        let directories = ["host", "guest/manager/src", "guest/rust/src"];
        let all = directories
            .iter()
            .flat_map(|directory| files(&root.join(directory)));
        let mut paths: Vec<_> = all
            .map(|file| file.strip_prefix(&root).unwrap().display().to_string())
            .filter(|path| path.ends_with(".rs") && path.contains("/src/"))
            .filter(|path| !path.contains("/tests/") && !path.contains("/templates/"))
            .collect();
        paths.sort();
        paths.into_iter().map(Self::read).collect()
    }

    fn read(path: String) -> Self {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let file = syn::parse_file(text).unwrap_or_else(|why| panic!("{path}: {why}"));
        let tokens = text.parse().unwrap();
        Self { path, tokens, file }
    }

    /// Returns the directory of the crate.
    pub fn package(&self) -> String {
        let (directory, _) = self.path.split_once("/src/").unwrap();
        format!("`{directory}`")
    }

    /// Returns the constants with a text that begins so.
    pub fn texts(&self, beginning: &str) -> Vec<Constant> {
        let constants = self.file.items.iter().filter_map(|item| match item {
            Item::Const(constant) => Some(constant),
            _ => None,
        });
        let found = constants.filter_map(|constant| {
            let value = string(&constant.expr).filter(|value| value.starts_with(beginning))?;
            Some(Constant {
                name: constant.ident.to_string(),
                value,
                docs: docs(&constant.attrs),
            })
        });
        found.collect()
    }

    /// Returns the constants that limit something.
    pub fn limits(&self) -> Vec<Constant> {
        let constants = Constants::of(&self.file);
        let limits = self.file.items.iter().filter_map(|item| {
            let Item::Const(constant) = item else {
                return None;
            };
            let name = constant.ident.to_string();
            let words: Vec<_> = name.split('_').collect();
            let is_limit = ["MAX", "LONGEST"].contains(&words[0])
                || ["TIMEOUT", "LIMIT"].contains(words.last()?);
            let docs = docs(&constant.attrs);
            let value = constants.value(&constant.expr)?.to_string();
            let is_listed = is_limit && !docs.is_empty();
            is_listed.then_some(Constant { name, value, docs })
        });
        limits.collect()
    }

    /// Returns the lines of the log about events, each with the name of its event.
    pub fn lines_of_events(&self) -> Vec<(String, Line)> {
        let function = self.file.items.iter().find_map(|item| match item {
            Item::Fn(function) if function.sig.ident == "log" => Some(function),
            _ => None,
        });
        let Some(Stmt::Expr(Expr::Match(cases), _)) =
            function.and_then(|function| function.block.stmts.last())
        else {
            return Vec::new();
        };
        let arms = cases.arms.iter().filter_map(|arm| {
            let Pat::TupleStruct(pattern) = &arm.pat else {
                return None;
            };
            let name = pattern.path.segments.last()?.ident.to_string();
            let body = &arm.body;
            let line = log_lines(&quote::quote!(#body)).pop()?;
            Some((dashed(&name), line))
        });
        arms.collect()
    }

    /// Returns the errors whose messages are in this file: each name with its cases.
    pub fn errors(&self) -> Vec<(String, Vec<Case>)> {
        let errors = self.file.items.iter().filter_map(|item| match item {
            Item::Enum(error) if error.ident.to_string().ends_with("Error") => Some(error),
            _ => None,
        });
        errors
            .map(|error| (error.ident.to_string(), cases(error)))
            .collect()
    }

    /// Returns the fields of the default configuration with their values.
    pub fn defaults(&self) -> Vec<(String, String)> {
        let constants = Constants::of(&self.file);
        let function = self.file.items.iter().find_map(|item| match item {
            Item::Fn(function) if function.sig.ident == "default_config" => Some(function),
            _ => None,
        });
        let Some(Stmt::Expr(config, _)) = function.and_then(|found| found.block.stmts.last())
        else {
            panic!("{}: there is no default configuration", self.path);
        };
        let mut fields = Vec::new();
        add_fields(config, "", &constants, &mut fields);
        fields
    }
}

/// Adds the fields of a record, and of the records in it.
fn add_fields(record: &Expr, before: &str, constants: &Constants, all: &mut Vec<(String, String)>) {
    let record = match record {
        Expr::Call(some) => some.args.first().unwrap(),
        other => other,
    };
    let Expr::Struct(record) = record else {
        panic!("{before} is no record");
    };
    for field in &record.fields {
        let member = &field.member;
        let name = quote::quote!(#member).to_string().replace('_', "-");
        let name = format!("{before}{name}");
        match &field.expr {
            record @ (Expr::Struct(_) | Expr::Call(_)) => {
                add_fields(record, &format!("{name}."), constants, all);
            }
            value => all.push((name, shown(value, constants))),
        }
    }
}

/// Returns a default as the WIT names it.
fn shown(value: &Expr, constants: &Constants) -> String {
    if let Some(number) = constants.value(value) {
        return number.to_string();
    }
    match value {
        Expr::MethodCall(text) => format!("`{}`", string(&text.receiver).unwrap()),
        other => {
            let text = quote::quote!(#other).to_string();
            let name = text.rsplit(' ').next().unwrap();
            format!("`{}`", dashed(name))
        }
    }
}

fn cases(error: &ItemEnum) -> Vec<Case> {
    let cases = error.variants.iter().filter_map(|variant| {
        let message = variant
            .attrs
            .iter()
            .find(|found| found.path().is_ident("error"))?;
        let Meta::List(message) = &message.meta else {
            return None;
        };
        let message = match syn::parse2::<Message>(message.tokens.clone()) {
            Ok(Message(text)) => text.replace('<', "&lt;"),
            Err(_) => match &variant.fields {
                Fields::Unnamed(_) => "that of its cause".into(),
                _ => return None,
            },
        };
        Some(Case {
            name: variant.ident.to_string(),
            message,
            docs: docs(&variant.attrs),
        })
    });
    cases.collect()
}

/// The text of a message, which arguments may follow.
struct Message(String);

impl syn::parse::Parse for Message {
    fn parse(input: syn::parse::ParseStream) -> syn::Result<Self> {
        let text = input.parse::<syn::LitStr>()?.value();
        input.parse::<TokenStream>()?;
        Ok(Self(text))
    }
}

fn string(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// Returns a name in the writing of the WIT.
fn dashed(name: &str) -> String {
    let mut dashed = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !dashed.is_empty() {
            dashed.push('-');
        }
        dashed.push(letter.to_ascii_lowercase());
    }
    dashed
}

fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => string(&pair.value),
            _ => None,
        });
    let text = lines.collect::<Vec<_>>().join("\n");
    first_paragraph(&text)
}

/// Returns the first paragraph of a documentation as one line, without links to other items.
pub fn first_paragraph(text: &str) -> String {
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    let mut plain = String::new();
    let mut rest = line.as_str();
    while let Some((before, after)) = rest.split_once("[`") {
        let (name, after) = after.split_once("`]").unwrap();
        plain += &format!("{before}`{name}`");
        rest = match after.strip_prefix('(') {
            Some(link) => link.split_once(')').unwrap().1,
            None => after,
        };
    }
    plain + rest
}
