//! Forms in the URL encoding.

use serde::de::DeserializeOwned;

use crate::error::{Error, FormError};

/// The largest size of a form, in bytes.
pub const MAX_FORM: usize = 64 << 10;

/// Reads fields in the URL encoding: those of a form, or of a query.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Login {
///     user: String,
///     remember: Option<String>,
/// }
///
/// let login: Login = session3_guest::parse_form(b"user=alice+b%26c")?;
/// assert_eq!((login.user.as_str(), login.remember), ("alice b&c", None));
/// # Ok::<(), session3_guest::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Form`] if the fields are not those of `T`.
pub fn parse_form<T: DeserializeOwned>(fields: &[u8]) -> Result<T, Error> {
    Ok(serde_urlencoded::from_bytes(fields).map_err(FormError::Fields)?)
}
