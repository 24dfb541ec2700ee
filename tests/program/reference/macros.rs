//! The macros of the crates `tracing` and `metrics` in a source.

use proc_macro2::{Group, TokenStream, TokenTree};

/// A line of the log.
pub struct Line {
    pub level: String,
    pub fields: Vec<String>,
    pub text: String,
}

/// A place where a metric is recorded.
pub struct Metric {
    /// The constant with its name.
    pub name: String,
    pub kind: String,
    pub labels: Vec<String>,
}

/// Calls a function with the name and the arguments of each macro, in all groups.
fn each(tokens: &TokenStream, found: &mut impl FnMut(&str, &Group)) {
    let tokens: Vec<_> = tokens.clone().into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            continue;
        };
        if let [.., TokenTree::Ident(name), TokenTree::Punct(mark)] = &tokens[..at]
            && mark.as_char() == '!'
        {
            found(&name.to_string(), group);
        }
        each(&group.stream(), found);
    }
}

/// Returns the arguments of a macro.
fn arguments(group: &Group) -> Vec<Vec<TokenTree>> {
    let tokens: Vec<_> = group.stream().into_iter().collect();
    let is_comma =
        |token: &TokenTree| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',');
    let parts = tokens.split(is_comma).map(<[_]>::to_vec);
    parts.filter(|part| !part.is_empty()).collect()
}

/// Returns the text of a literal.
fn literal(token: Option<&TokenTree>) -> Option<String> {
    let tokens = TokenStream::from(token?.clone());
    Some(syn::parse2::<syn::LitStr>(tokens).ok()?.value())
}

/// Returns the lines of the log that a source writes.
pub fn log_lines(tokens: &TokenStream) -> Vec<Line> {
    let mut lines = Vec::new();
    each(tokens, &mut |name, group| {
        if !["error", "warn", "info", "debug"].contains(&name) {
            return;
        }
        let mut fields = Vec::new();
        for argument in arguments(group) {
            if let Some(text) = literal(argument.first()) {
                let level = name.to_owned();
                return lines.push(Line {
                    level,
                    fields,
                    text,
                });
            }
            // What comes before a colon is no field, such as the target.
            let is_setting =
                matches!(argument.get(1), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
            if is_setting {
                continue;
            }
            let mut names = argument.iter().filter_map(|token| match token {
                TokenTree::Ident(name) => Some(name.to_string()),
                _ => None,
            });
            fields.extend(names.next());
        }
    });
    lines
}

/// Returns the metrics that a source records.
pub fn metrics(tokens: &TokenStream) -> Vec<Metric> {
    let mut metrics = Vec::new();
    each(tokens, &mut |kind, group| {
        if !["counter", "gauge", "histogram"].contains(&kind) {
            return;
        }
        let arguments = arguments(group);
        let Some(TokenTree::Ident(name)) = arguments.first().and_then(|tokens| tokens.last())
        else {
            return;
        };
        let labels = arguments[1..]
            .iter()
            .filter_map(|label| literal(label.first()));
        metrics.push(Metric {
            name: name.to_string(),
            kind: kind.to_owned(),
            labels: labels.collect(),
        });
    });
    metrics
}
