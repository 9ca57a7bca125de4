//! `licenses.toml`: which licenses the vendor accepts in what is shipped.

use std::{collections::BTreeSet, path::Path, str::FromStr};

use sealift_verifier::path::{EntryPath, Name};
use spdx::{LicenseItem, LicenseReq};

use super::{
    OF_DEBIAN, UNKNOWN_PART,
    expression::{self, Wrong},
};
use crate::{
    definition::{Document, Fields, Located},
    error::Code,
    problem::{Place, Problem},
    sbom::packages::{FoundPackage, Packages},
};

/// The file in the catalog folder.
const FILE: &str = "licenses.toml";
/// What stands in an exception for a license that nobody knows (SPDX 2.3, "NOASSERTION").
const NOBODY_KNOWS: &str = "NOASSERTION";

/// What the vendor accepts. Without a file, everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LicenseRules {
    /// If there is such a list, what is not on it is refused.
    allowed: Option<BTreeSet<String>>,
    forbidden: BTreeSet<String>,
    /// What to do with packages whose license is not known, and capabilities that name none.
    pub unknown: Unknown,
    exceptions: Vec<Exception>,
}

/// What is done with packages whose license is not known, and capabilities that name none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unknown {
    /// They pass.
    #[default]
    Accept,
    /// They do not.
    Refuse,
}

impl FromStr for Unknown {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "accept" => Ok(Self::Accept),
            "refuse" => Ok(Self::Refuse),
            _ => Err("is none of accept, refuse"),
        }
    }
}

/// Licenses that are accepted in one place, whatever the lists say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    of: Subject,
    licenses: BTreeSet<String>,
}

/// What an exception is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    /// The capability's own license.
    Capability(Name),
    /// Packages whose URLs begin so.
    Packages(String),
}

impl Subject {
    /// Whether a package is meant: by its whole URL, or by what stands before a `/`, `@` or `?` of it.
    fn is_package(&self, purl: &str) -> bool {
        let Self::Packages(prefix) = self else {
            return false;
        };
        purl.strip_prefix(prefix.as_str()).is_some_and(|rest| {
            rest.is_empty() || prefix.ends_with('/') || rest.starts_with(['/', '@', '?'])
        })
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("pkg:") {
            // A scope of npm, as people write it.
            return Ok(Self::Packages(text.replace("/@", "/%40")));
        }
        let name = text.parse::<Name>().map_err(|e| e.to_string())?;
        Ok(Self::Capability(name))
    }
}

impl LicenseRules {
    /// Reads `licenses.toml` of a catalog. A list that cannot be read is none; then there are problems.
    pub fn read(catalog: &Path) -> (Option<Self>, Vec<Problem>) {
        let file = catalog.join(FILE);
        // A link that leads nowhere is no list that says nothing.
        if let Err(e) = file.symlink_metadata()
            && e.kind() == std::io::ErrorKind::NotFound
        {
            return (Some(Self::default()), Vec::new());
        }
        match Document::read(&file) {
            Ok(document) => document.interpret(|fields| Some(Self::take(fields))),
            Err(problem) => (None, vec![problem]),
        }
    }

    fn take(mut fields: Fields<'_, '_>) -> Self {
        let allowed = fields.texts("allowed");
        let forbidden = fields.texts("forbidden");
        let unknown = fields.parsed::<Unknown>("unknown", Code::InvalidValue);
        let mut exceptions = Vec::new();
        for (subject, list) in fields.text_lists("exceptions") {
            let licenses = licenses(&fields, list.value, true);
            let subject = Located {
                value: subject,
                at: list.at,
            };
            if let Some(of) = fields.parse::<Subject>(subject, Code::NameInvalid) {
                exceptions.push(Exception {
                    of: of.value,
                    licenses,
                });
            }
        }
        let allowed = allowed.map(|list| licenses(&fields, list.value, false));
        let forbidden = forbidden.map_or_else(Vec::new, |list| list.value);
        for license in &forbidden {
            if allowed.as_ref().is_some_and(|a| a.contains(&license.value)) {
                let message = format!("{} is allowed and forbidden", license.value);
                fields.report(&license.at, Code::InvalidValue, message);
            }
        }
        let forbidden = licenses(&fields, forbidden, false);
        fields.finish();
        Self {
            allowed,
            forbidden,
            unknown: unknown.map_or_else(Unknown::default, |unknown| unknown.value),
            exceptions,
        }
    }

