//! Macros that generate the types, tables and descriptions of the settings from a single list.
//!
//! Because there is only one list, the documentation of a field is also the help text of its flag, and a
//! setting added to the list can immediately be read, written, merged and given as a flag.

/// Generates the section types, [`Settings`](super::Settings) and [`FIELDS`](super::FIELDS).
macro_rules! sections {
    ($(
        $(#[doc = $about:literal])+
        $heading:literal, $flag_prefix:literal
        $section:ident: $type:ident {
            $(
                $(#[doc = $help:literal])+
                $key:ident $(alias $alias:literal)?: $value:ty, $value_name:literal, $default:literal $(, $common:ident)?;
            )+
        }
    )+) => {
        /// The user's settings, from flags and a settings file. Every field is optional.
        ///
        /// Settings are read from TOML with a table for each section ([`parse`](Settings::parse)) or from
        /// flags ([`set`](Settings::set)), can override other settings
        /// ([`overlaid_with`](Settings::overlaid_with)), and are turned into a [`Plan`](crate::Plan), which
        /// fills in the defaults.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Settings {
            $( $(#[doc = $about])+ pub $section: $type, )+
        }

        /// All settings, section by section.
        pub const FIELDS: &[Field] = &[ $( $( Field {
            section: stringify!($section),
            key: stringify!($key),
            heading: $heading,
            flag_prefix: $flag_prefix,
            value_name: $value_name,
            help: concat!($($help),+).trim_ascii(),
            default: $default,
            alias: aliased!($($alias)?),
            is_common: is_common!($($common)?),
            kind: <$value as Value>::KIND,
        }, )+ )+ ];

        impl Settings {
            /// Overrides each section with that of `over`.
            pub(super) fn overlaid_by_section(self, over: Self) -> Self {
                Settings { $( $section: self.$section.overlaid_with(over.$section), )+ }
            }

            /// Parses the setting from texts; the error says what was expected.
            pub(super) fn set_texts(&mut self, field: &Field, texts: &[&str]) -> Result<(), String> {
                match (field.section, field.key) {
                    $( $( (stringify!($section), stringify!($key)) => {
                        self.$section.$key = Some(Value::from_texts(texts)?);
                    } )+ )+
                    _ => unreachable!("`{}` is not in FIELDS", field.path()),
                }
                Ok(())
            }

            /// Sets the setting to a value in TOML; the error says what was expected.
            pub(super) fn set_toml(&mut self, field: &Field, value: &toml::Value) -> Result<(), String> {
                match (field.section, field.key) {
                    $( $( (stringify!($section), stringify!($key)) => {
                        self.$section.$key = Some(Value::from_toml(value)?);
                    } )+ )+
                    _ => unreachable!("`{}` is not in FIELDS", field.path()),
                }
                Ok(())
            }

            /// Removes the setting; returns whether it was given.
            pub(super) fn unset(&mut self, field: &Field) -> bool {
                match (field.section, field.key) {
                    $( $( (stringify!($section), stringify!($key)) => {
                        self.$section.$key.take().is_some()
                    } )+ )+
                    _ => unreachable!("`{}` is not in FIELDS", field.path()),
                }
            }

            /// The setting as texts, if it is given.
            pub(super) fn texts(&self, field: &Field) -> Option<Vec<String>> {
                match (field.section, field.key) {
                    $( $( (stringify!($section), stringify!($key)) => {
                        self.$section.$key.as_ref().map(Value::texts)
                    } )+ )+
                    _ => unreachable!("`{}` is not in FIELDS", field.path()),
                }
            }
        }

        impl Table for Settings {
            const NAME: &'static str = "";
            const KEYS: &'static [&'static str] = &["recipe", $(stringify!($section)),+];

            fn read_entry<'de, A>(&mut self, key: &str, from: &mut A) -> Result<(), A::Error>
            where
                A: MapAccess<'de>,
            {
                match key {
                    $( stringify!($section) => self.$section = from.next_value()?, )+
                    // The table `[recipe]` contains no settings; `Recipe` reads it.
                    _ => { from.next_value::<IgnoredAny>()?; }
                }
                Ok(())
            }

            fn write_entries<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
                $( if self.$section != $type::default() {
                    to.serialize_entry(stringify!($section), &self.$section)?;
                } )+
                Ok(())
            }
        }

        impl_serde!(Settings);

        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, Default, PartialEq)]
            pub struct $type {
                $( $(#[doc = $help])+ pub $key: Option<$value>, )+
            }

            impl $type {
                /// These settings overridden by those given in `over`.
                fn overlaid_with(self, over: Self) -> Self {
                    $type { $( $key: over.$key.or(self.$key), )+ }
                }
            }

            impl Table for $type {
                const NAME: &'static str = stringify!($section);
                const KEYS: &'static [&'static str] = &[$(stringify!($key)),+];
                const ALIASES: &'static [(&'static str, &'static str)] = &[$($(($alias, stringify!($key)),)?)+];

                fn read_entry<'de, A>(&mut self, key: &str, from: &mut A) -> Result<(), A::Error>
                where
                    A: MapAccess<'de>,
                {
                    match key {
                        $( stringify!($key) => {
                            self.$key = Some(from.next_value_seed(ReadValue::new(stringify!($section), stringify!($key)))?);
                        } )+
                        _ => unreachable!("`{key}` is not in KEYS"),
                    }
                    Ok(())
                }

                fn write_entries<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error> {
                    $( if let Some(value) = &self.$key {
                        to.serialize_entry(stringify!($key), &WriteValue(value))?;
                    } )+
                    Ok(())
                }
            }

            impl_serde!($type);
        )+
    };
}

/// The alias of a setting, if it has one.
macro_rules! aliased {
    () => {
        None
    };
    ($alias:literal) => {
        Some($alias)
    };
}

/// Whether a setting is marked as common.
macro_rules! is_common {
    () => {
        false
    };
    (common) => {
        true
    };
}

/// Implements serde's traits for a [`Table`](super::table::Table).
macro_rules! impl_serde {
    ($table:ty) => {
        impl<'de> Deserialize<'de> for $table {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                read_table(from)
            }
        }

        impl Serialize for $table {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                write_table(self, to)
            }
        }
    };
}

pub(super) use {aliased, impl_serde, is_common, sections};
