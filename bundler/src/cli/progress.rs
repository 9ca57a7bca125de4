//! What a person at a terminal sees while a bundle is made: a bar with rate and time left. Elsewhere nothing
//! is drawn.

use std::{sync::Mutex, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use crate::build::{Progress, Stage};

/// Draws one bar a stage on standard error.
pub(super) struct Bars(Mutex<ProgressBar>);

impl Bars {
    pub(super) fn new() -> Self {
        Self(Mutex::new(ProgressBar::hidden()))
    }
}

impl Progress for Bars {
    fn stage(&self, stage: Stage) {
        let (message, length) = match stage {
            Stage::Scan(length) => ("scanning", length),
            Stage::Pack(length) => ("packing", length),
            Stage::Write(length) => ("writing", length),
            Stage::Verify(length) => ("verifying", length),
        };
        // indicatif draws on standard error, and only if that is a terminal.
        let bar = ProgressBar::new(length);
        let style = ProgressStyle::with_template(
            "{msg:10} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} left",
        );
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(message);
        bar.enable_steady_tick(Duration::from_millis(200));
        if let Ok(mut current) = self.0.lock() {
            current.finish_and_clear();
            *current = bar;
        }
    }

    fn bytes(&self, count: u64) {
        if let Ok(bar) = self.0.lock() {
            bar.inc(count);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Ok(bar) = self.0.lock() {
            bar.finish_and_clear();
        }
    }
}
