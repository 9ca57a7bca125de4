//! Packs, both ways: a deterministic tar of blobs, cut into independent zstd frames.
//!
//! A frame is what is read, verified and unpacked as one piece: its stored digest stands in
//! `delivery.json`, so a single blob can be had without the rest, both cores can work on one large file,
//! and no decompressor sees a byte that was not verified.

use std::{
    io::{self, Read},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
};

use crate::{
    delivery::{Compression, Pack},
    digest::{Digest, VerifyingReader},
    error::{Code, Error, Result, from_io, into_io},
    limits::FRAME_BYTES,
    release::BlobRef,
    tar::{self, BLOCK},
};

/// The level that packs are compressed with.
pub const LEVEL: i32 = 3;

/// How this program compresses. Another version of the library may make other bytes of the same content.
pub fn compression() -> Compression {
    Compression {
        library: format!("zstd {}", zstd::zstd_safe::version_string()),
        level: LEVEL,
        frame: FRAME_BYTES as u64,
    }
}

/// Gets the stored bytes of the frame with the given number; the pack knows how many there should be.
pub trait Frames: Sync {
    /// Reads the stored bytes of a frame, not verified.
    fn stored(&self, number: usize) -> Result<Vec<u8>>;
}

/// Unpacks the blobs of `pack` that are `wanted`, in the order of the pack, and gives each of them to
/// `take`, which has to read it to its end: only then has its digest been verified. Frames without a
/// wanted blob are not read. `path` names the pack in errors.
pub fn unpack(
    pack: &Pack,
    path: &str,
    frames: &dyn Frames,
    wanted: &dyn Fn(Digest) -> bool,
    take: &mut dyn FnMut(BlobRef, &mut dyn Read) -> io::Result<()>,
) -> Result<()> {
    let mut starts = Vec::with_capacity(pack.blobs.len());
    let mut end = 0_u64;
    for blob in &pack.blobs {
        starts.push(end);
        end = tar::member_size(blob.size())
            .and_then(|size| end.checked_add(size))
            .ok_or_else(|| too_large(path))?;
    }
    let total = tar::stream_size(&pack.blobs).ok_or_else(|| too_large(path))?;
    let chosen: Vec<bool> = pack
        .blobs
        .iter()
        .map(|blob| wanted(blob.digest()))
        .collect();
    let Some(first) = chosen.iter().position(|c| *c) else {
        return Ok(());
    };
    let last = chosen.iter().rposition(|c| *c).unwrap_or(first);

    let from = starts.get(first).copied().unwrap_or(0);
    // Up to the end of the archive after the last blob, so that a pack read to its end is checked whole.
    let to = starts.get(last.saturating_add(1)).copied().unwrap_or(total);
    let frame = FRAME_BYTES as u64;
    let (from_frame, to_frame) = (from.div_euclid(frame), to.div_ceil(frame));
    let open = |number: u64| open_frame(pack, path, frames, number, total);

    let mut walk = |stream: &mut dyn Read| -> Result<()> {
        skip(
            stream,
            from.saturating_sub(from_frame.saturating_mul(frame)),
        )
        .map_err(|e| from_io(path, e))?;
        for (blob, chosen) in pack
            .blobs
            .iter()
            .zip(&chosen)
            .skip(first)
            .take(last.saturating_sub(first).saturating_add(1))
        {
            let name = tar::blob_path(blob.digest());
            expect(stream, &tar::header(&name, blob.size()), path)?;
            let mut content = VerifyingReader::new(
                (&mut *stream).take(blob.size()),
                blob.size(),
                blob.digest(),
                &name,
            );
            if *chosen {
                take(*blob, &mut content).map_err(|e| from_io(&name, e))?;
            }
            // Also finds a taker that stopped early.
            skip(&mut content, u64::MAX).map_err(|e| from_io(&name, e))?;
            expect(
                stream,
                &vec![0; usize::try_from(tar::padding(blob.size())).unwrap_or(0)],
                path,
            )?;
        }
        if to == total {
            expect(stream, &tar::ZEROS, path)?;
        }
        Ok(())
    };
    if to_frame.saturating_sub(from_frame) <= 1 {
        return walk(&mut &open(from_frame)?[..]);
    }
    // Verifying and unpacking of the next frame goes on beside the use of this one.
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        scope.spawn(move || {
            for number in from_frame..to_frame {
                if sender.send(open(number)).is_err() {
                    break;
                }
            }
        });
        walk(&mut FrameStream {
            receiver,
            current: io::Cursor::default(),
        })
    })
}

