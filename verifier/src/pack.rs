//! Packs, both ways: a deterministic tar of blobs, cut into independent zstd frames.
//!
//! A frame is what is read, verified and unpacked as one piece: its stored digest stands in
//! `delivery.json`, so a single blob can be had without the rest, both cores can work on one large file,
//! and no decompressor sees a byte that was not verified.

use std::{
    collections::VecDeque,
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

/// The level that contents are compressed with.
pub const LEVEL: i32 = 3;

/// The level that trees and bills of materials are compressed with: of texts that repeat themselves as they do, it makes
/// fewer bytes than [`LEVEL`], in half the time.
pub const DOCUMENT_LEVEL: i32 = 1;

/// How this program compresses. Another version of the library may make other bytes of the same content.
pub fn compression() -> Compression {
    Compression {
        library: format!("zstd {}", zstd::zstd_safe::version_string()),
        frame: FRAME_BYTES as u64,
    }
}

/// Gets the stored bytes of the frame with the given number; the pack knows how many there should be.
pub trait Frames: Sync {
    /// Reads the stored bytes of a frame, not verified.
    fn stored(&self, number: usize) -> Result<Vec<u8>>;
}

/// Unpacks the blobs of `pack` that are `wanted`, in the order of the pack, and gives each of them to
/// `take`, which has to read it to its end: only then has its digest been verified. Nothing is read if no
/// blob is wanted. `path` names the pack in errors.
pub fn unpack(
    pack: &Pack,
    path: &str,
    frames: &dyn Frames,
    wanted: &dyn Fn(Digest) -> bool,
    take: &mut dyn FnMut(BlobRef, &mut dyn Read) -> io::Result<()>,
) -> Result<()> {
    if !pack.blobs.iter().any(|blob| wanted(blob.digest())) {
        return Ok(());
    }
    let lengths = pack
        .frame_lengths()
        .ok_or_else(|| Error::new(Code::LimitExceeded, path, "is larger than 64 bits can say"))?;
    let open = |(number, length): (usize, &usize)| open_frame(pack, path, frames, number, *length);
    let mut walk = |stream: &mut dyn Read| -> Result<()> {
        for blob in &pack.blobs {
            let name = tar::blob_path(blob.digest());
            expect(stream, &tar::header(&name, blob.size()), path)?;
            let mut content = (&mut *stream).take(blob.size());
            if wanted(blob.digest()) {
                let mut content =
                    VerifyingReader::new(&mut content, blob.size(), blob.digest(), &name);
                take(*blob, &mut content).map_err(|e| from_io(&name, e))?;
                // Also finds a taker that stopped early.
                skip(&mut content).map_err(|e| from_io(&name, e))?;
            }
            skip(&mut content).map_err(|e| from_io(path, e))?;
            expect(stream, tar::zeros_after(blob.size()), path)?;
        }
        expect(stream, &tar::ZEROS, path)
    };
    if let [length] = lengths.as_slice() {
        return walk(&mut &open((0, length))?[..]);
    }
    // Verifying and unpacking of the next frame goes on beside the use of this one.
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        let lengths = &lengths;
        scope.spawn(move || {
            for frame in lengths.iter().enumerate() {
                if sender.send(open(frame)).is_err() {
                    break;
                }
            }
        });
        let current = io::Cursor::default();
        walk(&mut FrameStream { receiver, current })
    })
}

/// Reads a frame, verifies what is stored, and only then unpacks it to `length` bytes.
fn open_frame(
    pack: &Pack,
    path: &str,
    frames: &dyn Frames,
    number: usize,
    length: usize,
) -> Result<Vec<u8>> {
    let subject = format!("{path}, frame {number}");
    let signed = pack
        .frames
        .get(number)
        .ok_or_else(|| Error::new(Code::BadMetadata, &subject, "is missing"))?;
    let stored = frames.stored(number)?;
    if stored.len() as u64 != signed.size() || Digest::of(&stored) != signed.digest() {
        return Err(Error::new(
            Code::DigestMismatch,
            subject,
            format!("does not have the signed digest {}", signed.digest()),
        ));
    }
    let content = zstd::bulk::decompress(&stored, length)
        .map_err(|e| Error::new(Code::BadMetadata, &subject, e.to_string()))?;
    if content.len() != length {
        return Err(Error::new(
            Code::LengthMismatch,
            subject,
            format!("unpacks to {} bytes, not {length}", content.len()),
        ));
    }
    Ok(content)
}

