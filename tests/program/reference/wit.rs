//! What the WIT documents.

use session3_test_program::project::root;
use wit_bindgen_core::wit_parser::{Docs, Resolve, TypeDef, TypeDefKind};

/// The WIT of the session manager and of stores.
pub struct Contract(Resolve);

impl Contract {
    pub fn read() -> Self {
        let mut resolve = Resolve::default();
        resolve.push_dir(root().join("wit")).unwrap();
        Self(resolve)
    }

    fn named(&self, name: &str) -> &TypeDef {
        let mut types = self.0.types.iter().map(|(_, found)| found);
        let is_found = |found: &&TypeDef| {
            found.name.as_deref() == Some(name) && !matches!(found.kind, TypeDefKind::Type(_))
        };
        let found = types.find(is_found);
        found.unwrap_or_else(|| panic!("{name} is missing in the WIT"))
    }

    /// Returns the cases of a variant or an enum, with what they mean.
    pub fn cases(&self, name: &str) -> Vec<(String, String)> {
        let of = |name: &String, docs: &Docs| (name.clone(), text(docs));
        match &self.named(name).kind {
            TypeDefKind::Variant(variant) => variant
                .cases
                .iter()
                .map(|case| of(&case.name, &case.docs))
                .collect(),
            TypeDefKind::Enum(cases) => cases
                .cases
                .iter()
                .map(|case| of(&case.name, &case.docs))
                .collect(),
            _ => panic!("{name} has no cases"),
        }
    }

    /// Returns what a field of the configuration means, such as `cookie.name`.
    pub fn field(&self, path: &str) -> String {
        let (record, name) = match path.split_once('.') {
            Some((part, name)) => (format!("{part}-config"), name),
            None => ("config".into(), path),
        };
        let TypeDefKind::Record(found) = &self.named(&record).kind else {
            panic!("{record} is no record");
        };
        let field = found.fields.iter().find(|field| field.name == name);
        text(
            &field
                .unwrap_or_else(|| panic!("{path} is missing in the WIT"))
                .docs,
        )
    }
}

/// Returns the first paragraph of a documentation as one line.
fn text(docs: &Docs) -> String {
    let all = docs.contents.as_deref().unwrap_or_default();
    super::rust::first_paragraph(all)
}
