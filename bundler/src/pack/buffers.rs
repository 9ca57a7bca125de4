//! Memory that frames are put together in.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};

/// Buffers that are used again: taking megabytes anew for each frame, and giving them back, costs the kernel more than copying
/// what goes into them. There are never more than frames under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// One that nobody uses. It holds what was left in it.
    pub(super) fn take(&self) -> Buffer {
        Buffer {
            bytes: self.with(Vec::pop).unwrap_or_default(),
            home: self.clone(),
        }
    }

    fn with<T>(&self, what: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A buffer of [`Buffers`], where it goes back to when nobody needs it any more.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() > 0 {
            self.home.with(|free| free.push(bytes));
        }
    }
}