fn too_large(path: &str) -> Error {
    Error::new(Code::LimitExceeded, path, "is larger than 64 bits can say")
}

/// Reads a frame, verifies what is stored, and only then unpacks it.
fn open_frame(
    pack: &Pack,
    path: &str,
    frames: &dyn Frames,
    number: u64,
    total: u64,
) -> Result<Vec<u8>> {
    let subject = format!("{path}, frame {number}");
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    let signed = pack
        .frames
        .get(index)
        .ok_or_else(|| Error::new(Code::BadMetadata, &subject, "is missing"))?;
    let stored = frames.stored(index)?;
    if stored.len() as u64 != signed.size() || Digest::of(&stored) != signed.digest() {
        return Err(Error::new(
            Code::DigestMismatch,
            subject,
            format!("does not have the signed digest {}", signed.digest()),
        ));
    }
    let frame = FRAME_BYTES as u64;
    let expected = usize::try_from(
        total
            .saturating_sub(number.saturating_mul(frame))
            .min(frame),
    )
    .unwrap_or(FRAME_BYTES);
    let content = zstd::bulk::decompress(&stored, expected)
        .map_err(|e| Error::new(Code::BadMetadata, &subject, e.to_string()))?;
    if content.len() != expected {
        return Err(Error::new(
            Code::LengthMismatch,
            subject,
            format!("unpacks to {} bytes, not {expected}", content.len()),
        ));
    }
    Ok(content)
}

/// The tar of a pack, from frames that another thread opens.
struct FrameStream {
    receiver: Receiver<Result<Vec<u8>>>,
    current: io::Cursor<Vec<u8>>,
}

impl Read for FrameStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.receiver.recv() {
                Ok(frame) => self.current = io::Cursor::new(frame.map_err(into_io)?),
                Err(_) => return Ok(0),
            }
        }
    }
}

/// Reads and drops up to `count` bytes.
fn skip(reader: &mut dyn Read, count: u64) -> io::Result<()> {
    io::copy(&mut reader.take(count), &mut io::sink()).map(|_| ())
}

fn expect(stream: &mut dyn Read, expected: &[u8], path: &str) -> Result<()> {
    let mut found = vec![0; expected.len()];
    stream
        .read_exact(&mut found)
        .map_err(|e| from_io(path, e))?;
    if found == expected {
        return Ok(());
    }
    Err(Error::new(
        Code::NotCanonical,
        path,
        "does not hold the tar that its list of blobs leads to",
    ))
}

/// A piece of a pack's tar that is being compressed.
pub struct PendingFrame(Receiver<io::Result<StoredFrame>>);

/// A compressed frame, as it is stored.
pub struct StoredFrame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their SHA-256.
    pub digest: Digest,
}

impl PendingFrame {
    /// Waits for the stored bytes.
    pub fn wait(self) -> io::Result<StoredFrame> {
        self.0
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("a compressing thread ended early")))
    }
}

type Job = (Vec<u8>, SyncSender<io::Result<StoredFrame>>);

