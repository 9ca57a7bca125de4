//! README and guides do what they say.
//!
//! Every ```` ```sh ```` block of README.md and docs/*.md is run, one after the other in one shell for each
//! document, with `set -euo pipefail`, in a new folder, with the built programs in `PATH` and the checkout in
//! `SEALIFT`. What a reader sees is what is tested:
//!
//! - The line `# exit code 5` after a command says how it ends; all others have to end with 0.
//! - A ```` ```text ```` block after it is what it prints, standard error included. `...` stands for any text
//!   in a line, and alone for any lines.
//! - ```` ```sh no-test: REASON ```` is not run.
//!
//! trycmd, which does the like, starts each command by itself: no pipes, no variables, no `cd`.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use sealift_tests::{
    args,
    sandbox::{Sandbox, binary, read},
    service,
};

/// The programs that users have.
const PROGRAMS: [&str; 4] = [
    "sealift-keys",
    "sealift-verifier",
    "sealift-bundler",
    "sealift-installer",
];
/// The port of Acme's service that documents speak of; here each of them gets a free one.
const PORT: &str = "18080";

/// Commands of a document, and what they print if it says so.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    line: usize,
    commands: String,
    prints: Option<String>,
}

/// The blocks of a document that are run.
fn blocks(document: &str) -> Result<Vec<Block>, String> {
    let mut found: Vec<Block> = Vec::new();
    let mut lines = document.lines().enumerate();
    let mut follows_commands = false;
    while let Some((index, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let content: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        let content = content.join("\n");
        let runs = info == "sh";
        match info {
            "sh" => found.push(Block {
                line: index + 1,
                commands: content,
                prints: None,
            }),
            "text" if follows_commands => {
                if let Some(block) = found.last_mut() {
                    block.prints = Some(content);
                }
            }
            "text" => return Err(format!("line {}: what prints this?", index + 1)),
            other if other.starts_with("sh") => {
                let reason = other.strip_prefix("sh no-test: ").unwrap_or_default();
                if reason.is_empty() {
                    return Err(format!("line {}: not run, without a reason", index + 1));
                }
            }
            _ => {}
        }
        follows_commands = runs;
    }
    Ok(found)
}

/// One script for a whole document; what block N prints goes into `OUT/N`.
fn script(blocks: &[Block], out: &Path) -> String {
    // A service that a document starts ends with it.
    let mut script = String::from(
        "set -euo pipefail\ntrap 'for f in $(find \"$HOME\" -name acme.pid); do kill \"$(cat \"$f\")\" || true; done' EXIT\n",
    );
    for (index, block) in blocks.iter().enumerate() {
        let _ = writeln!(
            script,
            "exec >'{}' 2>&1",
            out.join(index.to_string()).display()
        );
        let mut lines: Vec<String> = Vec::new();
        for line in block.commands.lines() {
            let Some(code) = line.strip_prefix("# exit code ") else {
                lines.push(line.to_owned());
                continue;
            };
            let mut first = lines.len().saturating_sub(1);
            while first > 0 && lines[first - 1].ends_with('\\') {
                first -= 1;
            }
            lines.insert(first, "ended=0; {".into());
            lines.push("} || ended=$?".into());
            lines.push(format!(
                "[ $ended = {code} ] || {{ echo \"exit code $ended, not {code}\"; exit 1; }}"
            ));
        }
        script.push_str(&lines.join("\n"));
        script.push('\n');
    }
    script
}

/// Whether text is as a pattern with `...` says.
fn is_like(text: &str, pattern: &str) -> bool {
    let text: Vec<&str> = text.lines().map(str::trim_end).collect();
    let pattern: Vec<&str> = pattern.lines().map(str::trim_end).collect();
    lines_are_like(&text, &pattern)
}

fn lines_are_like(text: &[&str], pattern: &[&str]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((&"...", rest)) => (0..=text.len()).any(|skip| lines_are_like(&text[skip..], rest)),
        Some((first, rest)) => text.split_first().is_some_and(|(line, others)| {
            line_is_like(line, first) && lines_are_like(others, rest)
        }),
    }
}

fn line_is_like(line: &str, pattern: &str) -> bool {
    match pattern.split_once("...") {
        None => line == pattern,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| line_is_like(&rest[at..], after))
        }),
    }
}

