//! A map as a list of entries, sorted by the bytes of their names. A session has few
//! attributes, and the code of two instances of `BTreeMap` would be a tenth of the
//! component.

use serde::Serialize;

use crate::encoding::{DecodeError, Input};

/// A map from names to values.
#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Sorted<V>(Vec<Entry<V>>);

#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq))]
struct Entry<V> {
    name: String,
    value: V,
}

impl<V> Default for Sorted<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V> Sorted<V> {
    /// Decodes the map. `read_value` decodes one value.
    pub fn read(
        input: &mut Input<'_>,
        read_value: impl Fn(&mut Input<'_>) -> Result<V, DecodeError>,
    ) -> Result<Self, DecodeError> {
        let list = input.list(|input| {
            Ok(Entry {
                name: input.text()?,
                value: read_value(input)?,
            })
        })?;
        if !list.is_sorted_by(|a, b| a.name < b.name) {
            return Err(DecodeError::Damaged("the attributes are out of order"));
        }
        Ok(Self(list))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns an iterator over the entries, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0
            .iter()
            .map(|entry| (entry.name.as_str(), &entry.value))
    }

    /// Returns an iterator that owns the entries, in the order of their names.
    pub fn into_iter(self) -> impl Iterator<Item = (String, V)> {
        self.0.into_iter().map(|entry| (entry.name, entry.value))
    }

    /// Returns the value of a name.
    pub fn get(&self, name: &str) -> Option<&V> {
        let index = self.find(name).ok()?;
        self.0.get(index).map(|entry| &entry.value)
    }

    /// Sets the value of a name.
    pub fn insert(&mut self, name: &str, value: V) {
        match self.find(name) {
            Ok(index) => self.0[index].value = value,
            Err(index) => {
                let name = name.to_owned();
                self.0.insert(index, Entry { name, value });
            }
        }
    }

    /// Removes a name and returns the value that it had.
    pub fn remove(&mut self, name: &str) -> Option<V> {
        let index = self.find(name).ok()?;
        Some(self.0.remove(index).value)
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the index of a name, or as the error the index at which to insert it.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|entry| entry.name.as_str().cmp(name))
    }
}
