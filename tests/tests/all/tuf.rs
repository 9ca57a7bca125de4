//! The trust core as a client of TUF repositories that python-tuf made: the ground of the public
//! conformance suite (`docs/conformance.md`), by our own means.

mod downloads;
mod expiry;
mod keys;
mod metadata;
mod rollback;
mod rotation;
mod transport;