/// Threads that compress frames. The bytes do not depend on how many there are.
pub struct Compressor {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Compressor {
    /// Starts `threads` threads, at least one.
    pub fn new(threads: usize) -> Self {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..threads.max(1))
            .map(|_| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || {
                    let mut zstd = zstd::bulk::Compressor::new(LEVEL);
                    loop {
                        let job = queue.lock().map(|queue| queue.recv());
                        let Ok(Ok((content, done))) = job else { break };
                        let stored = match &mut zstd {
                            Ok(zstd) => zstd.compress(&content).map(|bytes| StoredFrame {
                                digest: Digest::of(&bytes),
                                bytes,
                            }),
                            Err(e) => Err(io::Error::new(e.kind(), e.to_string())),
                        };
                        // Nobody waits any more if the build was given up.
                        let _ = done.send(stored);
                    }
                })
            })
            .collect();
        Self {
            jobs: Some(jobs),
            threads,
        }
    }

    /// Compresses a frame: [`FRAME_BYTES`] of a pack's tar, or fewer if it is the last. Whoever calls
    /// this bounds how many frames are under way.
    pub fn compress(&self, content: Vec<u8>) -> PendingFrame {
        let (done, result) = sync_channel(1);
        if let Some(jobs) = &self.jobs {
            // If all threads are gone, waiting for the result says so.
            let _ = jobs.send((content, done));
        }
        PendingFrame(result)
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Packs the blobs of `pack` again, as an export does: calls `stored` with each frame in order, after
/// comparing it with what `pack` says, and refuses with `digest-mismatch` if this program's compressor
/// makes other bytes.
pub fn repack(
    pack: &Pack,
    path: &str,
    threads: usize,
    open: &dyn Fn(BlobRef) -> io::Result<Box<dyn Read>>,
    stored: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<()> {
    let compressor = Compressor::new(threads);
    let most = threads.max(1).saturating_add(1);
    let mut pending = std::collections::VecDeque::new();
    let mut signed = pack.frames.iter();
    let mut emit = |frame: PendingFrame| -> Result<()> {
        let frame = frame.wait().map_err(|e| Error::io(path, e))?;
        let found = BlobRef(frame.digest, frame.bytes.len() as u64);
        let same = signed.next().is_some_and(|signed| *signed == found);
        if !same {
            return Err(Error::new(
                Code::DigestMismatch,
                path,
                "is made into other bytes by this program's zstd",
            ));
        }
        stored(&frame.bytes).map_err(|e| Error::io(path, e))
    };
    let mut stream = PackStream {
        blobs: pack.blobs.iter(),
        open,
        member: Box::new(io::empty()),
        ended: false,
    };
    loop {
        let mut content = Vec::with_capacity(FRAME_BYTES);
        stream
            .by_ref()
            .take(FRAME_BYTES as u64)
            .read_to_end(&mut content)
            .map_err(|e| from_io(path, e))?;
        if content.is_empty() {
            break;
        }
        pending.push_back(compressor.compress(content));
        if pending.len() > most
            && let Some(frame) = pending.pop_front()
        {
            emit(frame)?;
        }
    }
    pending.into_iter().try_for_each(emit)
}

/// The tar of a pack, made of its blobs.
struct PackStream<'a> {
    blobs: std::slice::Iter<'a, BlobRef>,
    open: &'a dyn Fn(BlobRef) -> io::Result<Box<dyn Read>>,
    member: Box<dyn Read>,
    ended: bool,
}

impl Read for PackStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.member.read(buffer)?;
            if count > 0 || buffer.is_empty() || self.ended {
                return Ok(count);
            }
            self.member = if let Some(blob) = self.blobs.next() {
                let name = tar::blob_path(blob.digest());
                let header = io::Cursor::new(tar::header(&name, blob.size()));
                let content =
                    VerifyingReader::new((self.open)(*blob)?, blob.size(), blob.digest(), name);
                Box::new(
                    header
                        .chain(content)
                        .chain(io::repeat(0).take(tar::padding(blob.size()))),
                )
            } else {
                self.ended = true;
                Box::new(io::repeat(0).take(2 * BLOCK))
            };
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "a test may panic"
)]
mod tests {
    use super::*;

    struct Stored(Vec<Vec<u8>>);
    impl Frames for Stored {
        fn stored(&self, number: usize) -> Result<Vec<u8>> {
            Ok(self.0[number].clone())
        }
    }

