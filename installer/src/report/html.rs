//! The report as one HTML file that needs nothing beside itself: no script, no font, no address.

use minijinja::{AutoEscape, Environment, Value, value::Serde};

use super::Report;
use crate::error::{Code, Error, Result};

/// The report as HTML. Everything in it that came with content is escaped.
pub fn render(report: &Report) -> Result<String> {
    let failed = |e: minijinja::Error| Error::new(Code::Io, "the report", e.to_string());
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let template = environment
        .template_from_named_str("report.html", include_str!("report.html.jinja"))
        .map_err(failed)?;
    // Names with a `-` in them are reached through `report`.
    let values = Value::from(Serde(report));
    let values = minijinja::context! { report => values.clone(), ..values };
    template.render(values).map_err(failed)
}
