//! Reading typed fields out of a JSON object, each failure naming its path.
//!
//! `null` is the same as absent everywhere: SDK users pass `None` freely.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::error::{AskError, RangeCode};

/// A JSON object and where it stands in the request.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Fields<'a> {
    /// The request itself.
    pub(super) fn root(map: &'a Map<String, Value>) -> Self {
        Self { map, path: String::new() }
    }

    /// The object at `path`; anything else is a type error.
    pub(super) fn at(value: &'a Value, path: String) -> Result<Self, AskError> {
        match value.as_object() {
            Some(map) => Ok(Self { map, path }),
            None => Err(AskError::wrong_type(&path, "an object", value)),
        }
    }

    /// Path of one of the object's fields.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The whole object as JSON.
    pub(super) fn to_json(&self) -> String {
        // An object of strings, numbers and their like cannot fail.
        serde_json::to_string(self.map).unwrap_or_default()
    }

    /// Names of the fields, those with `null` included.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    /// The field as it is; `None` when absent or null.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, AskError> {
        self.typed(name, "a boolean", Value::as_bool)
    }

    pub(super) fn string(&self, name: &str) -> Result<Option<&'a str>, AskError> {
        self.typed(name, "a string", Value::as_str)
    }

    pub(super) fn array(&self, name: &str) -> Result<Option<&'a Vec<Value>>, AskError> {
        self.typed(name, "an array", Value::as_array)
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, AskError> {
        self.value(name).map(|value| Self::at(value, self.path(name))).transpose()
    }

    /// A string that has to be there.
    pub(super) fn required_string(&self, name: &str) -> Result<&'a str, AskError> {
        match self.string(name)? {
            Some(text) => Ok(text),
            None => Err(self.absent(name, "a string")),
        }
    }

    /// The error for a field that has to be there: null is a wrong type, absent is missing.
    pub(super) fn absent(&self, name: &str, expected: &str) -> AskError {
        match self.map.get(name) {
            Some(value) => AskError::wrong_type(&self.path(name), expected, value),
            None => AskError::missing(&self.path(name)),
        }
    }

    /// A decimal within `range`, both ends included.
    pub(super) fn decimal(
        &self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, AskError> {
        let Some(number) = self.typed(name, "a decimal", Value::as_f64)? else { return Ok(None) };
        let refuse = |code, limit: &f64| {
            AskError::out_of_range(code, &self.path(name), &limit.to_string(), &number.to_string())
        };
        if number < *range.start() {
            return Err(refuse(RangeCode::DecimalBelow, range.start()));
        }
        if number > *range.end() {
            return Err(refuse(RangeCode::DecimalAbove, range.end()));
        }
        Ok(Some(number))
    }

    /// An integer within `range`, both ends included. `5.0` is an integer: some clients know only
    /// floats.
    pub(super) fn integer(
        &self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, AskError> {
        let Some(number) = self.typed(name, "an integer", whole)? else { return Ok(None) };
        let refuse = |code, limit: &i64| {
            AskError::out_of_range(code, &self.path(name), &limit.to_string(), &number.to_string())
        };
        if number < i128::from(*range.start()) {
            return Err(refuse(RangeCode::IntegerBelow, range.start()));
        }
        match i64::try_from(number) {
            Ok(number) if number <= *range.end() => Ok(Some(number)),
            _ => Err(refuse(RangeCode::IntegerAbove, range.end())),
        }
    }

    fn typed<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, AskError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(AskError::wrong_type(&self.path(name), expected, value)),
        }
    }
}

/// The value as a whole number of any size a JSON integer can have here.
fn whole(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    if let Some(small) = number.as_i64() {
        return Some(i128::from(small));
    }
    if let Some(large) = number.as_u64() {
        return Some(i128::from(large));
    }
    // Beyond 2^64 a float may still be whole; the cast saturates, and the range check refuses it.
    let float = number.as_f64()?;
    (float.fract() == 0.0).then_some(float as i128)
}
