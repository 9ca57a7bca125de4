//! `watch`: installs what appears in folders, as far as the site's channel lets it in by itself.

use std::{
    fmt::Write as _,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use sealift_verifier::error::printable;

use super::{Answer, Failed, Output, Scene, to_json};
use crate::{
    error::{Error, Result},
    policy::values::Period,
    site::Context,
    watch::{Event, Place, SETTLED, Watch, What},
};

/// Watch folders for bundles, and install what the site takes without a question: in the channel auto what is
/// admitted, in the others what is critical. SIGTERM ends it after the step that it is at
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folders: inboxes, or where media are mounted. Nothing is written to them
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// Look once, do what there is to do, and end: for timers
    #[arg(long)]
    once: bool,
    /// How long between two looks, at least a second
    #[arg(long, value_name = "TIME", default_value = "30s")]
    interval: Period,
}

pub(super) fn run(
    args: &Args,
    scene: &Scene<'_>,
    output: Output,
    out: &mut dyn Write,
) -> Result<Answer, Failed> {
    let seconds = u64::try_from(args.interval.seconds()).unwrap_or(1).max(1);
    let interval = Duration::from_secs(seconds);
    // Where there is no site, there is nothing to wait for.
    drop(scene.site()?);
    let mut written = Ok(());
    let mut tell = |event: Event| {
        if written.is_ok() {
            written = write(&event, output, out);
        }
    };
    let mut watch = Watch::new(args.folders.clone());
    let pause = |time| (scene.pause)(time).map_err(|e| Error::io("waiting", e));
    let context = || Context {
        now: (scene.clock)(),
        threads: scene.context.threads,
        who: scene.context.who,
        progress: scene.context.progress,
        overrides: Vec::new(),
        program: scene.context.program,
    };
    watch.glance(context().now, &mut tell);
    let mut stopped = pause(SETTLED)?;
    let mut ended = Ok(());
    while !stopped {
        let ctx = context();
        let place = place(scene, &ctx);
        let wait = match watch.round(&place, &mut tell) {
            // What follows what was installed comes at once.
            Ok(true) => Duration::ZERO,
            result if args.once => {
                ended = result.map(drop);
                break;
            }
            // What failed is told already, and the next round may do better.
            _ => interval,
        };
        stopped = pause(wait)?;
    }
    let ctx = context();
    if let Err(e) = watch.finish(&place(scene, &ctx)) {
        ctx.progress.note(&format!(
            "how long releases have waited is not written down: {e}"
        ));
    }
    if stopped {
        tell(Event::stopped(ctx.now));
    }
    written.map_err(|e| Error::io("standard output", e))?;
    ended?;
    match watch.into_failure() {
        Some(error) if args.once => Err(error.into()),
        _ => Ok(Answer {
            text: String::new(),
            json: serde_json::Value::Null,
        }),
    }
}

fn place<'a>(scene: &'a Scene<'_>, ctx: &'a Context<'a>) -> Place<'a> {
    Place {
        state: &scene.state,
        disk: scene.disk,
        ctx,
    }
}

fn write(event: &Event, output: Output, out: &mut dyn Write) -> io::Result<()> {
    match output {
        Output::Json => writeln!(out, "{}", to_json(event))?,
        Output::Text => writeln!(out, "{}", printable(&text(event)))?,
    }
    out.flush()
}

fn text(event: &Event) -> String {
    let about = match (&*event.file, &event.version) {
        ("", _) => String::new(),
        (file, None) => format!("{file}: "),
        (file, Some(version)) => format!("{file}: {version} "),
    };
    let mut text = format!(
        "{} {:<10} {about}{}",
        event.time,
        event.event.name(),
        event.detail
    );
    if event.forced && event.event == What::Applied {
        text.push_str(", forced because it is critical");
    }
    if let Some(until) = event.until {
        let _ = write!(text, "; waits until {until}");
    }
    text
}
