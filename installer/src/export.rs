//! A kept generation as a bundle again, byte for byte the one that came.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::Path,
};

use sealift_verifier::{
    delivery::{Delivery, Pack},
    digest::{Digest, VerifyingReader},
    json::AuthenticBytes,
    pack,
    release::BlobRef,
    tar,
};

use crate::{
    disk::Dir,
    error::{Code, Error, Result},
    generation,
    site::{Context, Ready},
    store::Store,
};

/// Writes generation `number` as a bundle to `output`, which must not be there yet, and returns its length.
/// Every blob and every frame of a pack is held to its digest while it is written.
pub fn export(site: &Ready<'_>, number: u64, output: &Path, ctx: &Context<'_>) -> Result<u64> {
    let generation = site.kept(number)?;
    let (dir, name) = Dir::of_file(output)?;
    let root = site.generation_dir(number)?;
    let head = generation::load_head(&root, generation)?;
    let delivery = delivery(&head)?;
    let source = Source {
        store: &site.store()?,
        head: &head,
        delivery: &delivery,
        ctx,
    };

    ctx.progress.begin("writing", source.length());
    let mut failure = None;
    let written = site.writer().publish(dir.at(name), 0o644, &mut |file| {
        source.write(file).map_err(|e| {
            let error = io::Error::other(e.to_string());
            failure = Some(e);
            error
        })
    });
    ctx.progress.end();
    written.map_err(|e| failure.unwrap_or(e))?;
    Ok(source.length())
}

/// The delivery manifest out of a head that was held to its digest.
fn delivery(head: &[(String, Vec<u8>)]) -> Result<Delivery> {
    let found = head.iter().find(|(path, _)| path == "delivery.json");
    let (_, bytes) =
        found.ok_or_else(|| Error::new(Code::GenerationDamaged, "delivery.json", "is missing"))?;
    let bytes = AuthenticBytes::from_digest(bytes, Digest::of(bytes), "delivery.json")?;
    Ok(Delivery::parse(&bytes)?)
}

struct Source<'a> {
    store: &'a Store,
    head: &'a [(String, Vec<u8>)],
    delivery: &'a Delivery,
    ctx: &'a Context<'a>,
}

impl Source<'_> {
    fn length(&self) -> u64 {
        let head = self.head.iter().map(|(_, bytes)| bytes.len() as u64);
        let packs = self.delivery.packs.iter().map(Pack::stored_size);
        let blobs = self.delivery.blobs.iter().map(BlobRef::size);
        head.chain(packs)
            .chain(blobs)
            .filter_map(tar::member_size)
            .fold(tar::END, u64::saturating_add)
    }

    fn write(&self, file: &mut File) -> Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        for (path, bytes) in self.head {
            self.member(&mut out, path, bytes.len() as u64, &mut |out| {
                out.write_all(bytes).map_err(|e| Error::io(path, e))
            })?;
        }
        for (number, pack) in self.delivery.packs.iter().enumerate() {
            let path = Pack::path(number);
            self.member(&mut out, &path, pack.stored_size(), &mut |out| {
                let open = |blob: BlobRef| -> io::Result<Box<dyn Read>> {
                    let file = self.store.file(blob.digest()).map_err(io::Error::other)?;
                    Ok(Box::new(file))
                };
                let mut stored = |frame: &[u8]| out.write_all(frame);
                Ok(pack::repack(
                    pack,
                    &path,
                    self.ctx.threads,
                    &open,
                    &mut stored,
                )?)
            })?;
        }
        for blob in &self.delivery.blobs {
            let path = tar::blob_path(blob.digest());
            self.member(&mut out, &path, blob.size(), &mut |out| {
                let file = self.store.file(blob.digest())?;
                let mut content = VerifyingReader::new(file, blob.size(), blob.digest(), &path);
                io::copy(&mut content, out).map_err(|e| Error::io(&path, e))?;
                Ok(())
            })?;
        }
        io::copy(&mut io::repeat(0).take(tar::END), &mut out)
            .and_then(|_| out.flush())
            .map_err(|e| Error::io("the bundle", e))
    }

    fn member(
        &self,
        out: &mut BufWriter<&mut File>,
        path: &str,
        size: u64,
        content: &mut dyn FnMut(&mut BufWriter<&mut File>) -> Result<()>,
    ) -> Result<()> {
        let failed = |e| Error::io(path, e);
        out.write_all(&tar::header(path, size)).map_err(failed)?;
        content(out)?;
        out.write_all(tar::zeros_after(size)).map_err(failed)?;
        self.ctx.progress.advance(size);
        Ok(())
    }
}