/// The first frame of a pack with several: a tar header in a zstd frame with one block that is not
/// compressed (RFC 8878 3.1.1), so that its length is known before the header is.
pub fn header_frame(header: &[u8; 512]) -> [u8; HEADER_FRAME_BYTES] {
    let mut frame = [0; HEADER_FRAME_BYTES];
    let (start, block) = frame.split_at_mut(HEADER_FRAME_BYTES - 512);
    // Magic number; a single segment with a content size of two bytes; 512 - 256; last block, raw, 512 bytes.
    start.copy_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x01, 0x01, 0x10, 0x00]);
    block.copy_from_slice(header);
    frame
}

/// Length of a [`header_frame`] in bytes.
pub const HEADER_FRAME_BYTES: usize = 522;

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

/// Reads the rest and drops it.
fn skip(reader: &mut dyn Read) -> io::Result<()> {
    io::copy(reader, &mut io::sink()).map(|_| ())
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
    /// A frame that needed no compressing.
    fn done(bytes: Vec<u8>) -> Self {
        let (sender, receiver) = sync_channel(1);
        // Cannot fail: the receiver is there, and the channel has room for one.
        let _ = sender.send(Ok(StoredFrame {
            digest: Digest::of(&bytes),
            bytes,
        }));
        Self(receiver)
    }

    /// Waits for the stored bytes.
    pub fn wait(self) -> io::Result<StoredFrame> {
        self.0
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("a compressing thread ended early")))
    }
}

