//! Files, whole.

use std::path::Path;

use crate::{Error, Result};

/// The bytes of the file at `path`.
///
/// # Errors
/// [`Error::Format`] where it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let broken = |error: std::io::Error| Error::format(path.display().to_string(), format!("cannot be read: {error}"));
    std::fs::read(path).map_err(broken)
}

/// The bytes of the file at `path`; `None` where there is none.
///
/// # Errors
/// [`Error::Format`] where there is one that cannot be read.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn read_if_any(path: &Path) -> Result<Option<Vec<u8>>> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}

/// Puts `bytes` at `path` as a whole: a reader finds what was there before, or all of them.
///
/// # Errors
/// [`Error::Format`] where it cannot be written.
#[cfg(any(not(target_arch = "wasm32"), feature = "keras", feature = "safetensors"))]
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;

    let broken =
        |error: std::io::Error| Error::format(path.display().to_string(), format!("cannot be written: {error}"));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    written().map_err(|error| {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
        broken(error)
    })
}
