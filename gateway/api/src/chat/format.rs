//! `response_format`: text, any JSON object, or JSON that keeps to a schema.

use shoal_proto::generate::{Format, FormatKind};

use crate::{error::AskError, fields::Fields};

const FORMATS: [&str; 3] = ["text", "json_object", "json_schema"];

/// Longest name of a schema (OpenAI's limit).
const NAME_MAX: usize = 64;

/// None: any form is right.
pub(super) fn read(request: &Fields<'_>) -> Result<Option<Format>, AskError> {
    let Some(format) = request.object("response_format")? else { return Ok(None) };
    match format.required_string("type")? {
        "text" => Ok(None),
        "json_object" => {
            Ok(Some(Format { kind: FormatKind::JsonObject.into(), ..Format::default() }))
        }
        "json_schema" => {
            let described = format.object("json_schema")?;
            let described = described.ok_or_else(|| format.absent("json_schema", "an object"))?;
            schema(&described).map(Some)
        }
        other => Err(AskError::not_one_of("response_format.type", other, &FORMATS)),
    }
}

fn schema(described: &Fields<'_>) -> Result<Format, AskError> {
    let name = described.required_string("name")?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(good) {
        let what = format!("1 to {NAME_MAX} of letters, digits, '_' and '-'");
        return Err(AskError::malformed(&described.path("name"), &what));
    }
    described.string("description")?;
    Ok(Format {
        kind: FormatKind::JsonSchema.into(),
        // Without a schema, any object: the field is optional.
        body: described.object("schema")?.map(|schema| schema.to_json()).unwrap_or_default(),
        name: name.to_owned(),
        strict: described.boolean("strict")?.unwrap_or(false),
    })
}
