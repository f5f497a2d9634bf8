//! Typed fields of a JSON object. Each error names the path of its field.
//!
//! `null` means the same as an absent field: users of SDKs often pass `None`.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::error::{AskError, RangeCode};

/// A JSON object and its path in the request.
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

    /// The object at `path`. Anything else is a type error.
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
        // A JSON value cannot fail: its keys are strings.
        serde_json::to_string(self.map).unwrap_or_default()
    }

    /// The whole object.
    pub(super) fn to_map(&self) -> Map<String, Value> {
        self.map.clone()
    }

    /// Names of the fields, including those that are `null`.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    /// The field's value; `None` when it is absent or null.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, AskError> {
        self.value_as(name, "a boolean", Value::as_bool)
    }

    pub(super) fn string(&self, name: &str) -> Result<Option<&'a str>, AskError> {
        self.value_as(name, "a string", Value::as_str)
    }

    pub(super) fn array(&self, name: &str) -> Result<Option<&'a Vec<Value>>, AskError> {
        self.value_as(name, "an array", Value::as_array)
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, AskError> {
        self.value(name).map(|value| Self::at(value, self.path(name))).transpose()
    }

    /// A string that must be there.
    pub(super) fn required_string(&self, name: &str) -> Result<&'a str, AskError> {
        match self.string(name)? {
            Some(text) => Ok(text),
            None => Err(self.missing_field(name, "a string")),
        }
    }

    /// The error for a field that must be there: a type error if it is null, else a missing field.
    pub(super) fn missing_field(&self, name: &str, expectation: &str) -> AskError {
        match self.map.get(name) {
            Some(value) => AskError::wrong_type(&self.path(name), expectation, value),
            None => AskError::missing_parameter(&self.path(name)),
        }
    }

    /// A decimal within `range`, including both ends.
    pub(super) fn decimal(
        &self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>, AskError> {
        let Some(number) = self.value_as(name, "a decimal", Value::as_f64)? else {
            return Ok(None);
        };
        let (code, limit) = if number < *range.start() {
            (RangeCode::DecimalBelow, range.start())
        } else if number > *range.end() {
            (RangeCode::DecimalAbove, range.end())
        } else {
            return Ok(Some(number));
        };
        let path = self.path(name);
        Err(AskError::out_of_range(code, &path, &limit.to_string(), &number.to_string()))
    }

    /// An integer within `range`, including both ends. `5.0` is an integer: some clients have only
    /// floats.
    pub(super) fn integer(
        &self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, AskError> {
        let Some(number) = self.value_as(name, "an integer", integer)? else { return Ok(None) };
        let (code, limit) = match i64::try_from(number) {
            Ok(number) if range.contains(&number) => return Ok(Some(number)),
            _ if number < i128::from(*range.start()) => (RangeCode::IntegerBelow, range.start()),
            _ => (RangeCode::IntegerAbove, range.end()),
        };
        let path = self.path(name);
        Err(AskError::out_of_range(code, &path, &limit.to_string(), &number.to_string()))
    }

    fn value_as<T>(
        &self,
        name: &str,
        expectation: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, AskError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match convert(value) {
            Some(content) => Ok(Some(content)),
            None => Err(AskError::wrong_type(&self.path(name), expectation, value)),
        }
    }
}

/// The elements of the array at `path`, which must be strings.
pub(super) fn strings(values: &[Value], path: &str) -> Result<Vec<String>, AskError> {
    let strings = values.iter().enumerate().map(|(index, value)| match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(AskError::wrong_type(&format!("{path}[{index}]"), "a string", value)),
    });
    strings.collect()
}

/// The value as an integer of any size that a JSON integer can have here.
fn integer(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    if let Some(small) = number.as_i64() {
        return Some(i128::from(small));
    }
    if let Some(large) = number.as_u64() {
        return Some(i128::from(large));
    }
    // A float above 2^64 may be an integer. The cast saturates, and the range check refuses it.
    let float = number.as_f64()?;
    (float.fract() == 0.0).then_some(float as i128)
}
