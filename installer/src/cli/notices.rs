//! `notices`: the license texts of a kept release.

use std::fmt::Write as _;

use sealift_verifier::{error::printable, path::Name};

use super::{Answer, Failed, Scene, to_json};
use crate::notices::{self, Notices};

/// Show the licenses of a release, with all license texts that it carries, each once
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this capability, such as `core/api`
    capability: Option<Name>,
    /// The generation; the current one otherwise
    #[arg(long, value_name = "NUMBER")]
    generation: Option<u64>,
}

pub(super) fn run(args: &Args, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let notices = notices::read(&scene.site()?, args.generation, args.capability.as_ref())?;
    Ok(Answer {
        text: text(&notices),
        json: to_json(&notices),
    })
}

fn text(notices: &Notices) -> String {
    let mut text = format!(
        "{} {}, generation {}\n\n",
        notices.product, notices.version, notices.generation
    );
    let mut users: Vec<Vec<String>> = vec![Vec::new(); notices.texts.len()];
    for capability in &notices.capabilities {
        let license = match &capability.license {
            Some(license) => printable(license),
            None => "no license is named".into(),
        };
        let (name, version) = (&capability.name, &capability.version);
        let _ = writeln!(text, "{name} {version}: {license}");
        for notice in &capability.notices {
            let _ = writeln!(text, "  {}: text {}", notice.name, notice.text + 1);
            if let Some(users) = users.get_mut(notice.text) {
                users.push(format!("{name} {}", notice.name));
            }
        }
    }
    for ((number, found), users) in (1..).zip(&notices.texts).zip(users) {
        let _ = writeln!(text, "\n===== text {number}: {}\n", users.join(", "));
        match &found.text {
            Some(content) => {
                // Form feeds are usual in license texts.
                for line in content.replace('\u{c}', "").lines() {
                    let line = line.replace('\t', "        ");
                    let _ = writeln!(text, "{}", printable(&line));
                }
            }
            None => {
                let _ = writeln!(text, "is too long to show here: see {}", found.path);
            }
        }
    }
    text
}
