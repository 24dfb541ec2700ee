//! The values of constants.

use std::collections::BTreeMap;
use std::fmt;

use syn::{BinOp, Expr, Item, Lit};

/// A number, or a time in milliseconds.
#[derive(Clone, Copy)]
pub enum Value {
    Number(u128),
    Milliseconds(u128),
}

/// The constants of a file, which others of it are computed from.
pub struct Constants(BTreeMap<String, Expr>);

impl Constants {
    pub fn of(file: &syn::File) -> Self {
        let constants = file.items.iter().filter_map(|item| match item {
            Item::Const(constant) => Some((constant.ident.to_string(), (*constant.expr).clone())),
            _ => None,
        });
        Self(constants.collect())
    }

    /// Returns the value of an expression; none if that needs more than this file.
    pub fn value(&self, expression: &Expr) -> Option<Value> {
        match expression {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Int(number) => Some(Value::Number(number.base10_parse().ok()?)),
                _ => None,
            },
            Expr::Paren(inner) => self.value(&inner.expr),
            Expr::Cast(cast) => self.value(&cast.expr),
            Expr::Path(path) => self.value(self.0.get(&path.path.get_ident()?.to_string())?),
            Expr::Binary(both) => {
                let (left, right) = (self.number(&both.left)?, self.number(&both.right)?);
                let result = match both.op {
                    BinOp::Add(_) => left.checked_add(right)?,
                    BinOp::Sub(_) => left.checked_sub(right)?,
                    BinOp::Mul(_) => left.checked_mul(right)?,
                    BinOp::Shl(_) => left.checked_shl(u32::try_from(right).ok()?)?,
                    _ => return None,
                };
                Some(Value::Number(result))
            }
            Expr::Call(call) => {
                let Expr::Path(function) = &*call.func else {
                    return None;
                };
                let unit = match &*function.path.segments.last()?.ident.to_string() {
                    "from_millis" => 1,
                    "from_secs" => 1000,
                    "from_mins" => 60_000,
                    "from_hours" => 3_600_000,
                    _ => return None,
                };
                Some(Value::Milliseconds(self.number(call.args.first()?)? * unit))
            }
            _ => None,
        }
    }

    fn number(&self, expression: &Expr) -> Option<u128> {
        match self.value(expression)? {
            Value::Number(number) => Some(number),
            Value::Milliseconds(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match *self {
            Self::Number(number) if number > 0 && number % (1 << 20) == 0 => (number >> 20, " Mi"),
            Self::Number(number) if number > 0 && number % (1 << 10) == 0 => (number >> 10, " Ki"),
            Self::Number(number) => (number, ""),
            Self::Milliseconds(time) if time % 1000 == 0 => (time / 1000, " s"),
            Self::Milliseconds(time) => (time, " ms"),
        };
        write!(formatter, "{}{unit}", with_commas(number))
    }
}

/// Writes a number with a comma before each three digits.
fn with_commas(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
