//! The types that serde derives take more spellings than those that a format describes: a list of its fields for an
//! object, and an object with `null` for the name of a variant. Two programs would then read two things from the same
//! signed bytes; what is read through [`Spelling`] has one spelling.

use std::fmt;

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
        VariantAccess, Visitor, value::StrDeserializer,
    },
};

/// Reads structs from objects only, variants without content from their names only, and hands itself on to
/// everything inside.
pub(super) struct Spelling<T>(pub T);

macro_rules! hand_on {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* Spelling(visitor))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Spelling<D> {
    type Error = D::Error;

    hand_on! {
        deserialize_any() deserialize_bool() deserialize_char() deserialize_str() deserialize_string()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64()
        deserialize_f32() deserialize_f64() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit() deserialize_seq() deserialize_map()
        deserialize_identifier() deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_any(Variants(visitor))
    }
}

macro_rules! visit {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.0.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Spelling<V> {
    type Value = V::Value;

    visit! {
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64)
        visit_str(&str) visit_borrowed_str(&'de str) visit_string(String)
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }
    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Spelling(some))
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Spelling(inner))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Spelling(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Spelling(entries))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Spelling<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Spelling(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Spelling<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Spelling(seed))
    }
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Spelling<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Spelling(seed))
    }
    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

/// Visits the spelling of a variant: its name, or an object with its name and its content.
struct Variants<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Variants<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }
    fn visit_str<E: Error>(self, name: &str) -> Result<V::Value, E> {
        let name: StrDeserializer<'_, E> = name.into_deserializer();
        self.0.visit_enum(name)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<V::Value, A::Error> {
        let value = self.0.visit_enum(Named(&mut entries))?;
        match entries.next_key::<String>()? {
            None => Ok(value),
            Some(key) => Err(Error::unknown_field(&key, &[])),
        }
    }
}

/// An object whose only key is the name of a variant.
struct Named<'a, A>(&'a mut A);

impl<'de, A: MapAccess<'de>> EnumAccess<'de> for Named<'_, A> {
    type Error = A::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), A::Error> {
        let name = self.0.next_key_seed(seed)?;
        Ok((
            name.ok_or_else(|| Error::invalid_length(0, &"one key"))?,
            self,
        ))
    }
}

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Named<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        Err(Error::invalid_type(Unexpected::Map, &"a text"))
    }
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        struct Tuple<V>(usize, V);
        impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Tuple<V> {
            type Value = V::Value;
            fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
                inner.deserialize_tuple(self.0, self.1)
            }
        }
        self.0.next_value_seed(Tuple(len, visitor))
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        struct Fields<V>(V);
        impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Fields<V> {
            type Value = V::Value;
            fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
                inner.deserialize_map(self.0)
            }
        }
        self.0.next_value_seed(Fields(visitor))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use crate::json::from_slice;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        name: String,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        map: BTreeMap<String, Inner>,
        maybe: Option<Inner>,
        variant: Option<Variant>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        size: u64,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Variant {
        Unit,
        Newtype(Inner),
        Tuple(u8, Inner),
        Struct { inner: Inner },
    }

    fn read(json: &str) -> Result<Outer, String> {
        from_slice(json.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_spelling_of_the_format_is_read() {
        for json in [
            r#"{"name":"a"}"#,
            r#"{"name":"a","list":[{"size":1},{"size":2}],"map":{"b":{"size":3}},"maybe":{"size":4}}"#,
            r#"{"name":"a","variant":"unit"}"#,
            r#"{"name":"a","variant":{"newtype":{"size":1}}}"#,
            r#"{"name":"a","variant":{"tuple":[1,{"size":1}]}}"#,
            r#"{"name":"a","variant":{"struct":{"inner":{"size":1}}}}"#,
        ] {
            let plain: Outer = serde_json::from_str(json).unwrap();
            assert_eq!(read(json).unwrap(), plain, "{json}");
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for json in [
            r#"["a",[],{},null,null]"#,
            r#"{"name":"a","list":[[1]]}"#,
            r#"{"name":"a","map":{"b":[1]}}"#,
            r#"{"name":"a","maybe":[1]}"#,
            r#"{"name":"a","variant":{"unit":null}}"#,
            r#"{"name":"a","variant":{"newtype":[1]}}"#,
            r#"{"name":"a","variant":{"tuple":[1,[1]]}}"#,
            r#"{"name":"a","variant":{"struct":[{"size":1}]}}"#,
            r#"{"name":"a","variant":{"struct":{"inner":[1]}}}"#,
        ] {
            serde_json::from_str::<Outer>(json).expect("serde takes it");
            let error = read(json).expect_err(json);
            assert!(error.contains("invalid type"), "{json}: {error}");
        }
    }

    #[test]
    fn a_variant_has_one_name() {
        for json in [
            r#"{"name":"a","variant":{}}"#,
            r#"{"name":"a","variant":{"newtype":{"size":1},"unit":null}}"#,
            r#"{"name":"a","variant":"newtype"}"#,
            r#"{"name":"a","variant":1}"#,
            r#"{"name":"a"} {}"#,
        ] {
            read(json).expect_err(json);
        }
    }
}
