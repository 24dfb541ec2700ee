//! The Content-Type of forms.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::error::FormError;

/// Checks that a request contains a form, by its Content-Type.
pub fn check_type(headers: &HeaderMap) -> Result<(), FormError> {
    let value = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let name = value.and_then(|value| value.split(|byte| *byte == b';').next());
    match name.is_some_and(is_form) {
        true => Ok(()),
        false => Err(FormError::ContentType),
    }
}

fn is_form(name: &[u8]) -> bool {
    let name = name.trim_ascii();
    name.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forms_in_the_url_encoding_are_read() {
        for (content_type, is_right) in [
            (Some("application/x-www-form-urlencoded"), true),
            (
                Some("Application/X-WWW-Form-Urlencoded ; charset=utf-8"),
                true,
            ),
            (Some("multipart/form-data; boundary=a"), false),
            (Some("application/json"), false),
            (Some(""), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = content_type {
                headers.insert(CONTENT_TYPE, value.parse().expect("a header"));
            }
            assert_eq!(check_type(&headers).is_ok(), is_right, "{content_type:?}");
        }
    }
}
