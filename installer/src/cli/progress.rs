//! What a person at a terminal sees while something takes long. Elsewhere only notes are written.

use std::{
    io::Write,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::site::Progress;

/// Draws one bar a step on standard error.
pub(super) struct Bars<'a> {
    bar: Mutex<ProgressBar>,
    err: &'a Mutex<Box<dyn Write + Send>>,
}

impl<'a> Bars<'a> {
    pub(super) fn new(err: &'a Mutex<Box<dyn Write + Send>>) -> Self {
        let bar = Mutex::new(ProgressBar::hidden());
        Self { bar, err }
    }

    fn bar(&self) -> std::sync::MutexGuard<'_, ProgressBar> {
        // A bar is right whatever thread panicked while it held it.
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars<'_> {
    fn begin(&self, step: &str, bytes: u64) {
        // indicatif draws on standard error, and only if that is a terminal.
        let (bar, template) = match bytes {
            0 => (ProgressBar::new_spinner(), "{msg} {spinner} {elapsed}"),
            _ => (
                ProgressBar::new(bytes),
                "{msg:10} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} left",
            ),
        };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(step.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        *self.bar() = bar;
    }

    fn advance(&self, bytes: u64) {
        self.bar().inc(bytes);
    }

    fn end(&self) {
        self.bar().finish_and_clear();
    }

    fn note(&self, text: &str) {
        let line = format!("{}\n", sealift_verifier::error::printable(text));
        self.bar().suspend(|| {
            if let Ok(mut err) = self.err.lock() {
                // A note that cannot be written changes no result.
                let _ = err.write_all(line.as_bytes());
            }
        });
    }
}

impl Drop for Bars<'_> {
    fn drop(&mut self) {
        self.bar().finish_and_clear();
    }
}
