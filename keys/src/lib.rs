//! Secret keys, signers, and the authoring of trust roots.
//!
//! [`key_file`] reads and writes keys, [`passphrase`] gets what opens them, [`token`] reaches keys in PKCS#11
//! tokens, [`signer`] is what can sign: a key of either kind.
//! [`root`] authors the roots that sites trust, [`ceremony`] makes the first one with all its keys, and [`travel`]
//! is the small file that goes to a second signer and the one that comes back. [`dsse`] signs what is no metadata:
//! [`license`], [`approval`] and [`policy`]. [`cli`] is the command line over all of this.

pub mod approval;
pub mod ceremony;
pub mod cli;
pub mod disk;
pub mod dsse;
pub mod error;
pub mod key_file;
pub mod license;
pub mod moment;
pub mod passphrase;
pub mod policy;
pub mod root;
pub mod signer;
pub mod token;
pub mod travel;

pub use error::{Code, Error, Result};
pub use signer::{FileSigner, KeyArgument, Signer};
