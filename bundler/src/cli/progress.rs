//! What a person at a terminal sees while a bundle is made: a bar with rate and time left. Elsewhere nothing
//! is drawn.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::build::{Progress, Stage};

/// Draws a bar for each stage that is under way, on standard error and only if that is a terminal.
pub(super) struct Bars {
    shown: MultiProgress,
    /// Nobody sees them: releases of many small files need not wait for that.
    hidden: bool,
    each: Mutex<BTreeMap<Stage, ProgressBar>>,
}

impl Bars {
    pub(super) fn new() -> Self {
        let shown = MultiProgress::new();
        Self {
            hidden: shown.is_hidden(),
            shown,
            each: Mutex::default(),
        }
    }

    fn bars(&self) -> MutexGuard<'_, BTreeMap<Stage, ProgressBar>> {
        self.each.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn begin(&self, stage: Stage, length: u64) {
        let message = match stage {
            Stage::Scan => "scanning",
            Stage::Pack => "packing",
            Stage::Write => "writing",
            Stage::Verify => "verifying",
        };
        let bar = self.shown.add(ProgressBar::new(length));
        let style = ProgressStyle::with_template(
            "{msg:10} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} left",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(message);
        bar.enable_steady_tick(Duration::from_millis(200));
        // What follows on a stage of the same kind, or on one that is done, takes its place.
        self.bars()
            .insert(stage, bar)
            .iter()
            .for_each(ProgressBar::finish_and_clear);
    }

    fn bytes(&self, stage: Stage, count: u64) {
        if self.hidden {
            return;
        }
        if let Some(bar) = self.bars().get(&stage) {
            bar.inc(count);
            if bar.length().is_some_and(|length| bar.position() >= length) {
                bar.finish_and_clear();
            }
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bars().values().for_each(ProgressBar::finish_and_clear);
    }
}