    /// Why the license of a capability is refused, if it is: it is no license expression, or the vendor's
    /// list does not accept it, or asks for one where there is none. `at` is the place that says so.
    pub fn check(
        &self,
        capability: &Name,
        expression: Option<&str>,
        at: &Place,
    ) -> Option<Problem> {
        let is_own = |of: &Subject| matches!(of, Subject::Capability(name) if name == capability);
        let Some(expression) = expression else {
            return self.unknown(&format!("{capability} has no license"), is_own, at);
        };
        match self.refused(expression, is_own) {
            Ok(None) => None,
            Ok(Some(refused)) => Some(refusal(at, &capability.to_string(), expression, &refused)),
            Err(wrong) => {
                let problem = Problem::new(at, Code::LicenseInvalid, wrong.message);
                Some(problem.with_hint(wrong.hint))
            }
        }
    }

    /// Why a package is refused, if it is. `at` is the place that the package comes from, such as that of the
    /// image in its capability.
    pub fn check_package(&self, package: &FoundPackage, at: &Place) -> Option<Problem> {
        let is_own = |of: &Subject| of.is_package(&package.purl);
        // The same package may lie elsewhere, with another license.
        let subject = match package.path.as_str() {
            "" => package.purl.clone(),
            path => format!("{} in {path}", package.purl),
        };
        let Some(license) = &package.license else {
            let message = format!("{subject} has no known license");
            return self.unknown(&message, is_own, at);
        };
        match self.refused(license, is_own) {
            Ok(None) => None,
            Ok(Some(refused)) if refused.iter().all(|license| self.is_unknown(license)) => {
                let message =
                    format!("{subject} has the license {license}, and not all of that is known");
                Some(Problem::new(at, Code::LicenseUnknown, message))
            }
            Ok(Some(refused)) => Some(refusal(at, &subject, license, &refused)),
            Err(wrong) => Some(Problem::new(at, Code::LicenseInvalid, wrong.message)),
        }
    }

    /// Why packages of a release are refused. `at` gives the place of each artifact.
    pub fn check_packages(
        &self,
        packages: &Packages,
        at: impl Fn(&Name, &EntryPath) -> Place,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for ((capability, artifact), packages) in packages {
            let at = at(capability, artifact);
            problems.extend(packages.iter().filter_map(|p| self.check_package(p, &at)));
        }
        problems
    }

    /// Why that nobody knows a license is refused, if it is.
    fn unknown(
        &self,
        message: &str,
        is_own: impl Fn(&Subject) -> bool,
        at: &Place,
    ) -> Option<Problem> {
        let accepted = self.unknown == Unknown::Accept || self.excepted(NOBODY_KNOWS, &is_own);
        (!accepted).then(|| Problem::new(at, Code::LicenseUnknown, message))
    }

    /// The licenses that stand against an expression, if it cannot be satisfied without them.
    fn refused(
        &self,
        expression: &str,
        is_own: impl Fn(&Subject) -> bool,
    ) -> Result<Option<Vec<String>>, Wrong> {
        let expression = expression::parse(expression)?;
        let mut refused = Vec::new();
        let satisfied = expression.evaluate(|asked| {
            let accepted = self.accepts(asked, &is_own);
            if !accepted {
                refused.push(asked.to_string());
            }
            accepted
        });
        refused.sort();
        refused.dedup();
        Ok((!satisfied).then_some(refused))
    }

    /// Whether one license is accepted. What is said of the license as it stands comes before what is said of
    /// it without its exception, or without the leave to use later versions.
    fn accepts(&self, asked: &LicenseReq, is_own: &impl Fn(&Subject) -> bool) -> bool {
        let whole = asked.to_string();
        let license = asked.license.to_string();
        let exact = match &asked.license {
            LicenseItem::Spdx { id, .. } => id.name.to_owned(),
            LicenseItem::Other(_) => license.clone(),
        };
        for name in [&whole, &license, &exact] {
            if self.excepted(name, is_own) {
                return true;
            }
            if self.forbidden.contains(name) {
                return false;
            }
            if self.allowed.as_ref().is_some_and(|a| a.contains(name)) {
                return true;
            }
        }
        if self.is_unknown(&license) {
            return self.unknown == Unknown::Accept || self.excepted(NOBODY_KNOWS, is_own);
        }
        self.allowed.is_none()
    }

