//! Builds that are killed: the old bundle or the new one is there, and nothing else.

use std::{fs, path::Path, time::Duration};

use sealift_tests::{
    listing::Listing,
    program::Program,
    sandbox::{Sandbox, read, write},
    vendor::Vendor,
};

use super::input::{Single, has_open};

/// Calls that change a file system.
const CHANGING: [&str; 13] = [
    "write",
    "pwrite64",
    "copy_file_range",
    "fallocate",
    "sendfile",
    "ftruncate",
    "fsync",
    "fdatasync",
    "linkat",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
];

/// Runs a program again and again, each time killed before another one of its changing calls, the first `write`,
/// the second, and so on. `left` looks at what is there afterwards, and hears whether it came to its end.
/// Says how often it was killed. `strace` counts the calls of each thread apart, so that of two threads that call the same
/// only one is killed in its first call.
pub(super) fn killed_at_every_change(command: impl Fn() -> Program, left: impl Fn(bool)) -> u32 {
    let mut killed = 0;
    for name in CHANGING {
        for time in 1.. {
            let trace = format!("trace={name}");
            let inject = format!("inject={name}:signal=SIGKILL:when={time}");
            let strace = [
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &trace,
                "-e",
                &inject,
            ];
            let outcome = command().behind(&strace).run();
            let ended = outcome.code() == Some(0);
            if !ended {
                outcome.killed();
            }
            left(ended);
            if ended {
                break;
            }
            killed += 1;
        }
    }
    killed
}

#[test]
fn a_build_that_is_killed_leaves_the_old_bundle_or_the_new_one() {
    let sandbox = Sandbox::new();
    let vendor = Vendor::new(&sandbox);
    let draft = vendor.release("1.0.0", 1).capability("core/app", "service");
    let definition = draft.file("data", "some data").define();
    let new = read(&vendor.build(&definition));
    let out = sandbox.join("bundles/out.bundle");
    let killed = killed_at_every_change(
        || {
            write(&out, "metadata/ of an old bundle");
            // What a killed build leaves in the cache is looked at by tests of the cache.
            vendor.build_command(&definition, &out).args(["--no-cache"])
        },
        |ended| {
            let found = read(&out);
            assert!(found == new || !ended && found == b"metadata/ of an old bundle");
            tidy(&sandbox.join("bundles"));
        },
    );
    assert!(killed >= 6, "{killed}");
}

/// Nothing but the bundle and what has to be signed lies in a folder. The file under way has no name until it
/// is finished; only between its getting one and its taking the place of the old one can it be left behind.
pub(super) fn tidy(folder: &Path) {
    let mut finished = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with(".sealift-") {
            finished += 1;
            fs::remove_file(&path).unwrap();
        } else {
            assert!(
                name == "out.bundle" || name == "out.bundle.tosign",
                "{name}"
            );
        }
    }
    assert!(finished <= 1);
}

#[test]
fn a_build_that_is_interrupted_leaves_nothing() {
    let single = Single::new();
    let file = fs::File::create(&single.data).unwrap();
    file.set_len(400 << 20).unwrap();
    let mut child = single.command().spawn();
    let open = format!("/proc/{}/fd", child.id());
    while !has_open(Path::new(&open), &single.data) {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
        std::thread::sleep(Duration::from_millis(1));
    }
    // What Ctrl-C sends.
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(!child.wait().unwrap().success());
    single.untouched();
}

#[test]
fn a_file_system_without_unnamed_files_will_do() {
    let single = Single::new();
    let expected = read(&single.vendor.build(&single.definition));
    // As FAT on a stick answers to O_TMPFILE, which is the first thing that is asked of the folder.
    let folder = single.sandbox.join("bundles").display().to_string();
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "trace",
        "-P",
        &folder,
        "-e",
        "trace=openat",
        "-e",
        "inject=openat:error=EOPNOTSUPP:when=1",
    ];
    // Also when it fails, it leaves nothing.
    let data = read(&single.data);
    fs::File::create(&single.data)
        .unwrap()
        .set_len(400 << 20)
        .unwrap();
    let child = single.command().behind(&strace).talk();
    let bundles = single.sandbox.join("bundles");
    while fs::read_dir(&bundles).unwrap().count() == 1 {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::File::create(&single.data).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("error[length-mismatch]: "), "{stderr}");
    single.untouched();

    write(&single.data, data);
    single.command().behind(&strace).run().ok();
    let trace = String::from_utf8(read(&single.sandbox.join("trace"))).unwrap();
    assert!(
        trace.contains("O_TMPFILE") && trace.contains("(INJECTED)"),
        "{trace}"
    );
    assert!(read(&single.out) == expected, "the bundles differ");
    let left = Listing::of(&single.sandbox.join("bundles"));
    assert_eq!(left.paths().collect::<Vec<_>>(), ["", "out.bundle"]);
}
