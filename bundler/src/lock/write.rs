//! A lock as text: readable, and the same for the same decisions, so that version control shows what moved.

use std::{
    fmt::{Display, Write as _},
    io::Write as _,
    path::Path,
};

use sealift_verifier::release::Range;

use super::{FORMAT, Lock, Locked};
use crate::{
    error::{Error, Result},
    output::{beside, publish},
};

/// What people see first.
const HEADER: &str = "# Written by sealift-bundler resolve. Keep it in version control beside the release definition;\n\
     # change the definition and run `sealift-bundler resolve` or `update` instead of editing it.\n";

impl Lock {
    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from(HEADER);
        // Writing to a string cannot fail.
        let _ = self.write_to(&mut text);
        text
    }

    /// Writes the file, in one step: whatever ends this program, the old one or the new one is there.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let failed = |e| Error::io(path.display(), e);
        let mut new = beside(path)?;
        new.file()
            .write_all(self.text().as_bytes())
            .map_err(failed)?;
        new.file().sync_all().map_err(failed)?;
        publish(new, path)
    }

    fn write_to(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "format = {FORMAT}")?;
        pair(text, "product", &self.product)?;
        pair(text, "version", &self.version)?;
        self.resolutions
            .iter()
            .try_for_each(|locked| locked.write_to(text))
    }
}

impl Locked {
    fn write_to(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "\n[[resolution]]")?;
        if let Some(mode) = self.mode {
            pair(text, "mode", mode)?;
        }
        if let Some((version, digest)) = &self.platform {
            writeln!(text, "\n[resolution.platform]")?;
            pair(text, "version", version)?;
            pair(text, "digest", digest)?;
        }
        for suite in &self.suites {
            writeln!(text, "\n[[resolution.suite]]")?;
            pair(text, "name", &suite.release.name)?;
            pair(text, "version", &suite.release.version)?;
            pair(text, "digest", suite.digest)?;
            pair(text, "rule", suite.release.rule.name())?;
            range(text, suite.release.range.as_ref())?;
        }
        for capability in &self.capabilities {
            writeln!(text, "\n[[resolution.capability]]")?;
            pair(text, "name", &capability.name)?;
            pair(text, "version", &capability.version)?;
            pair(text, "digest", capability.digest)?;
            let decision = &capability.decision;
            pair(text, "rule", decision.rule.name())?;
            range(text, decision.range.as_ref())?;
            if let Some(suite) = &decision.suite {
                pair(text, "suite", suite)?;
            }
            list(text, "required-by", &decision.required_by)?;
            list(text, "substitutes", &decision.substitutes)?;
            if let Some(reason) = &capability.decision.yanked {
                pair(text, "yanked", reason)?;
            }
        }
        for out in &self.left_out {
            writeln!(text, "\n[[resolution.left-out]]")?;
            pair(text, "name", &out.name)?;
            if let Some(substitute) = &out.substitute {
                pair(text, "substitute", substitute)?;
            }
            if let Some((version, digest)) = &out.version {
                pair(text, "version", version)?;
                pair(text, "digest", digest)?;
            }
        }
        Ok(())
    }
}

fn quoted(value: impl Display) -> toml::Value {
    toml::Value::String(value.to_string())
}

fn pair(text: &mut String, key: &str, value: impl Display) -> std::fmt::Result {
    writeln!(text, "{key} = {}", quoted(value))
}

fn range(text: &mut String, range: Option<&Range>) -> std::fmt::Result {
    let Some(Range { of, allows }) = range else {
        return Ok(());
    };
    let (of, allows) = (quoted(of.name()), quoted(allows));
    writeln!(text, "range = {{ of = {of}, allows = {allows} }}")
}

/// A list with a line for each item; nothing where it is empty.
fn list(text: &mut String, key: &str, values: &[impl Display]) -> std::fmt::Result {
    match values {
        [] => Ok(()),
        [one] => writeln!(text, "{key} = [{}]", quoted(one)),
        several => {
            writeln!(text, "{key} = [")?;
            several
                .iter()
                .try_for_each(|value| writeln!(text, "  {},", quoted(value)))?;
            writeln!(text, "]")
        }
    }
}