    /// Whether a license is only said to be there: a name that SPDX does not have is known if a list has it.
    fn is_unknown(&self, license: &str) -> bool {
        let listed = self.allowed.is_some() || self.forbidden.contains(license);
        license == UNKNOWN_PART || license.starts_with(OF_DEBIAN) && !listed
    }

    fn excepted(&self, license: &str, is_own: &impl Fn(&Subject) -> bool) -> bool {
        let mut own = self.exceptions.iter().filter(|e| is_own(&e.of));
        own.any(|exception| exception.licenses.contains(license))
    }
}

fn refusal(at: &Place, subject: &str, expression: &str, refused: &[String]) -> Problem {
    let because = if refused == [expression] {
        String::new()
    } else {
        format!(" (because of {})", refused.join(", "))
    };
    let message =
        format!("{subject} has the license {expression}, which {FILE} does not accept{because}");
    Problem::new(at, Code::LicenseRefused, message)
}

/// The licenses of a list, each of which is one license, with or without an exception.
fn licenses(
    fields: &Fields<'_, '_>,
    list: Vec<Located<String>>,
    may_be_unknown: bool,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for Located { value, at } in list {
        if may_be_unknown && value == NOBODY_KNOWS {
            names.insert(value);
            continue;
        }
        if value == UNKNOWN_PART {
            let message = format!("{value:?} stands for what is not known");
            let problem = Problem::new(&at, Code::InvalidValue, message);
            fields.note(problem.with_hint(format!(
                "`unknown` says what becomes of that; in an exception, write {NOBODY_KNOWS:?}"
            )));
            continue;
        }
        let (message, hint) = match expression::parse(&value) {
            Ok(expression) => {
                let mut requirements = expression.requirements();
                match (requirements.next(), requirements.next()) {
                    (Some(only), None) => {
                        names.insert(only.req.to_string());
                        continue;
                    }
                    _ => (
                        format!("{value:?} is more than one license"),
                        "list each license by itself".to_owned(),
                    ),
                }
            }
            Err(wrong) => (wrong.message, wrong.hint),
        };
        fields.note(Problem::new(&at, Code::LicenseInvalid, message).with_hint(hint));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::packages::Ecosystem;

    fn read(text: &str) -> (Option<LicenseRules>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "files of tests need not survive anything"
        )]
        std::fs::write(folder.path().join(FILE), text).unwrap();
        let (rules, problems) = LicenseRules::read(folder.path());
        let shown = |p: Problem| {
            let at = format!("{}:{}", p.at.line, p.at.column);
            format!("{at} {} {} | {}", p.code.name(), p.message, p.hint)
        };
        (rules, problems.into_iter().map(shown).collect())
    }

    fn rules(text: &str) -> LicenseRules {
        let (rules, problems) = read(text);
        assert_eq!(problems, [""; 0]);
        rules.unwrap()
    }

    fn refused(rules: &LicenseRules, capability: &str, expression: &str) -> Option<String> {
        let at = Place::of_file(Path::new("capability.toml"));
        let problem = rules.check(&capability.parse().unwrap(), Some(expression), &at);
        problem.map(|p| format!("{} {}", p.code.name(), p.message))
    }

    fn package(purl: &str, license: Option<&str>) -> FoundPackage {
        FoundPackage {
            ecosystem: Ecosystem::Debian,
            name: "x".into(),
            version: "1".into(),
            purl: purl.into(),
            license: license.map(str::to_owned),
            path: String::new(),
            layer: None,
        }
    }

    #[test]
    fn an_expression_passes_if_it_can_be_satisfied() {
        let rules =
            rules("allowed = [\"MIT\", \"Apache-2.0\", \"GPL-3.0-only WITH GCC-exception-3.1\"]\n");
        for good in [
            "MIT",
            "MIT OR GPL-2.0-only",
            "MIT AND Apache-2.0",
            "Apache-2.0 WITH LLVM-exception",
            "Apache-2.0+",
            "GPL-3.0-only WITH GCC-exception-3.1",
        ] {
            assert_eq!(refused(&rules, "core/api", good), None, "{good}");
        }
        assert_eq!(
            refused(
                &rules,
                "core/api",
                "MIT AND (GPL-2.0-only OR LicenseRef-Own)"
            )
            .unwrap(),
            "license-refused core/api has the license MIT AND (GPL-2.0-only OR LicenseRef-Own), \
             which licenses.toml does not accept (because of GPL-2.0-only, LicenseRef-Own)"
        );
        assert!(refused(&rules, "core/api", "GPL-3.0-only").is_some());
        assert_eq!(
            refused(&rules, "core/api", "Apache 2").unwrap(),
            "license-invalid \"Apache 2\": unknown term: \"Apache\""
        );
    }

    #[test]
    fn what_is_forbidden_is_refused_but_for_exceptions() {
        let rules = rules(
            "forbidden = [\"AGPL-3.0-only\", \"GPL-2.0-only\"]\n[exceptions]\n\"core/api\" = [\"AGPL-3.0-only\"]\n\
             \"pkg:deb/debian/\" = [\"GPL-2.0-only\"]\n\"pkg:npm/left-pad\" = [\"AGPL-3.0-only\"]\n\
             \"pkg:npm/@babel/core\" = [\"AGPL-3.0-only\"]\n",
        );
        assert_eq!(refused(&rules, "core/api", "AGPL-3.0-only"), None);
        assert_eq!(refused(&rules, "core/api", "LicenseRef-Own"), None);
        assert!(refused(&rules, "core/api", "GPL-2.0-only").is_some());
        assert!(refused(&rules, "core/web", "AGPL-3.0-only").is_some());
        assert!(refused(&rules, "core/web", "AGPL-3.0-only AND MIT").is_some());
        assert_eq!(refused(&rules, "core/web", "AGPL-3.0-only OR MIT"), None);
        let at = Place::of_file(Path::new("x"));
        let passes = |purl: &str, license: &str| {
            rules
                .check_package(&package(purl, Some(license)), &at)
                .is_none()
        };
        assert!(passes("pkg:deb/debian/bash@5?arch=amd64", "GPL-2.0-only"));
        assert!(!passes("pkg:deb/ubuntu/bash@5", "GPL-2.0-only"));
        assert!(passes("pkg:npm/left-pad@1", "AGPL-3.0-only"));
        assert!(passes("pkg:npm/%40babel/core@1", "AGPL-3.0-only"));
        let partly = |license| format!("{license} AND {UNKNOWN_PART}");
        assert!(!passes("pkg:npm/other@1", &partly("AGPL-3.0-only")));
        assert!(passes("pkg:npm/other@1", &partly("MIT")));
        assert!(!passes("pkg:npm/left-padded@1", "AGPL-3.0-only"));
        assert!(!passes("pkg:npm/other@1", "AGPL-3.0-only"));
    }

    #[test]
    fn packages_without_a_license() {
        let at = Place::of_file(Path::new("x"));
        let unknown = package("pkg:golang/example.org/x@v1", None);
        assert!(rules("").check_package(&unknown, &at).is_none());
        let strict = rules("unknown = \"refuse\"\n");
        let problem = strict.check_package(&unknown, &at).unwrap();
        assert_eq!(problem.code, Code::LicenseUnknown);
        let license = format!("MIT AND {UNKNOWN_PART}");
        let partly = package("pkg:golang/example.org/x@v1", Some(license.as_str()));
        let problem = strict.check_package(&partly, &at).unwrap();
        assert_eq!(problem.code, Code::LicenseUnknown);
        let list = rules("allowed = [\"MIT\"]\n");
        assert!(list.check_package(&partly, &at).is_none());
        // A name that only a copyright file knows is known if a list has it.
        let own = package("pkg:deb/debian/x@1", Some("LicenseRef-debian-own"));
        assert!(rules("").check_package(&own, &at).is_none());
        let code = |rules: &LicenseRules| rules.check_package(&own, &at).map(|p| p.code);
        assert_eq!(code(&strict), Some(Code::LicenseUnknown));
        assert_eq!(code(&list), Some(Code::LicenseRefused));
        let listed =
            rules("unknown = \"refuse\"\nallowed = [\"MIT\", \"LicenseRef-debian-own\"]\n");
        assert_eq!(code(&listed), None);
        let forbidden = rules("forbidden = [\"LicenseRef-debian-own\"]\n");
        assert_eq!(code(&forbidden), Some(Code::LicenseRefused));
        let (_, problems) = read("forbidden = [\"LicenseRef-unknown\"]\n");
        assert!(problems.concat().contains("`unknown` says what becomes"));
        let strict =
            rules("unknown = \"refuse\"\n[exceptions]\n\"pkg:golang/\" = [\"NOASSERTION\"]\n");
        assert!(strict.check_package(&unknown, &at).is_none());
        assert!(strict.check_package(&partly, &at).is_none());
    }

    #[test]
    fn capabilities_without_a_license() {
        let at = Place::of_file(Path::new("x"));
        let code = |text: &str| {
            let problem = rules(text).check(&"core/api".parse().unwrap(), None, &at);
            problem.map(|p| (p.code, p.message))
        };
        assert_eq!(code("allowed = [\"MIT\"]\n"), None);
        assert_eq!(
            code("unknown = \"refuse\"\n"),
            Some((Code::LicenseUnknown, "core/api has no license".into()))
        );
        let except = "unknown = \"refuse\"\n[exceptions]\n\"core/api\" = [\"NOASSERTION\"]\n";
        assert_eq!(code(except), None);
        assert!(code(&except.replace("api", "web")).is_some());
    }

    #[test]
    fn all_packages_of_a_release() {
        let owner = ("core/api".parse().unwrap(), "server".parse().unwrap());
        let found = vec![
            package("pkg:npm/a@1", Some("MIT")),
            package("pkg:npm/b@1", Some("AGPL-3.0-only")),
            package("pkg:npm/c@1", None),
        ];
        let packages = Packages::from([(owner, found)]);
        let at = |_: &Name, artifact: &EntryPath| Place::of_file(artifact.as_path());
        let rules = rules("forbidden = [\"AGPL-3.0-only\"]\n");
        let problems = rules.check_packages(&packages, at);
        assert_eq!(problems.len(), 1);
        assert_eq!(
            problems[0].to_string(),
            "server: pkg:npm/b@1 has the license AGPL-3.0-only, which licenses.toml does not accept [license-refused]\n  \
             hint: replace what has this license, or accept it in `[exceptions]` of licenses.toml"
        );
    }

    #[test]
    fn every_mistake_in_the_list_is_reported_with_its_place() {
        let (_, problems) = read(
            "allowed = [\"MIT\", \"mit\", 3, \"MIT OR ISC\", \"NOASSERTION\"]\nforbidden = [\"MIT\"]\nunknown = \"maybe\"\n\
             other = 1\n[exceptions]\n\"Core\" = [\"MIT\"]\n\"core/api\" = \"MIT\"\n",
        );
        let expected = [
            "1:19 license-invalid \"mit\": unknown term | write \"MIT\"",
            "1:26 wrong-type has to be a string, is an integer",
            "1:29 license-invalid \"MIT OR ISC\" is more than one license | list each license by itself",
            "1:43 license-invalid \"NOASSERTION\" names no license",
            "2:14 invalid-value MIT is allowed and forbidden",
            "3:1 invalid-value \"maybe\": is none of accept, refuse",
            "4:1 unknown-key unknown key `other`",
            "6:1 name-invalid",
            "7:1 wrong-type has to be a list of strings, is a string",
        ];
        for expected in expected {
            assert!(
                problems.iter().any(|p| p.starts_with(expected)),
                "{expected} is not in {problems:#?}"
            );
        }
        assert_eq!(problems.len(), expected.len());
        let (rules, problems) = read("allowed = [");
        assert!(rules.is_none() && problems[0].contains("toml-invalid"));
    }

    #[test]
    fn without_a_file_everything_passes() {
        let folder = tempfile::tempdir().unwrap();
        let (rules, problems) = LicenseRules::read(folder.path());
        assert_eq!(
            (rules, problems),
            (Some(LicenseRules::default()), Vec::new())
        );
    }
}