/// Runs a document; an error says where it is wrong.
fn play(document: &str) -> Result<(), String> {
    let document = document.replace(PORT, &service::free_port().to_string());
    let blocks = blocks(&document)?;
    if blocks.is_empty() {
        return Ok(());
    }
    let sandbox = Sandbox::new();
    let [home, out] = ["home", "out"].map(|name| {
        let folder = sandbox.join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    });
    let programs = PROGRAMS.map(binary)[0].parent().unwrap().to_owned();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
    let outcome = sandbox
        .tool("bash")
        .args(args!["-c", script(&blocks, &out)])
        .env("PATH", path)
        .env("HOME", &home)
        .env("SEALIFT", checkout())
        .within(&home)
        .run();
    let code = outcome.code();
    let said = |index: usize| std::fs::read_to_string(out.join(index.to_string()));
    let mut wrong = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let Ok(text) = said(index) else {
            return Err(format!("line {}: was not reached\n{outcome}", block.line));
        };
        if code != Some(0) && said(index + 1).is_err() {
            wrong.push(format!("line {}: failed\n{text}", block.line));
            break;
        }
        if let Some(pattern) = &block.prints
            && !is_like(&text, pattern)
        {
            wrong.push(format!(
                "line {}: does not print what the document says\n--- it says\n{pattern}\n--- it prints\n{text}",
                block.line
            ));
        }
    }
    if wrong.is_empty() {
        let _ = outcome.ok();
        return Ok(());
    }
    Err(wrong.join("\n"))
}

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// README.md, and all of docs.
fn documents() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(checkout().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    all.push(checkout().join("README.md"));
    all.sort();
    all
}

#[test]
fn documents_do_what_they_say() {
    let texts: Vec<(PathBuf, String)> = documents()
        .into_iter()
        .map(|path| (path.clone(), String::from_utf8(read(&path)).unwrap()))
        .collect();
    // They wait for health checks most of the time.
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let played: Vec<_> = texts
            .iter()
            .map(|(path, text)| {
                scope.spawn(move || play(text).map_err(|e| format!("{}, {e}", path.display())))
            })
            .collect();
        played
            .into_iter()
            .filter_map(|thread| thread.join().unwrap().err())
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn documents_link_to_what_is_there() {
    for path in documents() {
        let text = String::from_utf8(read(&path)).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next())
        {
            let there = link.is_empty()
                || link.starts_with("https://")
                || path.parent().unwrap().join(link).exists();
            assert!(there, "{} links to {link}", path.display());
        }
    }
}

#[test]
fn a_document_that_is_wrong_is_noticed() {
    let says = |text: &str| play(&text.replace('~', "```")).unwrap_err();
    assert!(says("~sh\nfalse\n~").contains("line 1: failed"));
    assert!(says("~sh\ntrue\n# exit code 1\n~").contains("exit code 0, not 1"));
    assert!(says("~sh\ntrue\n~\n\n~sh\n\nfalse\n~\n~sh\ntrue\n~").contains("line 5: failed"));
    assert!(says("~sh\necho a\n~\n~text\nb\n~").contains("line 1: does not print"));
    assert!(says("~text\nb\n~").contains("line 1: what prints this?"));
    assert!(says("~sh no-test\nfalse\n~").contains("line 1: not run, without a reason"));
}

#[test]
fn a_document_is_one_story() {
    let text = "~sh\nmkdir a\ncd a\nname=b\n~\n~sh\necho ${PWD##*/} $name\nsh -c \\\n  'exit 5'\n# exit code 5\n~\n\
                ~text\na ...\n~\n~toml\nx\n~\n~sh no-test: because\nfalse\n~\n";
    play(&text.replace('~', "```")).unwrap();
}

#[test]
fn three_dots_stand_for_anything() {
    assert!(is_like("a 1 b\nc\nd\n", "a ... b\n...\nd"));
    assert!(is_like("d\n", "...\nd\n..."));
    assert!(is_like("x  \n", "x"));
    assert!(!is_like("a 1 c\n", "a ... b"));
    assert!(!is_like("a\nb\n", "a"));
    assert!(!is_like("", "a"));
}

#[test]
fn the_quickstart_plays_the_whole_story() {
    let sandbox = Sandbox::new();
    let programs = binary("sealift-installer").parent().unwrap().to_owned();
    let said = sandbox
        .tool("bash")
        .args(args![
            checkout().join("quickstart"),
            "--programs",
            programs,
            "story"
        ])
        .run()
        .ok();
    let text = said.text();
    assert!(
        text.contains("exit code 5") && text.contains("exit code 3"),
        "{text}"
    );
    assert!(text.contains("0 problems\n\nDone.\n"), "{text}");
    let report = read(&sandbox.join("story/report-2.4.0.html"));
    assert!(
        report.starts_with(b"<!doctype html>"),
        "the report is a page"
    );
}

#[test]
fn every_program_completes_its_arguments_and_brings_its_manual() {
    let sandbox = Sandbox::new();
    for name in PROGRAMS {
        for shell in ["bash", "zsh", "fish"] {
            let said = sandbox
                .program(name)
                .args(["completions", shell])
                .run()
                .ok();
            assert!(said.text().contains(name), "{name} {shell}");
            if shell == "bash" {
                let script = sandbox.write(format!("{name}.bash"), &said.stdout);
                sandbox.tool("bash").args(args!["-n", script]).run().ok();
            }
        }
        let pages = sandbox.join(format!("man-{name}"));
        let _ = sandbox.program(name).args(args!["man", pages]).run().ok();
        let page = String::from_utf8(read(&pages.join(format!("{name}.1")))).unwrap();
        assert!(page.contains(".TH") && page.contains(name), "{page}");
        assert!(
            pages.join(format!("{name}-completions.1")).exists(),
            "{name}"
        );
    }
}
