//! What an image runs on.

use serde::Deserialize;

use super::Finding;
use crate::error::Code;

/// An operating system and an architecture (OCI image-spec 1.1, "Image Index", "platform").
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Platform {
    os: String,
    architecture: String,
    variant: String,
}

/// The parts of an image configuration that are looked at. The rest is the runtime's business, and being
/// strict about it would refuse images that every runtime takes.
#[derive(Deserialize)]
pub(crate) struct Config {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    rootfs: Option<RootFs>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

impl Config {
    /// The platform, if the configuration names one.
    pub(super) fn platform(&self) -> Option<Platform> {
        let named = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
        let variant = self.variant.clone().unwrap_or_default();
        Some(
            Platform {
                os: named(&self.os)?,
                architecture: named(&self.architecture)?,
                variant,
            }
            .normal(),
        )
    }

    /// The digests of the uncompressed layers, lowest first, if it names any.
    pub(crate) fn diff_ids(&self) -> Option<&[String]> {
        self.rootfs.as_ref()?.diff_ids.as_deref()
    }
}

impl From<&oci_spec::image::Platform> for Platform {
    fn from(platform: &oci_spec::image::Platform) -> Self {
        Self {
            os: platform.os().to_string(),
            architecture: platform.architecture().to_string(),
            variant: platform.variant().clone().unwrap_or_default(),
        }
        .normal()
    }
}

impl Platform {
    /// `os/architecture[/variant]`, which was checked to have this form.
    fn parse(text: &str) -> Self {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Self {
            os: next(),
            architecture: next(),
            variant: next(),
        }
        .normal()
    }

    /// One form for each platform: tools leave out the variant that is the usual one.
    fn normal(mut self) -> Self {
        match (self.architecture.as_str(), self.variant.as_str()) {
            ("arm64", "v8") | ("amd64", "v1") => self.variant.clear(),
            ("arm", "") => self.variant = "v7".into(),
            _ => {}
        }
        self
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.variant)
        }
    }
}

/// What is wrong with an image for `offered` where `wanted` is asked for. An image that names no
/// platform at all is none that runs, and fits everywhere.
pub(super) fn compare(offered: &[Platform], wanted: &[String]) -> Option<Finding> {
    // BuildKit marks manifests of attestations with this.
    let mut offered: Vec<&Platform> = offered.iter().filter(|p| p.os != "unknown").collect();
    offered.sort_by_key(ToString::to_string);
    offered.dedup();
    if offered.is_empty() {
        return None;
    }
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|w| !offered.contains(&&Platform::parse(w)))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return None;
    }
    let offered: Vec<String> = offered.iter().map(ToString::to_string).collect();
    let message = format!(
        "the image is for {}, not for {}",
        offered.join(", "),
        missing.join(", ")
    );
    Some(Finding {
        code: Code::ImagePlatform,
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(offered: &[&str], wanted: &[&str]) -> Option<String> {
        let offered: Vec<Platform> = offered.iter().map(|p| Platform::parse(p)).collect();
        let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
        compare(&offered, &wanted).map(|f| f.message)
    }

    #[test]
    fn every_platform_asked_for_has_to_be_there() {
        assert_eq!(
            message(&["linux/amd64", "linux/arm64/v8"], &["linux/arm64"]),
            None
        );
        assert_eq!(message(&["linux/arm"], &["linux/arm/v7"]), None);
        assert_eq!(message(&["linux/amd64"], &[]), None);
        assert_eq!(message(&[], &["linux/amd64"]), None);
        assert_eq!(
            message(
                &["linux/arm64", "unknown/unknown"],
                &["linux/amd64", "linux/arm64"]
            )
            .as_deref(),
            Some("the image is for linux/arm64, not for linux/amd64")
        );
        assert!(message(&["linux/arm/v6"], &["linux/arm/v7"]).is_some());
    }
}
