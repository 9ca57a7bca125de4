//! `approve` and `withdraw`: what somebody says of a request, on any machine. The same as those of `sealift-keys`, for
//! who has only this program.

use sealift_keys::cli::{ApproveArgs, Report, WithdrawArgs};

use super::{Answer, Failed, Scene};
use crate::error::Error;

pub(super) fn approve(args: &ApproveArgs, scene: &Scene<'_>) -> Result<Answer, Failed> {
    tell(args.clone().run(scene.context.now, scene.ask), scene)
}

pub(super) fn withdraw(args: &WithdrawArgs, scene: &Scene<'_>) -> Result<Answer, Failed> {
    tell(args.clone().run(scene.context.now), scene)
}

fn tell(result: sealift_keys::Result<Report>, scene: &Scene<'_>) -> Result<Answer, Failed> {
    let report = result.map_err(Error::from)?;
    for note in &report.notes {
        scene.context.progress.note(note);
    }
    Ok(Answer {
        text: report.text,
        json: report.json,
    })
}
