//! Reading and writing the tables of a settings file, including the errors for unknown keys.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::FIELDS;
use super::value::{Kind, Value};
use rondo_data::{nearest, or_nearest};

/// A table of the settings file: a section, or the file as a whole.
pub(super) trait Table: Default {
    /// Its name in brackets; empty for the whole file.
    const NAME: &'static str;
    /// Its known keys.
    const KEYS: &'static [&'static str];
    /// Aliases, each with the key that it stands for.
    const ALIASES: &'static [(&'static str, &'static str)] = &[];

    /// Reads the value of `key`, one of [`Table::KEYS`].
    fn read_entry<'de, A: MapAccess<'de>>(&mut self, key: &str, from: &mut A) -> Result<(), A::Error>;

    /// Writes the entries that are given.
    fn write_entries<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error>;
}

/// Reads a table and refuses unknown keys.
pub(super) fn read_table<'de, T: Table, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    from.deserialize_map(TableVisitor(PhantomData))
}

/// Writes the entries of a table that are given.
pub(super) fn write_table<T: Table, S: Serializer>(table: &T, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(None)?;
    table.write_entries(&mut map)?;
    map.end()
}

struct TableVisitor<T>(PhantomData<T>);

impl<'de, T: Table> Visitor<'de> for TableVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut table = T::default();
        while let Some(key) = map.next_key_seed(KnownKey::<T>(PhantomData))? {
            table.read_entry(key, &mut map)?;
        }
        Ok(table)
    }
}

/// Reads a key of a table. Unknown keys are refused here, so that the error has the line of the key.
struct KnownKey<T>(PhantomData<T>);

impl<'de, T: Table> DeserializeSeed<'de> for KnownKey<T> {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<&'static str, D::Error> {
        from.deserialize_str(self)
    }
}

impl<T: Table> Visitor<'_> for KnownKey<T> {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a setting")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<&'static str, E> {
        let alias = T::ALIASES.iter().find(|(alias, _)| *alias == key).map(|&(_, key)| key);
        let known = T::KEYS.iter().copied().find(|known| *known == key).or(alias);
        known.ok_or_else(|| E::custom(unknown_key(T::NAME, key, T::KEYS)))
    }
}

/// The error for an unknown key: says which table the key belongs in, or suggests a similar key.
fn unknown_key(table: &str, key: &str, known: &[&'static str]) -> String {
    let what = match table {
        "" => format!("unknown table or key `{key}`"),
        table => format!("unknown key `{key}` in `[{table}]`"),
    };
    if let Some(field) = FIELDS.iter().find(|field| field.key == key && field.section != table) {
        return format!("{what}; `{key}` belongs in `[{}]`", field.section);
    }
    // Most likely it is a misspelled key of this table; otherwise it may be a key of another table.
    if nearest(key, known.iter().copied()).is_some() {
        return format!("{what}{}", or_nearest(key, known.iter().copied()));
    }
    let elsewhere = nearest(key, FIELDS.iter().map(|field| field.key));
    match elsewhere.and_then(|found| FIELDS.iter().find(|field| field.key == found)) {
        Some(field) => format!("{what}; did you mean `{}` in `[{}]`?", field.key, field.section),
        None => what,
    }
}

/// Reads the [`Value`] of a setting through serde.
pub(super) struct ReadValue<V> {
    section: &'static str,
    key: &'static str,
    value: PhantomData<V>,
}

impl<V> ReadValue<V> {
    pub(super) fn new(section: &'static str, key: &'static str) -> Self {
        ReadValue { section, key, value: PhantomData }
    }
}

impl<'de, V: Value> DeserializeSeed<'de> for ReadValue<V> {
    type Value = V;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<V, D::Error> {
        let ReadValue { section, key, .. } = self;
        let value = toml::Value::deserialize(from)?;
        V::from_toml(&value).map_err(|expected| {
            // A common slip: a number or a switch in quotes.
            let is_single = matches!(V::KIND, Kind::Switch | Kind::One);
            let is_quoted = is_single && value.as_str().is_some_and(|text| V::from_texts(&[text]).is_ok());
            let without = if is_quoted { ", without quotes" } else { "" };
            D::Error::custom(format!("invalid value `{value}` for `{section}.{key}`: {expected}{without}"))
        })
    }
}

/// Writes a [`Value`] through serde.
pub(super) struct WriteValue<'a, V>(pub(super) &'a V);

impl<V: Value> Serialize for WriteValue<'_, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.write(to)
    }
}
