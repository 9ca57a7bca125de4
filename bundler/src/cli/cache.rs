//! The options of every command that uses a cache.

use std::path::{Path, PathBuf};

use super::Surroundings;
use crate::{
    cache::{Cache, CacheFolder, DEFAULT_BYTES},
    definition::Size,
    error::Result,
};

#[derive(Debug, clap::Args)]
pub(super) struct CacheArgs {
    /// Where to keep what the next build needs again [default: sealift in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Use and keep nothing of other builds
    #[arg(long)]
    no_cache: bool,
    /// How much the cache may keep, such as 500 MB; what was not used for longest goes first [default: 20 GB]
    #[arg(long, value_name = "SIZE", value_parser = clap::value_parser!(Size))]
    cache_size: Option<Size>,
}

impl CacheArgs {
    /// The cache, and why its folder cannot be used, if it cannot.
    pub(super) fn open(&self, around: &Surroundings) -> Result<(Cache, Option<String>)> {
        match self.folder(around) {
            Some(path) => {
                let limit = self.cache_size.map_or(DEFAULT_BYTES, |size| size.0);
                Cache::open(CacheFolder { path, limit })
            }
            None => Ok((Cache::of_this_run(), None)),
        }
    }

    /// Whether an earlier build made the folder.
    pub(super) fn is_there(&self, around: &Surroundings) -> bool {
        self.folder(around).is_some_and(CacheFolder::is_made)
    }

    /// The folder, if there is to be one.
    pub(super) fn folder<'a>(&'a self, around: &'a Surroundings) -> Option<&'a Path> {
        let folder = self.cache.as_ref().or(around.cache.as_ref());
        folder.filter(|_| !self.no_cache).map(PathBuf::as_path)
    }
}
