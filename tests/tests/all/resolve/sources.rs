//! The examples of the source systems, written in our TOML.

use std::path::{Path, PathBuf};

use sealift_tests::{args, sandbox::Sandbox};
use serde_json::Value;

use super::capabilities;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fixtures")
        .join(name)
}

fn resolved(definition: &Path) -> Value {
    let sandbox = Sandbox::new();
    let bundler = sandbox.program("sealift-bundler");
    let args = args!["--output", "json", "resolve", definition, "--dry-run"];
    bundler.args(args).run().ok().json()
}

/// ID-1 6.1 states what each of three deployments is made of; 5.1 gives an example for each level of pins, and 5.2
/// ends with the latest available.
#[test]
fn id_1() {
    let platform = |name: &str, expected: &[&str]| {
        let json = resolved(&fixture("id1").join(name));
        assert_eq!(capabilities(&json["resolutions"][0]), expected, "{name}");
    };
    platform(
        "deployment-1.toml",
        &["core/api 2.0.0 platform", "core/auth 1.0.0 platform"],
    );
    platform(
        "deployment-2.toml",
        &["core/api 2.1.0 platform", "core/auth 1.0.0 platform"],
    );
    platform(
        "deployment-3.toml",
        &["core/api 2.1.0 platform", "core/auth 1.1.0 capability"],
    );
    platform(
        "platform-pin.toml",
        &["core/api 2.1.0 platform", "core/auth 1.0.0 platform"],
    );
    platform(
        "suite-pin.toml",
        &[
            "analytics/reports 1.0.0 suite",
            "core/api 2.1.0 suite",
            "core/auth 1.0.0 suite",
        ],
    );
    platform(
        "capability-pin.toml",
        &["core/api 2.1.0 capability", "core/auth 1.0.0 capability"],
    );
    platform(
        "latest.toml",
        &["core/api 2.1.0 latest", "core/auth 1.1.0 latest"],
    );
}

/// The table of `CompanyOS`, section 5: a row for each component, a column for each mode. `-` is a component that is
/// not there; a name is what the table puts in its place.
#[test]
fn companyos() {
    const TABLE: [(&str, [&str; 4]); 8] = [
        (
            "core/api",
            ["core/api", "core/api", "core/api", "core/api-lightweight"],
        ),
        (
            "web/frontend",
            [
                "web/frontend",
                "web/frontend",
                "web/frontend",
                "web/local-ui",
            ],
        ),
        (
            "storage/postgresql",
            [
                "storage/postgresql",
                "storage/postgresql",
                "storage/postgresql",
                "storage/sqlite",
            ],
        ),
        (
            "storage/neo4j",
            ["storage/neo4j", "storage/neo4j", "storage/neo4j", "-"],
        ),
        (
            "orchestration/maestro",
            [
                "orchestration/maestro",
                "orchestration/maestro",
                "orchestration/maestro",
                "orchestration/local-agent",
            ],
        ),
        (
            "ai/llm-inference",
            [
                "ai/llm-inference",
                "ai/llm-inference",
                "ai/llm-inference",
                "ai/small-model",
            ],
        ),
        (
            "control/billing",
            ["control/billing", "control/billing", "-", "-"],
        ),
        (
            "control/global-directory",
            [
                "control/global-directory",
                "control/federated-directory",
                "control/local-directory",
                "control/local-auth",
            ],
        ),
    ];
    let json = resolved(&fixture("companyos/companyos-1.0.0.toml"));
    for (column, mode) in ["saas", "dedicated", "on-prem", "edge"].iter().enumerate() {
        let resolution = &json["resolutions"][column];
        assert_eq!(resolution["mode"], *mode);
        let mut expected: Vec<&str> = TABLE.iter().map(|(_, row)| row[column]).collect();
        expected.retain(|name| *name != "-");
        expected.sort_unstable();
        let found = resolution["capabilities"].as_array().unwrap();
        let found: Vec<&str> = found.iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{mode}");
        let left_out = resolution["left-out"].as_array().unwrap();
        for (component, row) in TABLE {
            let out = left_out.iter().find(|out| out["name"] == component);
            match row[column] {
                "-" => assert!(
                    out.unwrap()["substitute"].is_null(),
                    "{component} in {mode}"
                ),
                name if name == component => assert!(out.is_none(), "{component} in {mode}"),
                name => assert_eq!(out.unwrap()["substitute"], name, "{component} in {mode}"),
            }
        }
    }
}
