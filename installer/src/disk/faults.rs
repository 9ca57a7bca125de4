//! Faults for tests: a disk that counts the calls that change something, ends the process before the N-th
//! of them, or lets the N-th fail.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use super::{At, Dir, Disk, Fill};

/// What happens at which call. Calls are counted from 1 over the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Only count.
    Count,
    /// Ends the process with SIGKILL immediately before this call: what a power cut would leave, with the
    /// page cache intact.
    Kill(u64),
    /// This call fails with an error number of the operating system.
    Fail(u64, i32),
}

impl Fault {
    /// Reads `count`, `kill:N`, `fail:N` (with EIO) or `fail:N:ERRNO`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let kind = parts.next()?;
        let number = parts.next().map(str::parse);
        let errno = parts.next().map(str::parse);
        match (kind, number, errno, parts.next()) {
            ("count", None, None, None) => Some(Self::Count),
            ("kill", Some(Ok(n)), None, None) => Some(Self::Kill(n)),
            ("fail", Some(Ok(n)), None, None) => {
                Some(Self::Fail(n, rustix::io::Errno::IO.raw_os_error()))
            }
            ("fail", Some(Ok(n)), Some(Ok(errno)), None) => Some(Self::Fail(n, errno)),
            _ => None,
        }
    }
}

/// A disk with a fault.
pub struct FaultyDisk<D> {
    inner: D,
    fault: Fault,
    calls: AtomicU64,
}

impl<D: Disk> FaultyDisk<D> {
    /// Puts a fault before `inner`.
    pub fn new(inner: D, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            calls: AtomicU64::new(0),
        }
    }

    /// How many calls there were so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// What happens at which call.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    fn point(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        match self.fault {
            Fault::Kill(n) if n == call => {
                let own = rustix::process::getpid();
                rustix::process::kill_process(own, rustix::process::Signal::KILL)?;
                // Other threads go on until the signal arrives; this one does not.
                loop {
                    std::thread::park();
                }
            }
            Fault::Fail(n, errno) if n == call => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        }
    }
}

impl<D: Disk> Disk for FaultyDisk<D> {
    fn mkdir(&self, at: At<'_>) -> io::Result<()> {
        self.point()?;
        self.inner.mkdir(at)
    }
    fn create(&self, at: At<'_>, mode: u32, fill: Fill<'_>) -> io::Result<()> {
        self.point()?;
        // Two points: before the file is there, and while it is there without content.
        self.inner.create(at, mode, &mut |file| {
            self.point()?;
            fill(file)
        })
    }
    fn append(&self, at: At<'_>, bytes: &[u8]) -> io::Result<()> {
        self.point()?;
        // Two points: before anything is written, and when half of it is.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        self.inner.append(at, first)?;
        self.point()?;
        self.inner.append(at, second)
    }
    fn truncate(&self, at: At<'_>, length: u64) -> io::Result<()> {
        self.point()?;
        self.inner.truncate(at, length)
    }
    fn link(&self, from: At<'_>, to: At<'_>) -> io::Result<()> {
        self.point()?;
        self.inner.link(from, to)
    }
    fn symlink(&self, target: &str, at: At<'_>) -> io::Result<()> {
        self.point()?;
        self.inner.symlink(target, at)
    }
    fn rename(&self, from: At<'_>, to: At<'_>) -> io::Result<()> {
        self.point()?;
        self.inner.rename(from, to)
    }
    fn rename_new(&self, from: At<'_>, to: At<'_>) -> io::Result<()> {
        self.point()?;
        self.inner.rename_new(from, to)
    }
    fn remove_file(&self, at: At<'_>) -> io::Result<()> {
        self.point()?;
        self.inner.remove_file(at)
    }
    fn remove_dir(&self, at: At<'_>) -> io::Result<()> {
        self.point()?;
        self.inner.remove_dir(at)
    }
    fn sync_file(&self, at: At<'_>) -> io::Result<()> {
        self.point()?;
        self.inner.sync_file(at)
    }
    fn sync_dir(&self, dir: &Dir) -> io::Result<()> {
        self.point()?;
        self.inner.sync_dir(dir)
    }
    fn sync_fs(&self, dir: &Dir) -> io::Result<()> {
        self.point()?;
        self.inner.sync_fs(dir)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_strictly() {
        assert_eq!(Fault::parse("count"), Some(Fault::Count));
        assert_eq!(Fault::parse("kill:7"), Some(Fault::Kill(7)));
        assert_eq!(Fault::parse("fail:7"), Some(Fault::Fail(7, 5)));
        assert_eq!(Fault::parse("fail:7:28"), Some(Fault::Fail(7, 28)));
        for bad in ["", "kill", "kill:x", "kill:1:2", "fail:1:2:3", "count:1"] {
            assert_eq!(Fault::parse(bad), None, "{bad}");
        }
    }
}
