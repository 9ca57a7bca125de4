//! Writing the payload of a bundle in one pass: packs and blobs, from the byte on that follows the head.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    sync::mpsc::{SyncSender, sync_channel},
    thread::JoinHandle,
};

use sealift_verifier::tar;

use crate::error::{Error, Result};

/// After so many bytes the disk is asked to begin, so that the last sync has little left to wait for.
const FLUSH_BYTES: u64 = 64 << 20;

/// The payload, being written.
pub(crate) struct Payload<'f> {
    file: &'f mut File,
    position: u64,
    flushed: u64,
    flusher: Flusher,
}

impl<'f> Payload<'f> {
    /// Begins at `start`; what comes before it is written later.
    pub(crate) fn new(file: &'f mut File, start: u64) -> Result<Self> {
        let flusher = Flusher::new(file.try_clone().map_err(failed)?);
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
        Ok(Self {
            file,
            position: start,
            flushed: start,
            flusher,
        })
    }

    /// Where the next byte goes.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Writes the header of a member.
    pub(crate) fn header(&mut self, path: &str, size: u64) -> Result<()> {
        self.write(&tar::header(path, size))
    }

    /// Writes bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(failed)?;
        self.position += bytes.len() as u64;
        if self.position >= self.flushed + FLUSH_BYTES {
            self.flushed = self.position;
            self.flusher.begin();
        }
        Ok(())
    }

    /// Leaves room for what is known later.
    pub(crate) fn reserve(&mut self, size: u64) -> Result<()> {
        self.go_to(self.position + size)
    }

    /// Fills room that was left at `position`.
    pub(crate) fn fill(&mut self, position: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, position).map_err(failed)
    }

    /// Drops everything from `position` on.
    pub(crate) fn rewind(&mut self, position: u64) -> Result<()> {
        self.file.set_len(position).map_err(failed)?;
        self.flushed = self.flushed.min(position);
        self.go_to(position)
    }

    fn go_to(&mut self, position: u64) -> Result<()> {
        self.position = position;
        self.file
            .seek(SeekFrom::Start(position))
            .map(|_| ())
            .map_err(failed)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.write(&tar::ZEROS)?;
        self.flusher.finish().map_err(failed)
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::io("the new bundle", error)
}

/// A thread that waits for the disk while others work.
struct Flusher {
    begin: Option<SyncSender<()>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Flusher {
    fn new(file: File) -> Self {
        let (begin, requests) = sync_channel(1);
        let thread =
            std::thread::spawn(move || requests.iter().try_for_each(|()| file.sync_data()));
        Self {
            begin: Some(begin),
            thread: Some(thread),
        }
    }

    fn begin(&self) {
        if let Some(begin) = &self.begin {
            // If one sync is under way and another asked for, that one will do.
            let _ = begin.try_send(());
        }
    }

    /// An error of the disk is told to one caller of sync only, so that of this thread must not get lost.
    fn finish(&mut self) -> std::io::Result<()> {
        self.begin = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(std::io::Error::other("the syncing thread ended early")),
            None => Ok(()),
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}
