//! A map as a list in the order of its names' bytes. A session has few
//! attributes, and the code of two kinds of `BTreeMap` would be a tenth of the
//! component.

use serde::Serialize;

use crate::encoding::{DecodeError, Input};

/// Values by name.
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
    /// Those of a record, whose values `value` reads.
    pub fn read(
        input: &mut Input<'_>,
        value: impl Fn(&mut Input<'_>) -> Result<V, DecodeError>,
    ) -> Result<Self, DecodeError> {
        let list = input.list(|input| {
            Ok(Entry {
                name: input.text()?,
                value: value(input)?,
            })
        })?;
        if !list.is_sorted_by(|a, b| a.name < b.name) {
            return Err(DecodeError::Damaged("the attributes are out of order"));
        }
        Ok(Self(list))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0
            .iter()
            .map(|entry| (entry.name.as_str(), &entry.value))
    }

    /// Likewise.
    pub fn into_iter(self) -> impl Iterator<Item = (String, V)> {
        self.0.into_iter().map(|entry| (entry.name, entry.value))
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&V> {
        let place = self.find(name).ok()?;
        self.0.get(place).map(|entry| &entry.value)
    }

    /// Gives a name a value.
    pub fn insert(&mut self, name: &str, value: V) {
        match self.find(name) {
            Ok(place) => self.0[place].value = value,
            Err(place) => {
                let name = name.to_owned();
                self.0.insert(place, Entry { name, value });
            }
        }
    }

    /// Takes a name out; the value that it had.
    pub fn remove(&mut self, name: &str) -> Option<V> {
        let place = self.find(name).ok()?;
        Some(self.0.remove(place).value)
    }

    /// Takes all of them out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|entry| entry.name.as_str().cmp(name))
    }
}
