//! `response_format`: text, any JSON object, or JSON that conforms to a schema.

use shoal_proto::generate::{Format, FormatKind};

use super::tools::identifier;
use crate::{error::AskError, fields::Fields};

const FORMATS: [&str; 3] = ["text", "json_object", "json_schema"];

/// Longest name of a schema (OpenAI's limit).
const NAME_MAX: usize = 64;

/// The format of the answer; `None` if it may be any text.
pub(super) fn read(request: &Fields<'_>) -> Result<Option<Format>, AskError> {
    let Some(format) = request.object("response_format")? else { return Ok(None) };
    match format.required_string("type")? {
        "text" => Ok(None),
        "json_object" => {
            Ok(Some(Format { kind: FormatKind::JsonObject.into(), ..Format::default() }))
        }
        "json_schema" => {
            let definition = format.object("json_schema")?;
            schema(&definition.ok_or_else(|| format.missing_field("json_schema", "an object"))?)
                .map(Some)
        }
        kind => Err(AskError::not_one_of("response_format.type", kind, &FORMATS)),
    }
}

fn schema(definition: &Fields<'_>) -> Result<Format, AskError> {
    let name = identifier(definition, NAME_MAX)?;
    definition.string("description")?;
    Ok(Format {
        kind: FormatKind::JsonSchema.into(),
        // The schema is optional. Without one the answer may be any object.
        body: definition.object("schema")?.map(|schema| schema.to_json()).unwrap_or_default(),
        name: name.to_owned(),
        strict: definition.boolean("strict")?.unwrap_or(false),
    })
}
