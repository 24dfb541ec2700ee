//! The values of attributes in the bindings and in the crate `session3-store`.

use crate::bindings::session3::sessions::session_types::Value as Wit;

session3_store::convert_value_bindings!(Wit);