struct Job {
    content: Box<dyn AsRef<[u8]> + Send>,
    level: i32,
    done: SyncSender<io::Result<StoredFrame>>,
}

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
                        let Ok(Ok(Job {
                            content,
                            level,
                            done,
                        })) = job
                        else {
                            break;
                        };
                        let stored = match &mut zstd {
                            Ok(zstd) => zstd
                                .set_compression_level(level)
                                .and_then(|()| zstd.compress((*content).as_ref()))
                                .map(|bytes| StoredFrame {
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
    pub fn compress(&self, content: impl AsRef<[u8]> + Send + 'static, level: i32) -> PendingFrame {
        let (done, result) = sync_channel(1);
        let content = Box::new(content);
        if let Some(jobs) = &self.jobs {
            // If all threads are gone, waiting for the result says so.
            let _ = jobs.send(Job {
                content,
                level,
                done,
            });
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
    let lengths = pack
        .frame_lengths()
        .ok_or_else(|| Error::new(Code::LimitExceeded, path, "is larger than 64 bits can say"))?;
    let compressor = Compressor::new(threads);
    let most = threads.max(1).saturating_add(1);
    let mut pending = VecDeque::new();
    let mut signed = pack.frames.iter();
    let mut emit = |pending: &mut VecDeque<PendingFrame>| -> Result<()> {
        let Some(frame) = pending.pop_front() else {
            return Ok(());
        };
        let frame = frame.wait().map_err(|e| Error::io(path, e))?;
        let found = BlobRef(frame.digest, frame.bytes.len() as u64);
        if signed.next().is_none_or(|signed| *signed != found) {
            let detail = "is made into other bytes by this program's zstd";
            return Err(Error::new(Code::DigestMismatch, path, detail));
        }
        stored(&frame.bytes).map_err(|e| Error::io(path, e))
    };
    let mut stream = PackStream {
        blobs: pack.blobs.iter(),
        open,
        member: Box::new(io::empty()),
        ended: false,
    };
    for (number, length) in lengths.iter().enumerate() {
        let mut content = vec![0; *length];
        stream
            .read_exact(&mut content)
            .map_err(|e| from_io(path, e))?;
        pending.push_back(match <&[u8; 512]>::try_from(content.as_slice()) {
            Ok(header) if number == 0 && lengths.len() > 1 => {
                PendingFrame::done(header_frame(header).to_vec())
            }
            _ => compressor.compress(content, pack.level),
        });
        if pending.len() > most {
            emit(&mut pending)?;
        }
    }
    while !pending.is_empty() {
        emit(&mut pending)?;
    }
    Ok(())
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
    clippy::needless_pass_by_value,
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

    /// A pack of small blobs in one frame, or of one blob in several.
    fn sample(contents: Vec<Vec<u8>>, level: i32) -> (Pack, Stored, Vec<Vec<u8>>) {
        let blobs: Vec<_> = contents
            .iter()
            .map(|c| BlobRef(Digest::of(c), c.len() as u64))
            .collect();
        let open = opener(&contents);
        let member: Box<dyn Read> = Box::new(io::empty());
        let mut stream = PackStream {
            blobs: blobs.iter(),
            open: &open,
            member,
            ended: false,
        };
        let mut pack = Pack {
            frames: Vec::new(),
            blobs: blobs.clone(),
            level,
        };
        let lengths = pack.frame_lengths().unwrap();
        let compressor = Compressor::new(2);
        let mut stored = Vec::new();
        for (number, length) in lengths.iter().enumerate() {
            let mut tar = vec![0; *length];
            stream.read_exact(&mut tar).unwrap();
            stored.push(if number == 0 && lengths.len() > 1 {
                header_frame(tar.as_slice().try_into().unwrap()).to_vec()
            } else {
                compressor.compress(tar, level).wait().unwrap().bytes
            });
        }
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        pack.frames = stored
            .iter()
            .map(|f| BlobRef(Digest::of(f), f.len() as u64))
            .collect();
        drop(stream);
        (pack, Stored(stored), contents.clone())
    }

    fn opener(contents: &[Vec<u8>]) -> impl Fn(BlobRef) -> io::Result<Box<dyn Read>> {
        move |blob| {
            let content = contents
                .iter()
                .find(|c| Digest::of(c) == blob.digest())
                .unwrap();
            Ok(Box::new(io::Cursor::new(content.clone())))
        }
    }

    fn samples() -> [(Pack, Stored, Vec<Vec<u8>>); 3] {
        let large = |length: usize| {
            (0..length)
                .map(|i| ((i * i) >> 7) as u8)
                .collect::<Vec<_>>()
        };
        [
            sample(vec![vec![1; 1000], large(300_000), b"end".to_vec()], LEVEL),
            sample(vec![large(FRAME_BYTES * 2 + 12345)], DOCUMENT_LEVEL),
            // Padding and end of the archive have a frame of their own.
            sample(vec![large(FRAME_BYTES * 2)], LEVEL),
        ]
    }

    #[test]
    fn what_was_packed_is_unpacked_whole_and_in_part() {
        let frames: Vec<_> = samples()
            .iter()
            .map(|(pack, ..)| pack.frames.len())
            .collect();
        assert_eq!(frames, [1, 4, 4]);
        for (pack, stored, contents) in samples() {
            for choice in 0..8_usize {
                let position = |digest| pack.blobs.iter().position(|b| b.digest() == digest);
                let wanted = |digest| position(digest).is_some_and(|i| (choice >> i) & 1 == 1);
                let mut found = Vec::new();
                unpack(&pack, "p", &stored, &wanted, &mut |_, content| {
                    let mut bytes = Vec::new();
                    content.read_to_end(&mut bytes)?;
                    found.push(bytes);
                    Ok(())
                })
                .unwrap();
                let expected = contents.iter().filter(|c| wanted(Digest::of(c)));
                assert!(found.iter().eq(expected), "choice {choice}");
            }
        }
    }

    #[test]
    fn packing_again_gives_the_same_bytes_with_any_number_of_threads() {
        for (pack, stored, contents) in samples() {
            for threads in 1..4 {
                let mut bytes = Vec::new();
                let mut take = |frame: &[u8]| {
                    bytes.extend_from_slice(frame);
                    Ok(())
                };
                repack(&pack, "p", threads, &opener(&contents), &mut take).unwrap();
                assert!(bytes == stored.0.concat());
            }
        }
    }

    #[test]
    fn a_changed_frame_never_reaches_the_decompressor() {
        for (pack, stored, _) in samples() {
            for number in 0..stored.0.len() {
                let mut changed = Stored(stored.0.clone());
                changed.0[number][18] ^= 1;
                let mut take = |_, content: &mut dyn Read| skip(content);
                let error = unpack(&pack, "p", &changed, &|_| true, &mut take).unwrap_err();
                assert_eq!(error.kind(), Code::DigestMismatch);
            }
        }
    }

    /// An export has to make the bytes that came, also years later: this library's output is part of the
    /// format. If this fails after an update of zstd, keep the old version or teach the site to keep packs.
    #[test]
    fn the_compressor_still_makes_the_bytes_of_format_one() {
        let content: Vec<u8> = (0..1_000_000_u32)
            .flat_map(|i| (i / 7).wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        assert_eq!(compression().library, "zstd 1.5.7");
        // One context takes the levels in turn, as that of a build does.
        let compressor = Compressor::new(1);
        for (level, digest) in [
            (
                LEVEL,
                "09cdfec90f3715e93b7f25fb7be7ba120ca2edc9b4d8f3c76fbcf2916697be1d",
            ),
            (
                DOCUMENT_LEVEL,
                "f3225ea97f3abef4e16beec971670b7b93c49deb300fda9cab477af0f4480111",
            ),
            (
                LEVEL,
                "09cdfec90f3715e93b7f25fb7be7ba120ca2edc9b4d8f3c76fbcf2916697be1d",
            ),
        ] {
            let stored = compressor.compress(content.clone(), level).wait();
            assert_eq!(stored.unwrap().digest.to_hex(), digest, "level {level}");
        }
    }
}
