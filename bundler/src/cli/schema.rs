//! `schema`: the JSON Schema of a kind of definition file.

use serde_json::json;

use super::Answer;
use crate::definition::SchemaKind;

/// Write the JSON Schema of a kind of definition file to standard output
///
/// Editors complete and check definitions with it, for example with a first line
/// `#:schema capability.schema.json`. The same schemas are in docs/schemas.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The kind of file
    #[arg(value_enum)]
    kind: SchemaKind,
}

pub(super) fn run(args: &Args) -> Answer {
    let schema = args.kind.schema();
    Answer {
        text: format!("{:#}\n", schema.as_value()),
        json: json!(schema),
    }
}