    fn sample() -> (Pack, Stored, Vec<Vec<u8>>) {
        // Three blobs over three frames; the middle one spans a whole frame.
        let contents = vec![
            vec![1; 1000],
            (0..FRAME_BYTES * 2).map(|i| ((i * i) >> 7) as u8).collect(),
            b"end".to_vec(),
        ];
        let blobs: Vec<_> = contents
            .iter()
            .map(|c: &Vec<u8>| BlobRef(Digest::of(c), c.len() as u64))
            .collect();
        let open = |blob: BlobRef| {
            let content = contents
                .iter()
                .find(|c| Digest::of(c) == blob.digest())
                .unwrap()
                .clone();
            Ok(Box::new(io::Cursor::new(content)) as Box<dyn Read>)
        };
        let mut stream = PackStream {
            blobs: blobs.iter(),
            open: &open,
            member: Box::new(io::empty()),
            ended: false,
        };
        let mut tar = Vec::new();
        stream.read_to_end(&mut tar).unwrap();
        assert_eq!(tar.len() as u64, tar::stream_size(&blobs).unwrap());
        let compressor = Compressor::new(2);
        let frames: Vec<_> = tar
            .chunks(FRAME_BYTES)
            .map(|c| compressor.compress(c.to_vec()).wait().unwrap().bytes)
            .collect();
        let refs = frames
            .iter()
            .map(|f| BlobRef(Digest::of(f), f.len() as u64))
            .collect();
        (
            Pack {
                frames: refs,
                blobs,
            },
            Stored(frames),
            contents,
        )
    }

    #[test]
    fn what_was_packed_is_unpacked_whole_and_in_part() {
        let (pack, stored, contents) = sample();
        assert_eq!(pack.frames.len(), 3);
        for choice in 0..8_usize {
            let wanted = |digest: Digest| {
                pack.blobs
                    .iter()
                    .position(|b| b.digest() == digest)
                    .is_some_and(|i| (choice >> i) & 1 == 1)
            };
            let mut found = Vec::new();
            unpack(&pack, "p", &stored, &wanted, &mut |blob, content| {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                found.push((blob, bytes));
                Ok(())
            })
            .unwrap();
            let expected: Vec<_> = pack
                .blobs
                .iter()
                .zip(&contents)
                .filter(|(b, _)| wanted(b.digest()))
                .map(|(b, c)| (*b, c.clone()))
                .collect();
            assert!(found == expected, "choice {choice}");
        }
    }

    #[test]
    fn packing_again_gives_the_same_bytes_with_any_number_of_threads() {
        let (pack, stored, contents) = sample();
        for threads in 1..4 {
            let mut bytes: Vec<u8> = Vec::new();
            let open = |blob: BlobRef| {
                let content = contents
                    .iter()
                    .find(|c| Digest::of(c) == blob.digest())
                    .unwrap()
                    .clone();
                Ok(Box::new(io::Cursor::new(content)) as Box<dyn Read>)
            };
            repack(&pack, "p", threads, &open, &mut |frame| {
                bytes.extend(frame);
                Ok(())
            })
            .unwrap();
            assert!(bytes == stored.0.concat());
        }
    }

    #[test]
    fn a_changed_frame_never_reaches_the_decompressor() {
        let (pack, mut stored, _) = sample();
        stored.0[1][100] ^= 1;
        let error = unpack(&pack, "p", &stored, &|_| true, &mut |_, content| {
            io::copy(content, &mut io::sink()).map(|_| ())
        })
        .unwrap_err();
        assert_eq!(error.kind(), Code::DigestMismatch);
    }

    /// An export has to make the bytes that came, also years later: this library's output is part of the
    /// format. If this fails after an update of zstd, keep the old version or teach the site to keep packs.
    #[test]
    fn the_compressor_still_makes_the_bytes_of_format_one() {
        let content: Vec<u8> = (0..1_000_000_u32)
            .flat_map(|i| (i / 7).wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let stored = Compressor::new(1).compress(content).wait().unwrap();
        assert_eq!(compression().library, "zstd 1.5.7");
        assert_eq!(
            stored.digest.to_hex(),
            "09cdfec90f3715e93b7f25fb7be7ba120ca2edc9b4d8f3c76fbcf2916697be1d"
        );
    }
}
